//! The routes of how uploads and the machine are doing: `/api/v1/uploads`, `/api/v1/system`.

use super::api::read;
use super::jobs::{BACKUPS_DIR, backups};
use super::route::Route;
use super::{Console, Problem};
use crate::access::Right;
use crate::model::{DestinationId, Text, Wall};
use crate::northbound::UplinkState;
use crate::runtime::Chain;
use crate::store::{self, Uploaded, Usage};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Days of which each is told.
const DAYS: usize = 30;
const DAY_MS: i64 = 24 * 3_600_000;
/// The spans of which completeness is told, milliseconds: a day and 30 days.
const SPANS_MS: [i64; 2] = [DAY_MS, 30 * DAY_MS];

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    use Right::Diagnose;
    vec![
        Route::get("/api/v1/uploads", Diagnose, ("上报完整率", "how complete uploads are"), uploads)
            .gives::<Rows>(),
        Route::get("/api/v1/system", Diagnose, ("网关本机状态", "how the machine is doing"), system)
            .gives::<System>(),
    ]
}

/// Destinations.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Uploads")]
struct Rows {
    rows: Vec<Row>,
}

/// How uploads to a platform are doing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Upload")]
struct Row {
    id: String,
    state: UplinkState,
    /// Records that wait.
    waiting: u64,
    /// Since when the oldest of them does.
    oldest: Option<i64>,
    lag_secs: u64,
    /// Of what was owed in the last 24 hours.
    day: Complete,
    /// Of what was owed in the last 30 days.
    month: Complete,
    /// Of each of the last 30 days of the school, oldest first: its first moment, how many were owed, how many accepted.
    history: Vec<(i64, u64, u64)>,
    last_success: Option<i64>,
    last_failure: Option<i64>,
    last_error: Option<Text>,
}

/// What became of what was owed.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Completeness")]
pub(super) struct Complete {
    owed: u64,
    accepted: u64,
    waiting: u64,
    set_aside: u64,
    /// Accepted of owed, 0 to 1; null where nothing was owed.
    share: Option<f64>,
}

impl Complete {
    pub(super) fn of(uploaded: Uploaded) -> Self {
        let Uploaded { accepted, waiting, set_aside } = uploaded;
        Self { owed: uploaded.owed(), accepted, waiting, set_aside, share: uploaded.share() }
    }
}

/// What the store knows of a destination.
struct Found {
    id: DestinationId,
    waiting: u64,
    oldest: Option<Wall>,
    day: Complete,
    month: Complete,
    history: Vec<(i64, u64, u64)>,
}

/// The last days of a zone, oldest first; that of `now` is told up to now.
fn days(now: Wall, zone: &TimeZone) -> Vec<(Wall, Wall)> {
    let Ok(at) = Timestamp::from_millisecond(now.0) else { return Vec::new() };
    let mut starts = vec![now.plus_ms(1)];
    let mut day = at.to_zoned(zone.clone()).date();
    while starts.len() <= DAYS {
        let (Ok(start), Ok(before)) = (day.to_zoned(zone.clone()), day.yesterday()) else { break };
        starts.push(Wall(start.timestamp().as_millisecond()));
        day = before;
    }
    starts.reverse();
    starts.iter().copied().zip(starts.iter().copied().skip(1)).collect()
}

async fn uploads(State(console): State<Console>) -> Result<Json<Rows>, Problem> {
    let now = console.clock.now().wall;
    let ids: Vec<DestinationId> = console.destinations.keys().cloned().collect();
    let days = days(now, &console.duty.zone);
    let found = read(&console, move |reader| {
        let mut found = Vec::new();
        for id in ids {
            let [day, month] = SPANS_MS.map(|ms| reader.uploaded(&id, (now.plus_ms(-ms), now.plus_ms(1))));
            let (waiting, oldest) = reader.waiting(&id)?;
            let (day, month) = (Complete::of(day?), Complete::of(month?));
            let mut history = Vec::with_capacity(DAYS);
            for span in &days {
                let told = reader.uploaded(&id, *span)?;
                history.push((span.0.0, told.owed(), told.accepted));
            }
            found.push(Found { id, waiting, oldest, day, month, history });
        }
        Ok(found)
    })
    .await?;
    let row = |found: Found| {
        let Found { id, waiting, oldest, day, month, history } = found;
        let status = console.destinations.get(&id)?.borrow().clone();
        let lag_ms = oldest.map_or(0, |oldest| now.since(oldest).max(0));
        Some(Row {
            id: id.to_string(),
            state: status.state,
            waiting,
            oldest: oldest.map(|at| at.0),
            lag_secs: u64::try_from(lag_ms / 1000).unwrap_or(0),
            day,
            month,
            history,
            last_success: status.last_success.map(|at| at.0),
            last_failure: status.last_failure.map(|at| at.0),
            last_error: status.last_error,
        })
    };
    Ok(Json(Rows { rows: found.into_iter().filter_map(row).collect() }))
}

/// How the machine is doing.
#[derive(Serialize, JsonSchema)]
struct System {
    version: &'static str,
    at: i64,
    uptime_secs: u64,
    clock: Clocks,
    disk: Disk,
    /// Bytes of each part of the data directory.
    parts: BTreeMap<String, u64>,
    /// The newest backup that was made here.
    last_backup: Option<Backup>,
    /// When the audit trail was last verified.
    last_verify: Option<i64>,
    processes: Vec<Process>,
}

/// How the clock is doing.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemClock")]
struct Clocks {
    /// It has been set: it shows a time that can be.
    set: bool,
    /// How far the clock of a platform is ahead of ours, if one told, milliseconds.
    offset_ms: Option<i64>,
    timezone: Option<String>,
}

/// Room on the disk, bytes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemDisk")]
struct Disk {
    total: u64,
    free: u64,
    budget: u64,
    used: u64,
}

/// A backup.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemBackup")]
struct Backup {
    at: i64,
    bytes: u64,
}

/// A process.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SystemProcess")]
struct Process {
    name: &'static str,
    /// Memory that it has, bytes.
    rss: Option<u64>,
}

async fn system(State(console): State<Console>) -> Result<Json<System>, Problem> {
    let now = console.clock.now();
    let dir = console.data_dir.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let usage = store::usage(&dir)?;
        Ok::<_, std::io::Error>((usage, backups(&dir.join(BACKUPS_DIR)).pop(), rss()))
    });
    let (usage, backup, rss): (Usage, _, _) = match looked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::error!(error = %Chain(&error), "the data directory could not be measured");
            return Err(unmeasured());
        }
        Err(_) => return Err(unmeasured()),
    };
    let last_verify = read(&console, |reader| reader.last_audited(&VERIFICATIONS)).await?;
    let offset_ms = console.destinations.values().find_map(|status| status.borrow().clock_ahead_ms);
    Ok(Json(System {
        version: env!("CARGO_PKG_VERSION"),
        at: now.wall.0,
        uptime_secs: now.mono.0 / 1000,
        clock: Clocks {
            set: now.wall.plausible(),
            offset_ms,
            timezone: console.site.zone.iana_name().map(ToOwned::to_owned),
        },
        disk: Disk {
            total: usage.disk,
            free: usage.free,
            budget: console.work.budget_bytes,
            used: usage.used(),
        },
        parts: usage.parts,
        last_backup: backup.map(|(at, bytes)| Backup { at, bytes }),
        last_verify: last_verify.map(|at| at.0),
        processes: vec![Process { name: "schoolgate", rss }],
    }))
}

/// What the audit trail calls a verification of itself.
const VERIFICATIONS: [&str; 2] = ["audit_verify", "db_verify"];

fn unmeasured() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "数据目录无法读取，详见日志",
        "the data directory cannot be read; see the log",
    )
}

/// Memory of this process, bytes, where the system tells.
fn rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_school_and_the_last_ends_now() {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Asia/Shanghai").unwrap();
        // 2026-03-01T00:30 in Shanghai.
        let now = Wall(1_772_296_200_000);
        let days = days(now, &zone);
        assert_eq!(days.len(), DAYS);
        assert_eq!(days[DAYS - 1], (Wall(1_772_294_400_000), now.plus_ms(1)));
        assert!(days.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].1.since(pair[0].0) == DAY_MS));
    }
}
