//! Trouble with the medium: it turns read-only, is full, fails to sync, stalls. Nothing that was accepted is lost,
//! nothing is accepted meanwhile, and alarms are heard all the same.

use crate::daemon::PATIENCE;
use crate::daemon::{Daemon, Publisher, School, device, mqtt_bus, numbered, stored_numbers, until};
use crate::mosquitto::{Mosquitto, Setup};
use crate::torture::{Progress, long, scale};
use schoolgate::alarm::{self, AlarmBook, Before};
use schoolgate::model::{
    AlarmChange, AlarmClass, AlarmKey, DeviceId, Event, EventKind, Mono, Now, Phase, PointId, PointKind,
    Priority, Reading, RuleId, Stamp, Text, Unit, Wall,
};
use schoolgate::pipeline::{Commit, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::runtime::{SystemClock, Tally};
use schoolgate::store::{self, Depth, Reader, Store};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// An alarm is announced within this, whatever the medium does.
const ANNOUNCED: Duration = Duration::from_millis(300);
/// The store is in use again within this after its medium is.
const RECOVERED: Duration = Duration::from_secs(10);

/// The library that stands between the daemon and its medium, built once.
fn shim() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let library = dir.path().join("medium.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/trouble/medium.c");
        let args = ["-shared", "-fPIC", "-O1", "-Wall", "-o"];
        let status = Command::new("cc").args(args).arg(&library).arg(source).arg("-ldl").status();
        assert!(status.expect("cc runs").success(), "medium.c is built");
        (dir, library)
    });
    library
}

/// A school with a button, a sensor, and a medium that does as it is told.
struct Trouble {
    school: School,
    script: PathBuf,
    data: PathBuf,
    /// One that sends on while nothing is acknowledged.
    broker: Mosquitto,
}

impl Trouble {
    async fn new() -> Self {
        let setup = Setup { extra: vec!["max_inflight_messages 0".into()], ..Setup::default() };
        let broker = Mosquitto::start_with(&setup).await;
        let devices = device("th", "aqara-wsdcgq11lm", "th") + &device("sos", "tuya-ts0215a", "sos");
        let school = School::new(&(mqtt_bus(&broker) + &devices));
        let script = school.config().with_file_name("medium");
        let data = school.data_dir();
        let trouble = Self { school, script, data, broker };
        trouble.medium("sound");
        trouble
    }

    /// What the medium does from now on.
    fn medium(&self, word: &str) {
        let new = self.script.with_extension("new");
        std::fs::write(&new, word).expect("the script is written");
        std::fs::rename(new, &self.script).expect("the script is in place");
    }

    async fn start(&self) -> Daemon<'_> {
        let env = [("LD_PRELOAD", shim()), ("MEDIUM_SCRIPT", &self.script), ("MEDIUM_DIR", &self.data)];
        let mut daemon = self.school.launch_with(&env);
        daemon.ready().await;
        daemon.connected().await;
        // The subscription is there, and the first commits are made.
        let before = self.presses();
        until("a press is stored", async || {
            self.broker.publish("zigbee2mqtt/sos", br#"{"action":"emergency"}"#, &[]).await;
            (self.presses() > before).then_some(())
        })
        .await;
        // Behind all of them in the session's order.
        let garbage = "select count(*) from quarantine";
        let before = self.school.count(garbage);
        self.broker.publish("zigbee2mqtt/sos", b"no JSON", &[]).await;
        until("the last press is stored", async || (self.school.count(garbage) > before).then_some(())).await;
        daemon
    }

    fn presses(&self) -> i64 {
        self.school.count("select count(*) from event")
    }

    /// How often the button was heard: every press is a step of its alarm, announced in the log.
    fn announced(&self) -> usize {
        self.school.log().lines().filter(|line| line.contains("always.help")).count()
    }

    /// Presses the button; how long it took until that was announced.
    async fn press(&self) -> Duration {
        let (before, pressed) = (self.announced(), Instant::now());
        self.broker.publish("zigbee2mqtt/sos", br#"{"action":"emergency"}"#, &[]).await;
        let published = pressed.elapsed();
        until("the press is announced", async || (self.announced() > before).then_some(())).await;
        // The publisher's own process is not the gateway's affair.
        pressed.elapsed().saturating_sub(published)
    }
}

#[tokio::test]
async fn a_read_only_medium_under_load_accepts_nothing_and_recovers() {
    trouble_that_passes("read-only", "store.read_only").await;
}

#[tokio::test]
async fn a_full_medium_under_load_accepts_nothing_and_recovers() {
    trouble_that_passes("full", "store.full").await;
}

async fn trouble_that_passes(word: &str, rule: &str) {
    let trouble = Trouble::new().await;
    let daemon = trouble.start().await;
    let mut publisher = Publisher::new(&trouble.broker, "zigbee2mqtt/th");
    for n in 0..20 {
        publisher.publish(&numbered(n)).await;
    }
    until("the load is stored", async || (stored_numbers(&trouble.school).len() == 20).then_some(())).await;

    trouble.medium(word);
    let before = trouble.presses();
    let took = trouble.press().await;
    assert!(took < ANNOUNCED, "announced after {took:?}");
    for n in 20..60 {
        publisher.publish(&numbered(n)).await;
    }
    until("the trouble is announced", async || trouble.school.log().contains(rule).then_some(())).await;
    let took = trouble.press().await;
    assert!(took < ANNOUNCED, "announced after {took:?}");
    assert_eq!((trouble.presses(), stored_numbers(&trouble.school).len()), (before, 20), "nothing is stored");
    assert_eq!(
        trouble.school.metric("schoolgate_readings_total", "").await,
        20.0,
        "nothing is counted as stored"
    );

    trouble.medium("sound");
    let mended = Instant::now();
    until("all of it is stored", async || {
        (stored_numbers(&trouble.school).len() == 60 && trouble.presses() == before + 2).then_some(())
    })
    .await;
    let took = mended.elapsed();
    assert!(took < RECOVERED, "recovered after {took:?}");
    let steps = format!(
        "select count(*) from alarm_change c join alarm a on a.id = c.alarm where a.rule = '{rule}' \
         and c.kind in ('raised', 'cleared')"
    );
    until("its alarm is stored and over", async || (trouble.school.count(&steps) == 2).then_some(())).await;
    publisher.finish().await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(stored_numbers(&trouble.school), (0..60).collect::<Vec<i64>>(), "each once");
    assert_eq!(trouble.school.column::<String>("pragma integrity_check"), ["ok"]);
}

#[tokio::test]
async fn a_sync_that_fails_is_not_believed_and_ends_the_process_if_it_goes_on() {
    let trouble = Trouble::new().await;
    let mut daemon = trouble.start().await;
    let before = trouble.presses();
    trouble.medium("sync-fails");
    trouble.broker.publish("zigbee2mqtt/sos", br#"{"action":"emergency"}"#, &[]).await;
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(1), "the service manager starts it again");
    let log = trouble.school.log();
    assert!(log.contains("the store gives up"), "{log}");
    trouble.medium("sound");
    let daemon = trouble.start().await;
    // The broker was not answered, so it sends the press again; one more was sent to see that it works.
    until("the press is stored", async || (trouble.presses() >= before + 2).then_some(())).await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn while_the_card_stalls_alarms_are_heard() {
    let trouble = Trouble::new().await;
    let daemon = trouble.start().await;
    let before = trouble.presses();
    trouble.medium("stalls");
    let stalled = Instant::now();
    let mut presses = 0;
    while stalled.elapsed() < Duration::from_secs(3) {
        let took = trouble.press().await;
        assert!(took < ANNOUNCED, "press {presses} announced after {took:?}");
        presses += 1;
        // A session has a limit to what it holds unanswered; nobody presses faster.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(trouble.presses(), before, "nothing returned from the medium");
    assert!(trouble.school.rows("/api/v1/alarms").await.len() == 1, "pages answer");
    trouble.medium("sound");
    until("all presses are stored", async || (trouble.presses() == before + presses).then_some(())).await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn commits_call_fdatasync() {
    let trouble = Trouble::new().await;
    let daemon = trouble.start().await;
    std::fs::write(trouble.script.with_extension("syncs"), "").expect("the count begins");
    let before = trouble.presses();
    for _ in 0..3 {
        trouble.press().await;
    }
    until("they are stored", async || (trouble.presses() == before + 3).then_some(())).await;
    let syncs = std::fs::read_to_string(trouble.script.with_extension("syncs")).expect("the count");
    let of = |name: &str| syncs.lines().filter(|line| *line == name).count();
    assert!(of("fdatasync") > 0 && of("fsync") == 0, "{syncs}");
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

/// A small disk in memory; taken down when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(mib: u32) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(dir.path()).status();
        let mounted = mounted.expect("mount runs").success();
        assert!(
            mounted,
            "this test mounts a small tmpfs, which needs root: run the tests as root, as CI does"
        );
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["-l"]).arg(self.0.path()).status());
    }
}

/// A card pass and an alarm, as the `n`th of a school.
fn pass_and_alarm(n: u32, stamp: Stamp) -> (StoredEvent, AlarmChange) {
    let device = DeviceId::new("door").expect("an id");
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = Some(n.to_string());
    let finding = Finding {
        key: AlarmKey { rule: RuleId::new("always.help").expect("an id"), subject: n.to_string() },
        level: Level::Holds,
        class: AlarmClass::Help,
        priority: Priority::Critical,
        device: Some(device.clone()),
        place: None,
        what: Text::new("求助", "call for help"),
    };
    let before = Before { next_id: u64::from(n) + 1, ..Before::default() };
    let now = Now { mono: Mono(0), wall: stamp.gateway };
    let change = AlarmBook::restore(before, alarm::Setup::default()).apply(now, &finding, &[]).remove(0);
    (StoredEvent { device, stamp, retained: false, event }, change)
}

/// More than the disk holds, many times over: cards and alarms are kept, the oldest readings go, and the counter says
/// how many, exactly.
#[tokio::test]
async fn a_small_disk_overflows_many_times_and_loses_no_event() {
    /// What a reading takes in the database before it is sealed.
    const ROW_BYTES: usize = 50;
    // The short form's disk is full before the first readings are sealed, the long form's after.
    // Readings of a commit are what waits while one of them is made.
    let (disk_mib, readings) = if long() { (16, 10_000) } else { (8, 2000) };
    let times = scale("OVERFLOW", 3, 100);
    let commits =
        u32::try_from(times * (disk_mib as usize * 1024 * 1024) / ROW_BYTES / readings).expect("a number");
    let disk = SmallDisk::new(disk_mib);
    let tally = Arc::new(Tally::default());
    let store = Store::open(disk.0.path()).expect("a store");
    let (handle, thread) =
        store::open(store, Arc::new(SystemClock::new()), Arc::clone(&tally)).expect("a thread");
    let progress = Progress::new("commits to a small disk", commits as usize);
    let at = Wall(1_790_000_000_000);
    let of = DeviceId::new("d").expect("an id");
    let point = PointId::new("p").expect("an id");
    let mut ledger = 0;
    // No two values are alike, so that no compressor makes room.
    let mut value = 1_u64;
    let mut random = move || {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (value >> 11) as f64
    };
    for n in 0..commits {
        let stamp = Stamp::new(None, Wall(at.0 + i64::from(n) * 1000));
        let mut reading = || StoredReading {
            device: of.clone(),
            stamp,
            reading: Reading::new(point.clone(), random(), Unit::Watt, PointKind::Gauge),
        };
        let (event, change) = pass_and_alarm(n, stamp);
        let commit = Commit {
            readings: (0..readings).map(|_| reading()).collect(),
            events: vec![event],
            alarm_changes: vec![change],
            ..Commit::default()
        };
        ledger += readings;
        timeout(PATIENCE, handle.commit(commit)).await.expect("room is made in time").expect("room is made");
        progress.one();
    }
    drop(handle);
    thread.join().expect("closed");
    let db = rusqlite::Connection::open(disk.0.path().join("schoolgate.db")).expect("the database");
    let count = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).expect(sql) };
    assert_eq!(count("select count(*) from event"), i64::from(commits), "every card");
    assert_eq!(count("select count(*) from alarm"), i64::from(commits), "every alarm");
    assert_eq!(count("select count(*) from alarm_change"), i64::from(commits), "every step of them");
    let left = count(
        "select (select count(*) from reading where seq > (select coalesce(max(cast(value as integer)), 0) \
         from meta where key = 'sealed_through')) + (select coalesce(sum(readings), 0) from sealed)",
    );
    let dropped = count("select coalesce(sum(rows), 0) from dropped where reason = 'readings'");
    println!("{ledger} readings offered, {left} left, {dropped} given up, {commits} cards and alarms");
    assert_eq!(left + dropped, i64::try_from(ledger).expect("a number"), "the ledger");
    assert!(dropped > 0, "it overflowed");
    let metric = tally.dropped.of(&"readings").get();
    assert_eq!(i64::try_from(metric).expect("a number"), dropped, "the metric says the same");
    assert!(left > 10_000, "no more was given up than had to be: {left} left");
    assert_eq!(count("select count(*) from pragma_integrity_check where integrity_check <> 'ok'"), 0);
    drop(db);
    let verdict =
        Reader::open(disk.0.path()).and_then(|reader| reader.verify(Depth::Whole)).expect("a verdict");
    assert!(verdict.broken.is_empty(), "chains and sums hold: {:?}", verdict.broken);
}
