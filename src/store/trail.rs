//! The audit trail as people read it, and whether it is as it was written.

use super::chain::{self, Hash};
use super::read::page;
use super::rows::get;
use super::{Broken, Depth, Doing, Page, Reader, StoreError, Verdict, verify};
use crate::model::Wall;
use rusqlite::ToSql;

/// A row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TrailRow {
    /// When.
    pub at: Wall,
    /// Who did it.
    pub actor: String,
    /// What was done, one word.
    pub action: String,
    /// To what.
    pub subject: String,
    /// With which words or values.
    pub detail: String,
}

/// What a look at the whole trail found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailVerdict {
    /// What is wrong; nothing if all is well.
    pub broken: Vec<Broken>,
    /// Rows whose hash was compared.
    pub rows: i64,
    /// The number of the last row.
    pub seq: i64,
    /// Its hash, hexadecimal: whoever kept it elsewhere can tell later that nothing before it was changed.
    pub head: String,
}

/// Which rows of the audit trail are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailSought {
    /// What the name of who did it begins with.
    pub actor: Option<String>,
    /// What was done, the whole word.
    pub action: Option<String>,
    /// What stands in the subject or the detail; small and large letters of Latin script are the same.
    pub text: Option<String>,
}

impl Reader {
    /// The audit trail, newest first. Looks at every row where few fit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn trail(
        &self,
        sought: &TrailSought,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<TrailRow>, StoreError> {
        let sql = "select * from audit where seq < :before
            and (:actor is null or substr(actor, 1, length(:actor)) = :actor)
            and (:action is null or action = :action)
            and (:text is null or instr(lower(subject || ' ' || detail), lower(:text)) > 0)
            order by seq desc limit :limit";
        let TrailSought { actor, action, text } = sought;
        let narrowed: [(&str, &dyn ToSql); 3] = [(":actor", actor), (":action", action), (":text", text)];
        page(&self.db, sql, before, limit, &narrowed, |row| {
            Ok(TrailRow {
                at: Wall(get(row, "at")?),
                actor: get(row, "actor")?,
                action: get(row, "action")?,
                subject: get(row, "subject")?,
                detail: get(row, "detail")?,
            })
        })
    }

    /// Compares every row of the audit trail with its hash, as of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify_trail(&self) -> Result<TrailVerdict, StoreError> {
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let mut verdict = Verdict::default();
        verify::chained(&tx, "audit", Depth::Whole, &mut verdict)?;
        let (seq, hash): (i64, Hash) =
            chain::head(&tx, "audit")?.map_or((0, chain::START), |head| (head.seq, head.hash));
        let head = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(TrailVerdict { broken: verdict.broken, rows: verdict.rows, seq, head })
    }
}
