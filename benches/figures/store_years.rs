//! A store of a hundred million readings: how soon it is ready, how fast it answers, and with how much memory; each in
//! a process of its own.

use crate::store::{Dice, METERS, Meter, POINTS, SEPTEMBER, fill, meter_id};
use crate::traffic::demo_config;
use crate::{Failure, Figure, Goal, median, quantile, scratch};
use rusqlite::Connection;
use schoolgate::model::{DeviceId, Mono, Now, PointId, Wall};
use schoolgate::pipeline::{Pipeline, Settings};
use schoolgate::profile::Nature;
use schoolgate::rules::Engine;
use schoolgate::runtime::Chain;
use schoolgate::store::{
    Chunk, FILE_NAME, HistoryFile, Level, Metered, Reader, Row, SeriesName, Span, Store,
};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use tokio::runtime::Runtime;

pub(crate) const FIGURES: &[&str] = &[
    "store.ready_ms_100m",
    "store.ready_ms_100m_after_crash",
    "store.last100_ms",
    "store.device_day_ms",
    "store.device_year_ms",
    "store.school_year_ms",
    "store.rss_mb",
];

/// This program as one of the processes that are measured.
const PART: &str = "--store-part";
/// Sealed readings.
const READINGS: i64 = 100_000_000;
/// Minutes of all meters in one file: 240,000 readings, as the store seals them.
const FILE_MINUTES: i64 = 240;
/// Minutes that are still rows: what a start looks at.
const HOT_MINUTES: i64 = 130;
/// Days of roll-ups.
const DAYS: i64 = 366;
/// Days of the upload level and of hours among the others' pages.
const DETAIL_DAYS: i64 = 10;
/// A question is asked so often.
const TIMES: u64 = 15;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;

/// Which part this process is to play, and in which directory.
pub(crate) fn asked() -> Option<(String, PathBuf)> {
    let mut arguments = std::env::args().skip_while(|argument| argument != PART).skip(1);
    Some((arguments.next()?, arguments.next()?.into()))
}

pub(crate) fn play(_: &Runtime, part: &str, dir: &Path) -> ExitCode {
    let played = match part {
        "ready" => ready(dir),
        "questions" => questions(dir),
        "crash" => crash(dir),
        _ => Err(format!("there is no part '{part}'").into()),
    };
    match played {
        Ok(lines) => {
            lines.iter().for_each(|(name, value)| println!("{name} {value}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("figures: {part}: {}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

type Lines = Vec<(&'static str, f64)>;

/// The moment of the last sealed reading.
fn sealed_until() -> i64 {
    SEPTEMBER + READINGS / i64::try_from(METERS * POINTS.len()).unwrap_or(1) * MINUTE_MS
}

/// Runs a part in a process of its own and takes up what it tells.
fn run(part: &str, dir: &Path) -> Result<Vec<(String, f64)>, Failure> {
    let out = Command::new(std::env::current_exe()?).arg(PART).arg(part).arg(dir).output()?;
    if !out.status.success() && part != "crash" {
        return Err(format!("{part}: {}", String::from_utf8_lossy(&out.stderr).trim()).into());
    }
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(text
        .lines()
        .filter_map(|l| l.split_once(' '))
        .filter_map(|(n, v)| Some((n.to_owned(), v.parse().ok()?)))
        .collect())
}

fn values(lines: &[(String, f64)], name: &str) -> Vec<f64> {
    lines.iter().filter(|(n, _)| n == name).map(|(_, v)| *v).collect()
}

pub(crate) fn measure(_: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let data = dir.path().join("data");
    let begun = Instant::now();
    build(&data)?;
    eprintln!(
        "figures: the store of {READINGS} readings stands after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let clean = (0..5).map(|_| run("ready", &data)).collect::<Result<Vec<_>, _>>()?;
    let clean: Vec<f64> = clean.iter().flat_map(|lines| values(lines, "ready_ms")).collect();
    let answers = run("questions", &data)?;
    run("crash", &data)?;
    let after = run("ready", &data)?;
    let crashed = values(&after, "ready_ms");
    let peak = quantile(&[values(&answers, "peak_mb"), values(&after, "peak_mb")].concat(), 1.0);
    let whole = "open, recall and Pipeline::start in a new process with the file cache as it is after the store was \
                 written; synthetic: sealed files of 8 repeated device days made by the store's own writer, \
                 numbers and times their own; roll-ups inserted";
    let at_most =
        |name, value, limit, text: String| Figure::new(name, value, "ms", Goal::AtMost(limit), text);
    let question = |name: &'static str, key: &str, limit: f64, text: &str| {
        let all = values(&answers, key);
        let text = format!("{text}; worst of {}, median {:.1}", all.len(), median(&all));
        at_most(name, quantile(&all, 1.0), limit, text)
    };
    Ok(vec![
        at_most("store.ready_ms_100m", median(&clean), 300.0, format!("median of {}; {whole}", clean.len())),
        at_most(
            "store.ready_ms_100m_after_crash",
            quantile(&crashed, 1.0),
            1000.0,
            "the same after the process was aborted amid commits and a seal, its log not copied".to_owned(),
        ),
        question(
            "store.last100_ms",
            "last100_ms",
            10.0,
            "the last 100 readings of one meter, connection included",
        ),
        question(
            "store.device_day_ms",
            "device_day_ms",
            50.0,
            &format!(
                "one point of one meter over one sealed day, every reading of it; its 1,440 minutes made of them: \
                 median {:.1} ms",
                median(&values(&answers, "minutes_ms"))
            ),
        ),
        question(
            "store.device_year_ms",
            "device_year_ms",
            60.0,
            "the 366 days of one point, from day roll-ups",
        ),
        question(
            "store.school_year_ms",
            "school_year_ms",
            50.0,
            "energy of 100 meters over 366 days, among 1,000 series: 365 days from their roll-ups, one from its 96 parts",
        ),
        Figure::new(
            "store.rss_mb",
            peak,
            "MB",
            Goal::AtMost(40.0),
            "VmHWM of the processes that answered these questions and that became ready".to_owned(),
        ),
    ])
}

/// Sealed files through the store's own writer, hot rows through commits, roll-ups put in by hand.
fn build(data: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(data)?;
    // A few different meter days are repeated: making the values would take longer than all the rest.
    let mut days = Vec::new();
    for number in 0..8 {
        let mut meter = Meter::new(number);
        days.push((0..FILE_MINUTES).map(|minute| meter.read(minute)).collect::<Vec<_>>());
    }
    let names: Vec<SeriesName> = POINTS
        .iter()
        .map(|(point, unit, kind)| SeriesName {
            point: (*point).into(),
            unit: unit.symbol().into(),
            kind: kind.as_str().into(),
        })
        .collect();
    let per_minute = i64::try_from(METERS * POINTS.len())?;
    let files = READINGS / (per_minute * FILE_MINUTES) + 1;
    std::thread::scope(|_| -> Result<(), Failure> {
        for file in 0..files {
            let minutes = FILE_MINUTES.min(READINGS / per_minute - file * FILE_MINUTES);
            let mut devices = Vec::with_capacity(METERS);
            for number in 0..METERS {
                let day = days.get(number % days.len()).ok_or("no day")?;
                devices.push((meter_id(number), chunk(day, &names, number, file * FILE_MINUTES, minutes)?));
            }
            HistoryFile::write(data, &devices)?;
            if file % 60 == 59 {
                eprintln!("figures: {} of {files} sealed files", file + 1);
            }
        }
        Ok(())
    })?;
    // The first start reads them all through and lists them.
    let mut store = Store::open(data)?;
    eprintln!("figures: sealed files listed");
    let mut meters: Vec<Meter> = (0..METERS).map(Meter::new).collect();
    fill(&mut store, &mut meters, sealed_until(), HOT_MINUTES)?;
    drop(store);
    roll_ups(&data.join(FILE_NAME))
}

fn chunk(
    day: &[[f64; 10]],
    names: &[SeriesName],
    number: usize,
    first: i64,
    minutes: i64,
) -> Result<Chunk, Failure> {
    let mut dice = Dice::new(u64::try_from(number)? << 32 | u64::try_from(first)?);
    let mut rows = Vec::with_capacity(day.len() * names.len());
    let place = i64::try_from(number)?;
    for (minute, values) in (0..minutes).zip(day) {
        let at = SEPTEMBER + (first + minute) * MINUTE_MS + place * 600 + i64::try_from(dice.below(40))?;
        for (series, value) in (0_u32..).zip(values) {
            let seq = ((first + minute) * i64::try_from(METERS)? + place) * 10 + i64::from(series) + 1;
            rows.push(Row {
                seq,
                arrived: at,
                device_at: None,
                value: Some(*value),
                series,
                clock: 1,
                quality: 0,
                doubt: 0,
            });
        }
    }
    Ok(Chunk { names: names.to_vec(), doubts: Vec::new(), rows })
}

fn roll_ups(file: &Path) -> Result<(), Failure> {
    let db = Connection::open(file)?;
    let end = sealed_until() / DAY_MS * DAY_MS - 8 * 3600 * 1000;
    db.execute_batch("begin")?;
    db.execute(
        "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?2) \
         insert into roll_up_day select s.id, ?1 - i * 86400000, ?1 - (i - 1) * 86400000, 1440, 331200.0, \
         225.0, 235.0, 230.0, case s.kind when 'counter' then 12.5 end, 0 from series s cross join n",
        [end, DAYS],
    )?;
    for (table, secs) in [("roll_up", 900), ("roll_up_hour", 3600)] {
        let third = if table == "roll_up" { "900" } else { "?1 - i * 3600000 + 3600000" };
        let column = if table == "roll_up" { "period_secs" } else { "ends" };
        let part = 12.5 * f64::from(secs) / 86_400.0;
        db.execute(
            &format!(
                "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?2) \
                 insert into {table} (series, start, {column}, count, sum, min, max, last, delta, revision) \
                 select s.id, ?1 - i * {secs}000, {third}, 15, 3450.0, 225.0, 235.0, 230.0, \
                 case s.kind when 'counter' then {part} end, 0 from n cross join series s order by 2, 1"
            ),
            [end, DETAIL_DAYS * 86_400 / i64::from(secs)],
        )?;
    }
    // One whole day is not made yet: its energy has to be taken from its parts, the most that a running day has.
    db.execute("insert into level_due (level, start, ends) values ('day', ?1 - 86400000, ?1)", [end])?;
    db.execute_batch("commit; pragma wal_checkpoint(truncate)")?;
    Ok(())
}

fn ready(dir: &Path) -> Result<Lines, Failure> {
    let conf = tempfile::tempdir()?;
    let config = demo_config(conf.path())?;
    let begun = Instant::now();
    let store = Store::open(dir)?;
    let remembered = store.recall(config.aggregate_secs)?;
    let settings = Settings {
        gateway: config.site.gateway.clone(),
        aggregate_secs: config.aggregate_secs,
        destinations: config.destinations.iter().map(|d| d.id.clone()).collect(),
        campus: schoolgate::campus::Settings::default(),
        alarms: Default::default(),
        areas: Vec::new(),
    };
    let now = Now { mono: Mono(0), wall: Wall(sealed_until() + HOT_MINUTES * MINUTE_MS) };
    let recalled = remembered.recent.as_ref().map_or(0, |recent| recent.readings.len());
    let pipeline = Pipeline::start(
        now,
        settings,
        std::sync::Arc::new(config.world),
        Engine::new(config.rules),
        remembered,
    );
    let took = ms(begun);
    if recalled == 0 {
        return Err("nothing was recalled".into());
    }
    drop((pipeline, store));
    Ok(vec![("ready_ms", took), ("peak_mb", peak_mb()?)])
}

fn questions(dir: &Path) -> Result<Lines, Failure> {
    let mut lines: Lines = Vec::new();
    let mut dice = Dice::new(11);
    let point = PointId::new("voltage_l1")?;
    for _ in 0..TIMES {
        let device = DeviceId::new(&meter_id(usize::try_from(dice.below(u64::try_from(METERS)?))?))?;
        let mut ask = |name, wanted: usize, look: &dyn Fn(&Reader) -> Result<usize, Failure>| {
            let begun = Instant::now();
            let got = look(&Reader::open(dir)?)?;
            lines.push((name, ms(begun)));
            if got == wanted {
                Ok(())
            } else {
                Err(Failure::from(format!("{name}: {got} rows, not {wanted}")))
            }
        };
        ask("last100_ms", 100, &|r| Ok(r.readings(Some(&device), None, None, 100)?.rows.len()))?;
        let from = Wall(SEPTEMBER + i64::try_from(dice.below(60))? * DAY_MS);
        let to = from.plus_ms(DAY_MS);
        let span = Span { device: Some(device.clone()), point: Some(point.clone()), from, to };
        ask("device_day_ms", 1440, &|r| {
            let mut n = 0;
            r.scan(&span, |_, _| {
                n += 1;
                ControlFlow::Continue(())
            })?;
            Ok(n)
        })?;
        ask("minutes_ms", 1440, &|r| {
            Ok(r.minutes(&device, &point, (from, to), Nature::default())?.map_or(0, |m| m.len()))
        })?;
        let all = (Wall(0), Wall(i64::MAX));
        ask("device_year_ms", 366, &|r| {
            Ok(r.levels(Level::Day, &device, Some(&point), all.0, all.1)?.len())
        })?;
        ask("school_year_ms", METERS, &|r| {
            let metered = r.metered(Level::Day, &[all], |_| true)?;
            let whole = |kwh: &f64| (kwh - 366.0 * 12.5).abs() < 1e-6;
            Ok(metered.iter().filter_map(Metered::kwh).filter(whole).count())
        })?;
    }
    lines.push(("peak_mb", peak_mb()?));
    Ok(lines)
}

/// Ends as a power cut would, amid a seal and with commits that are in the log alone.
fn crash(dir: &Path) -> Result<Lines, Failure> {
    // Else upkeep would make that day first.
    Connection::open(dir.join(FILE_NAME))?.execute("delete from level_due", [])?;
    let mut store = Store::open(dir)?;
    let mut meters: Vec<Meter> = (0..METERS).map(Meter::new).collect();
    let start = sealed_until() + HOT_MINUTES * MINUTE_MS;
    fill(&mut store, &mut meters, start, 200)?;
    let now = Now { mono: Mono(0), wall: Wall(start + 200 * MINUTE_MS) };
    store.seal_rows(150_000);
    for _ in 0..14 {
        store.maintain(now)?;
    }
    fill(&mut store, &mut meters, start + 200 * MINUTE_MS, 3)?;
    std::process::abort();
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn peak_mb() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
