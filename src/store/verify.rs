//! Whether what is stored is what was written: every chain, sum and digest, and the first place where one breaks.

use super::chain::{self, CHAINED, HASHED, READING_COLUMNS, READINGS, READINGS_FROM, ROOTS, START, SUMMED};
use super::history::{self, DIRECTORY};
use super::{APPLICATION_ID, Doing, Reader, SCHEMA_VERSION, StoreError, migrate, numbers};
use crate::model::Text;
use crate::runtime::Chain;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// Rows at the end of each chain that a quick look goes over.
pub const QUICK_ROWS: i64 = 1_000;
/// Most problems that SQLite's own check lists.
const MOST_PAGES: i64 = 100;

/// How far a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Header, schema, the last [`QUICK_ROWS`] rows of each chain, footers of sealed files.
    Quick,
    /// Everything.
    Whole,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// In which table or file.
    pub place: String,
    /// Which row first, where that can be told.
    pub seq: Option<i64>,
    /// What is wrong.
    pub problem: Text,
}

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; nothing if all is well.
    pub broken: Vec<Broken>,
    /// Rows whose hash was compared, alone or in a sum.
    pub rows: i64,
    /// Rows from before there were hashes, which nothing can be said of.
    pub unproven: i64,
    /// Rows of which a person was erased, which the rows around them prove.
    pub erased: i64,
    /// Where chains begin since what was kept long enough was deleted: the table, and the last row that is gone.
    pub cut: Vec<(&'static str, i64)>,
    /// Sealed files looked at.
    pub files: u64,
}

impl Verdict {
    fn broken(&mut self, place: &str, seq: Option<i64>, zh: impl Into<String>, en: impl Into<String>) {
        self.broken.push(Broken { place: place.to_owned(), seq, problem: Text::new(zh, en) });
    }

    /// A part that cannot be read is broken; what is left is looked at all the same.
    fn part(&mut self, place: &str, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            let why = Chain(&error).to_string();
            self.broken(place, None, format!("读不出来：{why}"), format!("cannot be read: {why}"));
        }
    }
}

impl Reader {
    /// Compares what is stored with its hashes, as of one moment. The gateway may run meanwhile.
    ///
    /// # Errors
    /// When the database cannot be looked at at all.
    pub fn verify(&self, depth: Depth) -> Result<Verdict, StoreError> {
        let mut verdict = Verdict::default();
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let outcome = shape(&tx, &mut verdict);
        verdict.part("schema", outcome);
        if !verdict.broken.is_empty() {
            return Ok(verdict);
        }
        if depth == Depth::Whole {
            let outcome = pages(&tx, &mut verdict);
            verdict.part("database", outcome);
        }
        for table in CHAINED {
            let outcome = chained(&tx, table, depth, &mut verdict);
            verdict.part(table, outcome);
        }
        for table in HASHED {
            let outcome = hashed(&tx, table, depth, &mut verdict);
            verdict.part(table, outcome);
        }
        if depth == Depth::Whole {
            let heads = names(&tx, &mut verdict);
            verdict.part("chain", heads);
            for table in SUMMED.iter().copied().chain([READINGS]) {
                let outcome = summed(&tx, table, &mut verdict);
                verdict.part(table, outcome);
            }
        }
        let outcome = self.files(&tx, depth, &mut verdict);
        verdict.part(DIRECTORY, outcome);
        Ok(verdict)
    }

    /// Looks for a head of the audit trail that a platform was sent: it finds a trail that was cut short, or made anew
    /// so that it agrees with itself.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify_audit_head(
        &self,
        entries: u64,
        hash: &str,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let seq = i64::try_from(entries).unwrap_or(i64::MAX);
        if chain::root(&self.db, "audit")?.is_some_and(|root| seq < root.seq) {
            verdict.unproven += 1;
            return Ok(());
        }
        let sql = "select lower(hex(hash)) from audit where seq = ?1";
        let found = self.db.query_row(sql, [seq], |row| row.get::<_, Option<String>>(0)).optional();
        let (zh, en) = match found.doing("looking for a head of the audit trail")?.flatten() {
            Some(found) if found == hash.to_ascii_lowercase() => return Ok(()),
            Some(_) => (
                "与上报给平台的哈希不同：这一行或它之前的内容被改过",
                "is not what a platform was sent: it, or something before it, was changed",
            ),
            None => (
                "上报过平台，但现在没有了：审计日志被截短",
                "was sent to a platform and is not there any more: the trail was cut short",
            ),
        };
        verdict.broken("audit", Some(seq), zh, en);
        Ok(())
    }

    fn files(&self, db: &Connection, depth: Depth, verdict: &mut Verdict) -> Result<(), StoreError> {
        let directory = self.dir.join(DIRECTORY);
        let files = history::listed(db, "order by first_seq", [])?;
        for sealed in &files {
            verdict.files += 1;
            let path = directory.join(&sealed.file);
            if let Err(error) = history::verify(&path, sealed, depth == Depth::Whole) {
                let why = Chain(&error).to_string();
                verdict.broken(
                    &format!("{DIRECTORY}/{}", sealed.file),
                    Some(sealed.first_seq),
                    format!("封存文件与登记不符：{why}"),
                    format!("the sealed file is not as it was listed: {why}"),
                );
            }
        }
        let listed: BTreeSet<&str> = files.iter().map(|sealed| sealed.file.as_str()).collect();
        let through = history::sealed_through(db)?;
        for file in history::sealed_names(&self.dir)? {
            // One with higher numbers is being made at this moment.
            let first = file.split('-').next().and_then(|n| n.parse::<i64>().ok());
            if !listed.contains(file.as_str()) && first.is_none_or(|first| first <= through) {
                verdict.broken(
                    &format!("{DIRECTORY}/{file}"),
                    first,
                    "这个封存文件没有登记",
                    "the sealed file is not listed",
                );
            }
        }
        Ok(())
    }
}

/// The header and the words of the schema.
fn shape(db: &Connection, verdict: &mut Verdict) -> Result<(), StoreError> {
    let pragma = |name: &str| {
        db.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).doing("reading the header")
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION_ID {
        verdict.broken(
            "header",
            None,
            format!("不是 Schoolgate 数据库（application_id {application:#010x}）"),
            format!("not a Schoolgate database (application id {application:#010x})"),
        );
    }
    if version != SCHEMA_VERSION {
        verdict.broken(
            "header",
            None,
            format!("数据库结构版本是 {version}，应为 {SCHEMA_VERSION}"),
            format!("the schema is of version {version}, expected {SCHEMA_VERSION}; start the gateway once to upgrade"),
        );
        return Ok(());
    }
    if migrate::schema(db)? != migrate::schema(&migrate::fresh()?)? {
        verdict.broken("schema", None, "表结构与本程序不符", "the tables are not those of this program");
    }
    Ok(())
}

/// SQLite's own check of pages and indexes.
fn pages(db: &Connection, verdict: &mut Verdict) -> Result<(), StoreError> {
    let mut statement =
        db.prepare(&format!("pragma integrity_check({MOST_PAGES})")).doing("checking the pages")?;
    let mut rows = statement.query([]).doing("checking the pages")?;
    while let Some(row) = rows.next().doing("checking the pages")? {
        let line: String = row.get(0).doing("checking the pages")?;
        if line != "ok" {
            verdict.broken("database", None, format!("SQLite：{line}"), format!("SQLite: {line}"));
        }
    }
    Ok(())
}

/// The table of heads holds what it should and nothing else.
fn names(db: &Connection, verdict: &mut Verdict) -> Result<(), StoreError> {
    let mut statement = db.prepare("select name from chain").doing("reading the heads")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).doing("reading the heads")?;
    for name in rows {
        let name = name.doing("reading the heads")?;
        let known = CHAINED.iter().chain(&ROOTS).chain(&SUMMED).chain(&[READINGS, READINGS_FROM]);
        if !known.copied().any(|known| known == name) {
            verdict.broken("chain", None, format!("不认识的链“{name}”"), format!("unknown chain '{name}'"));
        }
    }
    Ok(())
}

/// A row, and whether it is as it was written behind the row before.
pub(super) struct Proof {
    /// Its number.
    pub(super) seq: i64,
    /// The hash it bears.
    pub(super) stored: Option<chain::Hash>,
    /// What proves it: its hash; or, where the person was erased, the hash of what is left behind the row before.
    pub(super) reckoned: chain::Hash,
    /// Whether it bears that.
    pub(super) sound: bool,
    /// The person was erased: the hash that it bears is of what it was before, and goes on holding the chain.
    pub(super) erased: bool,
}

/// Every table with a hash has its number first.
pub(super) fn proof_of(
    row: &rusqlite::Row<'_>,
    width: usize,
    before: &chain::Hash,
) -> rusqlite::Result<Proof> {
    let hash = row.as_ref().column_index("hash")?;
    let erased = row.as_ref().column_index("erased").ok();
    let seal: Option<chain::Hash> = erased.map_or(Ok(None), |at| row.get(at))?;
    let stored: Option<chain::Hash> = row.get(hash)?;
    let values = (0..width).map(|at| match Some(at) == erased {
        true => ValueRef::Null,
        false => row.get_ref(at).unwrap_or(ValueRef::Null),
    });
    let (reckoned, borne) = match seal {
        None => (chain::row_hash(before, chain::hashed_values(values, hash)), stored),
        Some(seal) => (chain::seal(before, values, hash, &stored.unwrap_or(START)), Some(seal)),
    };
    let sound = stored.is_some() && borne == Some(reckoned);
    Ok(Proof { seq: row.get(0)?, stored, reckoned, sound, erased: seal.is_some() })
}

pub(super) fn chained(
    db: &Connection,
    table: &'static str,
    depth: Depth,
    verdict: &mut Verdict,
) -> Result<(), StoreError> {
    let head = chain::head(db, table)?;
    let after = match depth {
        Depth::Whole => i64::MIN,
        Depth::Quick => db
            .query_row(
                &format!("select seq from {table} order by seq desc limit 1 offset {QUICK_ROWS}"),
                [],
                |row| row.get(0),
            )
            .optional()
            .doing("reading a chain")?
            .unwrap_or(i64::MIN),
    };
    let root = rooted(db, table, depth, verdict)?;
    let sql = format!("select * from {table} where seq > ?1 order by seq");
    let mut statement = db.prepare(&sql).doing("reading a chain")?;
    let width = statement.column_count();
    let mut rows = statement.query([after]).doing("reading a chain")?;
    // Where a quick look begins, the row before is taken at its word; where the beginning was cut, the root.
    let mut before: Option<(i64, chain::Hash)> = db
        .prepare(&format!(
            "select seq, hash from {table} where seq <= ?1 and hash is not null order by seq desc limit 1"
        ))
        .and_then(|mut s| {
            let mut rows = s.query([after])?;
            rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
        })
        .doing("reading a chain")?
        .or_else(|| root.filter(|root| root.hash != START).map(|root| (root.seq, root.hash)));
    let mut first_broken = None;
    let mut newest = before.or(root.map(|root| (root.seq, root.hash))).map_or(0, |(seq, _)| seq);
    while let Some(row) = rows.next().doing("reading a chain")? {
        let previous = before.map_or(START, |(_, hash)| hash);
        let proof = proof_of(row, width, &previous).doing("reading a chain")?;
        newest = proof.seq;
        if proof.stored.is_none() && before.is_none() {
            verdict.unproven += 1;
            continue;
        }
        if !proof.sound {
            first_broken.get_or_insert(proof.seq);
        }
        verdict.rows += 1;
        verdict.erased += i64::from(proof.erased);
        before = Some((proof.seq, proof.stored.unwrap_or(proof.reckoned)));
    }
    if let Some(seq) = first_broken {
        verdict.broken(
            table,
            Some(seq),
            "从这一行起哈希链断开：这一行被改动，或它前面缺行、多行、调换",
            "the chain breaks here: this row was changed, or rows before it are missing, added or swapped",
        );
    }
    let end = before.map_or(START, |(_, hash)| hash);
    match head {
        None => verdict.broken(table, None, "缺少链尾记录", "the head of the chain is missing"),
        Some(head) if (head.seq, head.hash) != (numbers::head_seq(db, table, newest)?, end) => verdict
            .broken(
                table,
                Some(newest),
                format!("最后一行应是 {}：末尾的行缺失、多出或被改动", head.seq),
                format!("the last row should be {}: rows at the end are missing, added or changed", head.seq),
            ),
        Some(_) => {}
    }
    Ok(())
}

/// Where a chain begins since its beginning was deleted: behind a row whose number and hash the audit trail tells.
fn rooted(
    db: &Connection,
    table: &'static str,
    depth: Depth,
    verdict: &mut Verdict,
) -> Result<Option<chain::Head>, StoreError> {
    let Some(root) = chain::root(db, table)? else { return Ok(None) };
    verdict.cut.push((table, root.seq));
    let told: bool = depth == Depth::Quick
        || db
            .query_row(
                "select exists (select 1 from audit where action = ?1 and subject = ?2 and detail like ?3)",
                params![chain::RETIRED, table, format!("%{}", chain::told(&root))],
                |row| row.get(0),
            )
            .doing("reading the audit trail")?;
    if !told {
        verdict.broken(
            table,
            Some(root.seq),
            "开头的行已被删除，但审计日志中没有这次删除的记录",
            "rows at the beginning are gone, and the audit trail does not tell that they were deleted",
        );
    }
    Ok(Some(root))
}

fn hashed(db: &Connection, table: &str, depth: Depth, verdict: &mut Verdict) -> Result<(), StoreError> {
    let limit = if depth == Depth::Quick { QUICK_ROWS } else { i64::MAX };
    let sql = format!("select * from {table} order by seq desc limit ?1");
    let mut statement = db.prepare(&sql).doing("reading rows with hashes")?;
    let width = statement.column_count();
    let mut rows = statement.query(params![limit]).doing("reading rows with hashes")?;
    let mut first = None;
    while let Some(row) = rows.next().doing("reading rows with hashes")? {
        let proof = proof_of(row, width, &START).doing("reading rows with hashes")?;
        verdict.rows += 1;
        match proof.stored {
            Some(_) if !proof.sound => first = Some(proof.seq),
            Some(_) => {}
            // Its sum proves it.
            None => verdict.unproven += 1,
        }
    }
    if let Some(seq) = first {
        verdict.broken(table, Some(seq), "这一行与它的哈希不符", "this row does not have its hash");
    }
    Ok(())
}

fn summed(db: &Connection, table: &str, verdict: &mut Verdict) -> Result<(), StoreError> {
    let (columns, after) = if table == READINGS {
        let from = chain::head(db, READINGS_FROM)?;
        if from.is_some_and(|from| from != chain::readings_from(from.seq)) {
            verdict.broken(
                "chain",
                None,
                "读数校验和的起点被改动",
                "where the sum of readings begins was changed",
            );
        }
        (READING_COLUMNS.to_owned(), from.map(|from| from.seq))
    } else {
        (chain::columns(db, table)?.join(", "), Some(i64::MIN))
    };
    let (Some(head), Some(after)) = (chain::head(db, table)?, after) else {
        verdict.broken(table, None, "缺少校验和", "the sum of its rows is missing");
        return Ok(());
    };
    let sum = chain::sum_of(db, table, &columns, after)?;
    verdict.rows += sum.seq;
    if sum.seq != head.seq {
        verdict.broken(
            table,
            None,
            format!("应有 {} 行，实有 {} 行", head.seq, sum.seq),
            format!("it should have {} rows and has {}", head.seq, sum.seq),
        );
    } else if sum.hash != head.hash {
        verdict.broken(
            table,
            None,
            "有行被改动（校验和不符）",
            "a row was changed (the sum of its rows does not agree)",
        );
    }
    Ok(())
}
