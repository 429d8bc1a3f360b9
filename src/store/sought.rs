//! Alarms that somebody looks for.
//!
//! The few that are open stand in an index of their own. The others are looked at by their numbers, newest first, so many
//! for a page and no more; a span of time is turned into numbers by the index of when they were raised.

use super::alarms::{ALARM_COLUMNS, alarm_of};
use super::read::{Page, page, signed, unsigned};
use super::{Doing, Reader, StoreError};
use crate::model::event::words;
use crate::model::{Alarm, AlarmClass, DeviceId, PlaceId, Priority, Wall};
use rusqlite::{Row, ToSql};
use serde::{Deserialize, Serialize};

/// The rank of an alarm's priority.
pub(super) const URGENCY: &str =
    "case priority when 'critical' then 0 when 'high' then 1 when 'medium' then 2 else 3 end";

/// Alarms that one page looks at: bounds the work for what is rare among years of them.
const ALARMS_PER_PAGE: i64 = 20_000;

words! {
    /// How an alarm may stand that is looked for.
    AlarmState {
        /// It is not over.
        Open = "open",
        /// It is not over, nobody took it, and nothing keeps it quiet.
        Unacknowledged = "unacknowledged",
        /// It is not over, somebody took it, and nothing keeps it quiet.
        Acknowledged = "acknowledged",
        /// It is not over, and a person set it aside for a while.
        Shelved = "shelved",
        /// It is not over, and the school's own arrangement or another alarm keeps it quiet.
        Suppressed = "suppressed",
        /// It is not over, and its device is being worked on.
        OutOfService = "out_of_service",
        /// It is over.
        Closed = "closed",
    }
}

impl AlarmState {
    /// What its row says.
    fn condition(self) -> &'static str {
        match self {
            Self::Open => "true",
            Self::Unacknowledged => {
                "ack_at is null and shelf_at is null and suppressed_at is null and inhibited_by is null and out_at is null"
            }
            Self::Acknowledged => {
                "ack_at is not null and shelf_at is null and suppressed_at is null and inhibited_by is null \
                 and out_at is null"
            }
            Self::Shelved => "shelf_at is not null",
            Self::Suppressed => "(suppressed_at is not null or inhibited_by is not null)",
            Self::OutOfService => "out_at is not null",
            Self::Closed => "closed_at is not null",
        }
    }
}

/// Which alarms; nothing is every alarm.
#[derive(Debug, Clone, Default)]
pub struct AlarmFilter {
    /// How they stand.
    pub state: Option<AlarmState>,
    /// What they are about.
    pub class: Option<AlarmClass>,
    /// How soon to act.
    pub priority: Option<Priority>,
    /// In one of these places.
    pub places: Option<Vec<PlaceId>>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// The rule's id has this text in it.
    pub rule: Option<String>,
    /// First raised then or later.
    pub from: Option<Wall>,
    /// First raised before then.
    pub to: Option<Wall>,
}

impl AlarmFilter {
    /// Those that are not over.
    #[must_use]
    pub fn open() -> Self {
        Self { state: Some(AlarmState::Open), ..Self::default() }
    }
}

/// What narrows alarms besides their state.
const NARROWED: &str = "(:class is null or class = :class) and (:priority is null or priority = :priority) \
    and (:places is null or place in (select value from json_each(:places))) \
    and (:device is null or device = :device) and (:rule is null or instr(rule, :rule) > 0) \
    and (:from is null or raised_at >= :from) and (:to is null or raised_at < :to)";

/// Numbers of alarms: from the first to the one before `before`, and whether there are more that are older.
struct Window {
    first: i64,
    before: i64,
    more: bool,
}

impl Reader {
    /// Alarms, newest first; those that are open the most urgent first, and among equals the newest. A page that looked
    /// at many alarms in vain may hold fewer rows than asked for, and still say where to go on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alarms(
        &self,
        filter: &AlarmFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<Alarm>, StoreError> {
        let columns = &*ALARM_COLUMNS;
        let class = filter.class.map(AlarmClass::as_str);
        let priority = filter.priority.map(Priority::as_str);
        let device = filter.device.as_ref().map(DeviceId::as_str);
        let places =
            filter.places.as_ref().map(serde_json::to_string).transpose().map_err(StoreError::Json)?;
        let (from, to) = (filter.from.map(|wall| wall.0), filter.to.map(|wall| wall.0));
        let mut narrowed: Vec<(&str, &dyn ToSql)> = vec![
            (":class", &class),
            (":priority", &priority),
            (":places", &places),
            (":device", &device),
            (":rule", &filter.rule),
            (":from", &from),
            (":to", &to),
        ];
        let state = filter.state.map_or("true", AlarmState::condition);
        if filter.state.is_some_and(|state| state != AlarmState::Closed) {
            // The few that are open stand in an index of their own.
            let sql = format!(
                "select id as seq, {columns} from alarm indexed by alarm_open where closed_at is null \
                 and ({URGENCY}, -id) > (coalesce((select {URGENCY} from alarm where id = :before), 0), -:before) \
                 and {state} and {NARROWED} order by {URGENCY}, id desc limit :limit"
            );
            return page(&self.db, &sql, before, limit, &narrowed, alarm_of);
        }
        let Some(window) = self.window(filter, before)? else {
            return Ok(Page { rows: Vec::new(), next_before: None });
        };
        narrowed.push((":first", &window.first));
        let sql = format!(
            "select id as seq, {columns} from alarm where id < :before and id >= :first \
             and {state} and {NARROWED} order by id desc limit :limit"
        );
        let mut page = page(&self.db, &sql, Some(unsigned(window.before)), limit, &narrowed, alarm_of)?;
        if page.next_before.is_none() && window.more {
            page.next_before = Some(unsigned(window.first));
        }
        Ok(page)
    }

    /// The numbers of alarms that a page looks at; `None` where there are none.
    fn window(&self, filter: &AlarmFilter, before: Option<u64>) -> Result<Option<Window>, StoreError> {
        let doing = "looking for alarms";
        let one = |sql: &str, parameters: &[i64]| -> Result<(Option<i64>, Option<i64>), StoreError> {
            let both = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            self.db
                .prepare_cached(sql)
                .and_then(|mut s| s.query_row(rusqlite::params_from_iter(parameters), both))
                .doing(doing)
        };
        let (mut least, mut before) = (0, before.map_or(i64::MAX, signed));
        if filter.from.is_some() || filter.to.is_some() {
            // By the index of when they were raised: numbers grow with time, but for a clock that was set back.
            let sql = "select min(id), max(id) from alarm where raised_at >= ?1 and raised_at < ?2";
            let (from, to) = (filter.from.map_or(i64::MIN, |w| w.0), filter.to.map_or(i64::MAX, |w| w.0));
            let (Some(first), Some(last)) = one(sql, &[from, to])? else { return Ok(None) };
            (least, before) = (first, before.min(last.saturating_add(1)));
        }
        let sql = "select min(id), count(*) from \
             (select id from alarm where id < ?1 and id >= ?2 order by id desc limit ?3)";
        let (Some(first), Some(looked)) = one(sql, &[before, least, ALARMS_PER_PAGE])? else {
            return Ok(None);
        };
        Ok(Some(Window { first, before, more: looked == ALARMS_PER_PAGE }))
    }
}

#[cfg(test)]
mod tests;
