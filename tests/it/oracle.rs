//! What must hold of a store whatever happened to it: every chain, sum and digest, and that hours and days say what
//! their parts say.

use rusqlite::{Connection, OpenFlags, Row};
use schoolgate::runtime::Chain;
use schoolgate::store::{Depth, FILE_NAME, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whether a directory's store is whole.
pub fn sound(dir: &Path, depth: Depth) -> Result<(), String> {
    let told = |error| format!("{}", Chain(&error));
    let verdict = Reader::open(dir).map_err(told)?.verify(depth).map_err(told)?;
    if verdict.broken.is_empty() {
        return levels_are_their_parts(dir);
    }
    let broken = verdict.broken.iter().map(|b| format!("{} {:?}: {}", b.place, b.seq, b.problem.en));
    Err(broken.collect::<Vec<_>>().join("; "))
}

/// The database, for looking with SQLite alone.
pub fn look_at(dir: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(dir.join(FILE_NAME), OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Start, and what a roll-up says: count, sum, least, greatest, last, difference.
type Sums = (i64, f64, f64, f64, f64, Option<f64>);
/// Level, series, start.
type Period = (String, i64, i64);

fn sums(row: &Row<'_>, from: usize) -> rusqlite::Result<Sums> {
    let at = |i: usize| row.get(from + i);
    Ok((row.get(from)?, at(1)?, at(2)?, at(3)?, at(4)?, row.get(from + 5)?))
}

/// Every hour and day that is not due to be made anew is what its parts give, to the last bit, and none is missing.
fn levels_are_their_parts(dir: &Path) -> Result<(), String> {
    let read = || -> rusqlite::Result<(BTreeMap<Period, Sums>, BTreeMap<Period, Sums>)> {
        let db = look_at(dir)?;
        let tx = db.unchecked_transaction()?;
        let mut parts: BTreeMap<i64, Vec<(i64, Sums)>> = BTreeMap::new();
        let mut statement = tx
            .prepare("select series, start, count, sum, min, max, last, delta from roll_up order by start")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            parts.entry(row.get(0)?).or_default().push((row.get(1)?, sums(row, 2)?));
        }
        let mut statement = tx.prepare("select level, start, ends from level_due")?;
        let due: BTreeSet<(String, i64)> =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        // Parts from before the oldest may be gone: they are not kept for ever, and the clock may be years ahead.
        let oldest = parts.values().flatten().map(|(at, _)| *at).min().unwrap_or(i64::MAX);
        let (mut made, mut wanted) = (BTreeMap::new(), BTreeMap::new());
        for (level, table) in [("hour", "roll_up_hour"), ("day", "roll_up_day")] {
            let mut statement = tx.prepare(&format!(
                "select series, start, ends, count, sum, min, max, last, delta from {table}"
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (series, start, ends): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                if start < oldest || due.contains(&(level.to_owned(), start)) {
                    continue;
                }
                made.insert((level.to_owned(), series, start), sums(row, 3)?);
                let of = parts.get(&series).into_iter().flatten();
                let sum = of.filter(|(at, _)| (start..ends).contains(at)).map(|(_, part)| *part).reduce(add);
                if let Some(sum) = sum {
                    wanted.insert((level.to_owned(), series, start), sum);
                }
            }
        }
        // An hour of a part that is neither made nor due was forgotten.
        for (series, parts) in &parts {
            for (at, part) in parts {
                let hour = at - at.rem_euclid(3_600_000);
                if hour >= oldest && !due.contains(&("hour".to_owned(), hour)) {
                    wanted.entry(("hour".to_owned(), *series, hour)).or_insert(*part);
                }
            }
        }
        Ok((made, wanted))
    };
    let (made, wanted) = read().map_err(|error| error.to_string())?;
    match wanted.iter().find(|(period, sums)| made.get(*period) != Some(*sums)) {
        Some((period, sums)) => {
            Err(format!("{period:?} is {:?}, and its parts give {sums:?}", made.get(period)))
        }
        None if made.len() != wanted.len() => Err("an hour or a day has no parts".into()),
        None => Ok(()),
    }
}

fn add(a: Sums, b: Sums) -> Sums {
    let delta = match (a.5, b.5) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
    (a.0 + b.0, a.1 + b.1, a.2.min(b.2), a.3.max(b.3), b.4, delta)
}
