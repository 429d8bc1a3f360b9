//! Alarms and hazards in their tables: how they are written and read back.

use super::append::number;
use super::chain::Link;
use super::rows::{get, word};
use super::{Doing, StoreError};
use crate::model::alarm::{Chatter, Confirmed, OutOfService, Shelf, Support, Suppressed};
use crate::model::{
    Actor, Alarm, AlarmChange, AlarmClass, AlarmId, AlarmKey, DeviceId, Handled, Hazard, HazardId, Marks,
    PlaceId, Priority, RuleId, Text, Truth, Wall,
};
use rusqlite::{Row, Transaction, params};
use std::sync::LazyLock;

/// The columns of `alarm` that never change, and those that do.
const FIXED: [&str; 9] =
    ["id", "rule", "subject", "class", "priority", "device", "place", "raised_at", "drill"];
const CHANGING: [&str; 32] = [
    "latched",
    "what_zh",
    "what_en",
    "active",
    "occurrences",
    "cleared_at",
    "ack_by",
    "ack_at",
    "ack_note",
    "reset_by",
    "reset_at",
    "reset_note",
    "closed_at",
    "shelf_by",
    "shelf_at",
    "shelf_note",
    "shelf_until",
    "shelf_once",
    "suppressed_by",
    "suppressed_at",
    "out_by",
    "out_at",
    "out_note",
    "out_until",
    "inhibited_by",
    "chatter_since",
    "chatter_count",
    "first_of_group",
    "truth_by",
    "truth_at",
    "truth_note",
    "truth",
];

/// The last call for support of an alarm: who, when, what they wrote, and when everybody had it. It is in the steps of the
/// alarm and nowhere else.
const SUPPORT: &str = "(select json_array(call.actor, call.at, call.note, (select told.at from alarm_change told \
     where told.alarm = call.alarm and told.seq > call.seq and told.kind = 'support_told' \
     order by told.seq limit 1)) from alarm_change call \
     where call.alarm = alarm.id and call.kind = 'support_called' order by call.seq desc limit 1) as support";

static STORED: LazyLock<String> =
    LazyLock::new(|| FIXED.iter().chain(&CHANGING).copied().collect::<Vec<_>>().join(", "));

/// What is selected of `alarm` for [`alarm_of`].
pub(super) static ALARM_COLUMNS: LazyLock<String> = LazyLock::new(|| format!("{}, {SUPPORT}", *STORED));

static WRITE_ALARM: LazyLock<String> = LazyLock::new(|| {
    let marks: Vec<String> = (1..=FIXED.len() + CHANGING.len()).map(|n| format!("?{n}")).collect();
    let sets: Vec<String> =
        CHANGING.iter().zip(FIXED.len() + 1..).map(|(column, n)| format!("{column} = ?{n}")).collect();
    format!(
        "insert into alarm ({}) values ({}) on conflict (id) do update set {}",
        *STORED,
        marks.join(", "),
        sets.join(", ")
    )
});

/// Who, when and what they wrote, as three columns.
fn split(handled: Option<&Handled>) -> (Option<&str>, Option<i64>, Option<&str>) {
    (handled.map(|h| h.by.as_str()), handled.map(|h| h.at.0), handled.map(|h| h.note.as_str()))
}

pub(super) fn write_change(
    tx: &Transaction<'_>,
    link: &mut Link<'_>,
    change: &AlarmChange,
) -> Result<(), StoreError> {
    let a = &change.alarm;
    let Marks {
        shelved, suppressed, out_of_service, inhibited_by, chattering, first, confirmed, drill, ..
    } = &a.marks;
    let (ack_by, ack_at, ack_note) = split(a.acknowledged.as_ref());
    let (reset_by, reset_at, reset_note) = split(a.reset.as_ref());
    let (shelf_by, shelf_at, shelf_note) = split(shelved.as_ref().map(|shelf| &shelf.by));
    let (out_by, out_at, out_note) = split(out_of_service.as_ref().map(|out| &out.by));
    let (truth_by, truth_at, truth_note) = split(confirmed.as_ref().map(|confirmed| &confirmed.by));
    tx.prepare_cached(&WRITE_ALARM)
        .and_then(|mut s| {
            s.execute(params![
                number(a.id.0),
                a.key.rule.as_str(),
                a.key.subject,
                a.class.as_str(),
                a.priority.as_str(),
                a.device.as_ref().map(DeviceId::as_str),
                a.place.as_ref().map(PlaceId::as_str),
                a.raised_at.0,
                drill,
                a.latched,
                a.what.zh,
                a.what.en,
                a.active,
                a.occurrences,
                a.cleared_at.map(|w| w.0),
                ack_by,
                ack_at,
                ack_note,
                reset_by,
                reset_at,
                reset_note,
                a.closed_at.map(|w| w.0),
                shelf_by,
                shelf_at,
                shelf_note,
                shelved.as_ref().map(|shelf| shelf.until.0),
                shelved.as_ref().map(|shelf| shelf.once),
                suppressed.as_ref().map(|suppressed| suppressed.by.as_str()),
                suppressed.as_ref().map(|suppressed| suppressed.at.0),
                out_by,
                out_at,
                out_note,
                out_of_service.as_ref().and_then(|out| Some(out.until?.0)),
                inhibited_by.map(|by| number(by.0)),
                chattering.map(|chatter| chatter.since.0),
                chattering.map(|chatter| chatter.count),
                first,
                truth_by,
                truth_at,
                truth_note,
                confirmed.as_ref().map(|confirmed| confirmed.truth.as_str()),
            ])
        })
        .doing("storing an alarm")?;
    let hash = tx
        .prepare_cached(
            "insert into alarm_change (seq, alarm, kind, at, actor, note, hash) \
             values (?1, ?2, ?3, ?4, ?5, ?6, row_hash(?7, ?1, ?2, ?3, ?4, ?5, ?6)) returning hash",
        )
        .and_then(|mut s| {
            let (alarm, actor) = (number(a.id.0), change.actor.as_str());
            let kind = change.kind.as_str();
            let row = params![link.next(), alarm, kind, change.at.0, actor, change.note, link.last()];
            s.query_row(row, |row| row.get(0))
        })
        .doing("storing a step of an alarm")?;
    link.added(hash);
    Ok(())
}

fn handled_of(row: &Row<'_>, what: &str) -> Result<Option<Handled>, StoreError> {
    let by = get::<Option<String>>(row, &format!("{what}_by"))?.and_then(|name| Actor::named(&name));
    let (Some(by), Some(at)) = (by, get::<Option<i64>>(row, &format!("{what}_at"))?) else {
        return Ok(None);
    };
    let note = get::<Option<String>>(row, &format!("{what}_note"))?.unwrap_or_default();
    Ok(Some(Handled { by, at: Wall(at), note }))
}

fn wall_of(row: &Row<'_>, column: &str) -> Result<Option<Wall>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Wall))
}

/// An alarm from its row and its steps, see [`ALARM_COLUMNS`].
pub(super) fn alarm_of(row: &Row<'_>) -> Result<Alarm, StoreError> {
    let mut alarm = stored_alarm_of(row)?;
    let call = get::<Option<String>>(row, "support")?;
    let call = call.map(|call| serde_json::from_str::<(String, i64, String, Option<i64>)>(&call));
    alarm.marks.support = match call.transpose().map_err(StoreError::Json)? {
        Some((by, at, note, told_at)) => Actor::named(&by)
            .map(|by| Support { by: Handled { by, at: Wall(at), note }, told_at: told_at.map(Wall) }),
        None => None,
    };
    Ok(alarm)
}

/// An alarm from its row alone.
pub(super) fn stored_alarm_of(row: &Row<'_>) -> Result<Alarm, StoreError> {
    let number: i64 = get(row, "id")?;
    let id = |column: &str| -> Result<String, StoreError> { get(row, column) };
    Ok(Alarm {
        id: AlarmId(u64::try_from(number).unwrap_or(0)),
        key: AlarmKey {
            rule: word("alarm", number, &id("rule")?, |t| RuleId::new(t).ok())?,
            subject: id("subject")?,
        },
        class: word("alarm", number, &id("class")?, AlarmClass::from_word)?,
        priority: word("alarm", number, &id("priority")?, Priority::from_word)?,
        device: get::<Option<String>>(row, "device")?.and_then(|t| DeviceId::new(&t).ok()),
        place: get::<Option<String>>(row, "place")?.and_then(|t| PlaceId::new(&t).ok()),
        what: Text::new(id("what_zh")?, id("what_en")?),
        raised_at: Wall(get(row, "raised_at")?),
        active: get(row, "active")?,
        occurrences: get(row, "occurrences")?,
        cleared_at: wall_of(row, "cleared_at")?,
        acknowledged: handled_of(row, "ack")?,
        latched: get(row, "latched")?,
        reset: handled_of(row, "reset")?,
        closed_at: wall_of(row, "closed_at")?,
        marks: marks_of(row, number)?,
    })
}

fn marks_of(row: &Row<'_>, number: i64) -> Result<Marks, StoreError> {
    let shelved = match (handled_of(row, "shelf")?, wall_of(row, "shelf_until")?) {
        (Some(by), Some(until)) => {
            Some(Shelf { by, until, once: get::<Option<bool>>(row, "shelf_once")?.unwrap_or(false) })
        }
        _ => None,
    };
    let suppressed = match (get::<Option<String>>(row, "suppressed_by")?, wall_of(row, "suppressed_at")?) {
        (Some(by), Some(at)) => Some(Suppressed { by, at }),
        _ => None,
    };
    let out_of_service = match handled_of(row, "out")? {
        Some(by) => Some(OutOfService { by, until: wall_of(row, "out_until")? }),
        None => None,
    };
    let chattering = match (wall_of(row, "chatter_since")?, get::<Option<u32>>(row, "chatter_count")?) {
        (Some(since), Some(count)) => Some(Chatter { since, count }),
        _ => None,
    };
    let confirmed = match (handled_of(row, "truth")?, get::<Option<String>>(row, "truth")?) {
        (Some(by), Some(truth)) => {
            Some(Confirmed { truth: word("alarm", number, &truth, Truth::from_word)?, by })
        }
        _ => None,
    };
    let inhibited_by = get::<Option<i64>>(row, "inhibited_by")?;
    Ok(Marks {
        shelved,
        suppressed,
        out_of_service,
        inhibited_by: inhibited_by.and_then(|id| u64::try_from(id).ok()).map(AlarmId),
        chattering,
        first: get(row, "first_of_group")?,
        confirmed,
        support: None,
        drill: get(row, "drill")?,
    })
}

pub(super) fn write_hazard(tx: &Transaction<'_>, hazard: &Hazard) -> Result<(), StoreError> {
    let (checked_by, checked_at, checked_note) = split(hazard.checked.as_ref());
    let (handled_by, handled_at, handled_note) = split(hazard.handled.as_ref());
    let (closed_by, closed_at, closed_note) = split(hazard.closed.as_ref());
    tx.prepare_cached(
        "insert into hazard (id, alarm, place, what, found_by, found_at, found_note, checked_by, checked_at, \
         checked_note, handled_by, handled_at, handled_note, closed_by, closed_at, closed_note) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
         on conflict (id) do update set checked_by = ?8, checked_at = ?9, checked_note = ?10, \
         handled_by = ?11, handled_at = ?12, handled_note = ?13, closed_by = ?14, closed_at = ?15, closed_note = ?16",
    )
    .and_then(|mut s| {
        s.execute(params![
            number(hazard.id.0),
            hazard.alarm.map(|id| number(id.0)),
            hazard.place.as_ref().map(PlaceId::as_str),
            hazard.what,
            hazard.found.by.as_str(),
            hazard.found.at.0,
            hazard.found.note,
            checked_by,
            checked_at,
            checked_note,
            handled_by,
            handled_at,
            handled_note,
            closed_by,
            closed_at,
            closed_note,
        ])
    })
    .doing("storing a hazard")?;
    Ok(())
}

/// A hazard from its row.
pub(super) fn hazard_of(row: &Row<'_>) -> Result<Hazard, StoreError> {
    let number: i64 = get(row, "id")?;
    let alarm = get::<Option<i64>>(row, "alarm")?;
    let nobody = || StoreError::Row { table: "hazard", row: number, problem: "nobody found it".into() };
    Ok(Hazard {
        id: HazardId(u64::try_from(number).unwrap_or(0)),
        alarm: alarm.and_then(|id| u64::try_from(id).ok()).map(AlarmId),
        place: get::<Option<String>>(row, "place")?.and_then(|t| PlaceId::new(&t).ok()),
        what: get(row, "what")?,
        found: handled_of(row, "found")?.ok_or_else(nobody)?,
        checked: handled_of(row, "checked")?,
        handled: handled_of(row, "handled")?,
        closed: handled_of(row, "closed")?,
    })
}

#[cfg(test)]
mod tests;
