//! When devices answered and when they did not, as the audit trail has it.

use super::recall::each;
use super::rows::get;
use super::{Reader, StoreError};
use crate::model::Wall;
use std::collections::BTreeMap;

impl Reader {
    /// Of each device the changes of whether it answers in `[from, to)`, oldest first, and the last one before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn link_changes(
        &self,
        (from, to): (Wall, Wall),
    ) -> Result<BTreeMap<String, Vec<(Wall, bool)>>, StoreError> {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((get::<String>(row, "subject")?, Wall(get(row, "at")?), get::<String>(row, "detail")? == "up"))
        };
        let before = "select subject, at, detail, max(seq) from audit where action = 'link' and at < ?1 group by subject";
        let within = "select subject, at, detail from audit where action = 'link' and at >= ?1 and at < ?2 order by seq";
        let mut changes: BTreeMap<String, Vec<(Wall, bool)>> = BTreeMap::new();
        for (device, at, up) in each(&self.db, before, [from.0], row)? {
            changes.entry(device).or_default().push((at, up));
        }
        for (device, at, up) in each(&self.db, within, [from.0, to.0], row)? {
            changes.entry(device).or_default().push((at, up));
        }
        Ok(changes)
    }
}
