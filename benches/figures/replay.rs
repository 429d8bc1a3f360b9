//! A year of a school shown to forty rules: the real program, in a process of its own, over sealed readings.

use crate::store::{Dice, SEPTEMBER};
use crate::{Failure, Figure, Goal, scratch, source};
use schoolgate::store::{Chunk, FILE_NAME, HistoryFile, Row, SeriesName, Store};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

pub(crate) const FIGURES: &[&str] =
    &["alarms.replay_year_s", "alarms.replay_year_15min_s", "alarms.replay_rss_mb"];

const METERS: i64 = 200;
/// Buildings, each with as many meters.
const BUILDINGS: i64 = 10;
const DAYS: i64 = 365;
const DAY_MS: i64 = 86_400_000;
/// Readings of a sealed file: what the store seals at most.
const FILE_ROWS: i64 = 250_000;

pub(crate) fn measure(_: &Runtime) -> Result<Vec<Figure>, Failure> {
    let (mut took, mut peaks) = (Vec::new(), Vec::new());
    for minutes in [5, 15] {
        let dir = scratch()?;
        let begun = Instant::now();
        build(&dir.path().join("data"), minutes)?;
        std::fs::write(dir.path().join("gateway.toml"), configuration()?)?;
        eprintln!("figures: a year of {METERS} meters stands after {:.0} s", begun.elapsed().as_secs_f64());
        let (secs, peak) = replay(dir.path())?;
        took.push(secs);
        peaks.push(peak);
    }
    let text = |minutes: i64| {
        format!(
            "`schoolgate rules replay` over {DAYS} days of {METERS} meters, one reading of one point each {minutes} \
             min ({:.1} million, sealed, the files in the cache), 40 rules: 4 that watch all meters, and in each of \
             {BUILDINGS} buildings 3 and in 6 of them one more that watch its {}; thresholds with delays, loads \
             outside teaching time, silence; rules side by side on the cores of this machine ({})",
            (METERS * DAYS * 1440 / minutes) as f64 / 1e6,
            METERS / BUILDINGS,
            std::thread::available_parallelism().map_or(1, |n| n.get()),
        )
    };
    let at = |n: usize, all: &[f64]| all.get(n).copied().unwrap_or(f64::NAN);
    Ok(vec![
        Figure::new("alarms.replay_year_s", at(0, &took), "s", Goal::AtMost(60.0), text(5)),
        Figure::new("alarms.replay_year_15min_s", at(1, &took), "s", Goal::AtMost(60.0), text(15)),
        Figure::new(
            "alarms.replay_rss_mb",
            at(0, &peaks).max(at(1, &peaks)),
            "MB",
            Goal::AtMost(200.0),
            "VmHWM of these processes".to_owned(),
        ),
    ])
}

fn meter(number: i64) -> String {
    format!("m{number:03}")
}

/// Ten buildings, their meters, and the rules.
fn configuration() -> Result<String, Failure> {
    let profiles = source("device-profiles");
    let mut text = format!(
        "[site]\ngateway = \"gw\"\nname = \"school\"\n[store]\ndir = \"data\"\n[profiles]\ndir = \"{}\"\n",
        profiles.display()
    );
    for building in 0..BUILDINGS {
        writeln!(text, "[[place]]\nid = \"b{building}\"\nkind = \"building\"\nname = \"b{building}\"")?;
        writeln!(
            text,
            "[[bus]]\nid = \"b{building}\"\nkind = \"modbus-tcp\"\nhost = \"10.0.0.{}\"",
            building + 1
        )?;
    }
    for number in 0..METERS {
        let (building, unit) = (number % BUILDINGS, number / BUILDINGS + 1);
        writeln!(
            text,
            "[[device]]\nid = \"{}\"\nprofile = \"eastron-sdm630\"\nbus = \"b{building}\"\naddress = {unit}\n\
             place = \"b{building}\"\npoll_secs = 300",
            meter(number)
        )?;
    }
    let mut rule = |id: &str, body: &str| writeln!(text, "[[rule]]\nid = \"{id}\"\n{body}");
    let power = "point = \"power_total\"\nunit = \"kW\"\n";
    let everywhere = "class = \"energy-meter\"\n";
    rule(
        "all-high",
        &format!("kind = \"threshold\"\n{everywhere}{power}above = 9.5\ndeadband = 1\non_delay_secs = 600"),
    )?;
    rule("all-low", &format!("kind = \"threshold\"\n{everywhere}{power}below = 0.05\non_delay_secs = 3600"))?;
    rule("all-night", &format!("kind = \"outside_hours\"\n{everywhere}{power}above = 8\nfor_secs = 1800"))?;
    rule("all-silent", &format!("kind = \"silent\"\n{everywhere}after_secs = 3600"))?;
    for building in 0..BUILDINGS {
        let here = format!("place = \"b{building}\"\n");
        rule(
            &format!("high-{building}"),
            &format!("kind = \"threshold\"\n{here}{power}above = 9\ndeadband = 2\non_delay_secs = 900"),
        )?;
        rule(
            &format!("night-{building}"),
            &format!("kind = \"outside_hours\"\n{here}{power}above = 6\nfor_secs = 3600"),
        )?;
        rule(&format!("silent-{building}"), &format!("kind = \"silent\"\n{here}after_secs = 1800"))?;
        if building < 6 {
            rule(
                &format!("low-{building}"),
                &format!("kind = \"threshold\"\n{here}{power}below = 0.2\noff_delay_secs = 600"),
            )?;
        }
    }
    Ok(text)
}

/// Sealed files through the store's own writer.
fn build(data: &Path, minutes: i64) -> Result<(), Failure> {
    std::fs::create_dir_all(data)?;
    let moments = DAYS * 1440 / minutes;
    let each = FILE_ROWS / METERS;
    let names = vec![SeriesName { point: "power_total".into(), unit: "W".into(), kind: "gauge".into() }];
    let mut first = 0;
    while first < moments {
        let upto = (first + each).min(moments);
        let mut devices = Vec::new();
        for number in 0..METERS {
            let mut dice = Dice::new(u64::try_from(number * moments + first)?);
            let rows = (first..upto).map(|moment| {
                // A load that follows the day, with some noise, and now and then more than is usual.
                let day = (moment * minutes % 1440 - 780) as f64 / 240.0;
                let noise = dice.below(2_000) as f64;
                let odd = if dice.below(2_000) == 0 { 4_000.0 } else { 0.0 };
                Row {
                    seq: moment * METERS + number + 1,
                    arrived: SEPTEMBER + moment * minutes * 60_000 + number * 20,
                    device_at: None,
                    value: Some((5_000.0 * (-day * day).exp() + noise + odd).round()),
                    series: 0,
                    clock: 1,
                    quality: 0,
                    doubt: 0,
                }
            });
            let rows: Vec<Row> = rows.collect();
            devices.push((meter(number), Chunk { names: names.clone(), doubts: Vec::new(), rows }));
        }
        HistoryFile::write(data, &devices)?;
        first = upto;
    }
    // The first start reads them all through and lists them.
    drop(Store::open(data)?);
    if !data.join(FILE_NAME).exists() {
        return Err("there is no store".into());
    }
    Ok(())
}

/// Runs the program; how long it took, and the most memory it had.
fn replay(dir: &Path) -> Result<(f64, f64), Failure> {
    let day = |days: i64| jiff_day(SEPTEMBER + days * DAY_MS);
    let begun = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
        .args(["rules", "replay", "--json", "--from", &day(0)?, "--to", &day(DAYS)?])
        .arg("--config")
        .arg(dir.join("gateway.toml"))
        .stdout(std::fs::File::create(dir.join("told.json"))?)
        .stderr(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", process.id());
    let mut peak: f64 = 0.0;
    let ended = loop {
        if let Some(ended) = process.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kb = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = kb.and_then(|kb| kb.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        peak = peak.max(kb.unwrap_or(0.0) / 1024.0);
        std::thread::park_timeout(Duration::from_millis(50));
    };
    let took = begun.elapsed().as_secs_f64();
    let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(dir.join("told.json"))?)?;
    let raised = told.get("only_now").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    if !ended.success() || raised == 0 {
        return Err(format!("the replay ended with {ended} and {raised} alarms").into());
    }
    let readings = told.get("readings").and_then(serde_json::Value::as_u64).unwrap_or(0);
    eprintln!("figures: {readings} readings, {raised} alarms in {took:.1} s, {peak:.0} MB");
    Ok((took, peak))
}

fn jiff_day(ms: i64) -> Result<String, Failure> {
    Ok(jiff::Timestamp::from_millisecond(ms)?.to_string())
}
