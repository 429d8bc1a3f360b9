//! The running gateway loses its power again and again: what it had not synced is gone, what it had told the broker
//! is there. The same trial with synchronous NORMAL loses messages, so it can see a loss.
//!
//! `tests/peers/powercut.c`, preloaded into the daemon, keeps beside the data directory what was synced of it.

use crate::daemon::{School, device, mqtt_bus, sum_of, until};
use crate::kill::{
    Reins, drained, load, missing, per_round, sealed_files, seals, seed_old, serials, small_budget,
    subscribed, until_it_seals, values,
};
use crate::mosquitto::Mosquitto;
use crate::oracle;
use crate::torture::{self, Progress};
use hil::chance::Chance;
use schoolgate::store::Depth;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

const CUTS: usize = 30;
const LONG_CUTS: usize = 1_000;
const CONTROL_CUTS: usize = 6;
/// Latest moment of a cut after the first commit of a run.
const SPREAD_MS: u64 = 60;
/// What the system writes back as a whole.
const PAGE: usize = 4096;

/// Compiles the listener that is preloaded.
fn listener() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let built = tempfile::Builder::new().suffix(".so").tempfile_in(dir).expect("a file").into_temp_path();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&built)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/powercut.c"))
        .arg("-ldl")
        .status()
        .expect("cc runs (apt-get install gcc libc6-dev)");
    assert!(compiled.success(), "powercut.c compiles");
    let library = dir.join("powercut.so");
    built.persist(&library).expect("a name");
    library
}

/// What a power failure leaves of a data directory.
struct Platter {
    data: PathBuf,
    platter: TempDir,
    listener: PathBuf,
    chance: Chance,
}

/// A file's number for ever, as `powercut.c` writes it.
fn id(path: &Path) -> String {
    let meta = std::fs::symlink_metadata(path).expect("a file");
    let made = meta.created().expect("a file system that says when files were made");
    let made = made.duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{}-{}-{}", meta.ino(), made.as_secs(), made.subsec_nanos())
}

impl Platter {
    fn new(school: &School) -> Self {
        let data = school.data_dir();
        let parent = data.parent().unwrap().canonicalize().expect("the school's directory");
        let platter = tempfile::tempdir().expect("a directory");
        Self { data: parent.join("data"), platter, listener: listener(), chance: Chance::seeded(11) }
    }

    fn environment(&self) -> Vec<(&str, &Path)> {
        vec![
            ("LD_PRELOAD", &self.listener),
            ("POWERCUT_DIR", &self.data),
            ("POWERCUT_PLATTER", self.platter.path()),
        ]
    }

    /// The power fails: the directory is set back to what is on the platter, every other time with some pages more
    /// that the system happened to have written.
    fn cut(&mut self) {
        let more = self.chance.one_in(2);
        let left = self.data.with_file_name("data.left");
        std::fs::create_dir(&left).expect("a directory");
        self.restore("root", &self.data.clone(), &left, more);
        if self.data.exists() {
            std::fs::remove_dir_all(&self.data).expect("the old directory goes");
        }
        std::fs::rename(&left, &self.data).expect("the new one takes its place");
        self.rest();
    }

    /// All that is in the directory is on the platter.
    fn rest(&self) {
        for entry in std::fs::read_dir(self.platter.path()).expect("the platter") {
            std::fs::remove_file(entry.expect("an entry").path()).expect("an old image goes");
        }
        self.settle("root", &self.data.clone());
    }

    fn restore(&mut self, id_of_dir: &str, live: &Path, to: &Path, more: bool) {
        let names = std::fs::read_to_string(self.platter.path().join(format!("names.{id_of_dir}")));
        for line in names.unwrap_or_default().lines() {
            let mut words = line.splitn(3, ' ');
            let (kind, id_here, name) =
                (words.next().expect("a kind"), words.next().expect("an id"), words.next().expect("a name"));
            let (live, to) = (live.join(name), to.join(name));
            if kind == "d" {
                std::fs::create_dir(&to).expect("a directory");
                self.restore(id_here, &live, &to, more);
                continue;
            }
            let synced =
                std::fs::read(self.platter.path().join(format!("data.{id_here}"))).unwrap_or_default();
            let bytes = match std::fs::read(&live) {
                Ok(written) if more && id(&live) == id_here => self.mix(synced, &written),
                _ => synced,
            };
            std::fs::write(&to, bytes).expect("a file");
            if let Ok(meta) = std::fs::metadata(&live) {
                std::fs::set_permissions(&to, meta.permissions()).expect("permissions");
            }
        }
    }

    /// Some pages as they were written, the others as they were synced.
    fn mix(&mut self, mut synced: Vec<u8>, written: &[u8]) -> Vec<u8> {
        if self.chance.one_in(2) {
            synced.resize(written.len(), 0);
        }
        for (old, new) in synced.chunks_mut(PAGE).zip(written.chunks(PAGE)) {
            if self.chance.one_in(2) {
                let len = old.len().min(new.len());
                old[..len].copy_from_slice(&new[..len]);
            }
        }
        synced
    }

    /// What was left is on the platter.
    fn settle(&self, id_of_dir: &str, dir: &Path) {
        let mut names = String::new();
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let (id, name) = (id(&path), path.file_name().unwrap().to_string_lossy().into_owned());
            let kind = if path.is_dir() { 'd' } else { 'f' };
            names.push_str(&format!("{kind} {id} {name}\n"));
            if kind == 'd' {
                self.settle(&id, &path);
            } else {
                std::fs::copy(&path, self.platter.path().join(format!("data.{id}"))).expect("an image");
            }
        }
        std::fs::write(self.platter.path().join(format!("names.{id_of_dir}")), names).expect("names");
    }
}

/// Runs the daemon and cuts its power, as often as told: one time in ten while it starts. How many readings of days ago
/// were stored in between.
async fn rounds(
    school: &School,
    reins: &Reins,
    platter: &mut Platter,
    cuts: usize,
    exhibit: Option<&str>,
) -> usize {
    let progress = Progress::new("power cuts", cuts);
    // In some of the rounds the power fails while readings are being sealed.
    let seals = if exhibit.is_none() { seals(cuts) } else { 0 };
    let mut old = 0;
    for cut in 0..cuts {
        reins.allow(per_round(cuts));
        let seal = seals * (cut + 1) / cuts > seals * cut / cuts;
        if seal {
            old += seed_old(school) as usize;
            platter.rest();
        }
        let sealed = sealed_files(school);
        let mut env = platter.environment();
        env.extend(exhibit.map(|name| ("SCHOOLGATE_MUSEUM", Path::new(name))));
        let mut daemon = school.launch_with(&env);
        if seal {
            daemon.ready().await;
            until_it_seals(school, sealed, &mut platter.chance).await;
        } else if platter.chance.one_in(10) {
            tokio::time::sleep(Duration::from_millis(platter.chance.below(SPREAD_MS))).await;
        } else {
            daemon.ready().await;
            until("a message is committed", async || {
                let page = school.metrics().await;
                let worked = sum_of(&page, "schoolgate_readings_total", "") > 0.0
                    && sum_of(&page, "schoolgate_events_total", "") > 0.0;
                worked.then_some(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(platter.chance.below(SPREAD_MS))).await;
        }
        daemon.kill().await;
        platter.cut();
        if exhibit.is_none() {
            assert_eq!(oracle::sound(&platter.data, Depth::Quick), Ok(()), "after a power cut");
            platter.rest();
        }
        progress.one();
    }
    reins.stop();
    old
}

/// Messages that the broker was told are safe and that are not in the store, after so many power cuts.
pub async fn lost(cuts: usize, exhibit: Option<&str>) -> i64 {
    let broker = Mosquitto::start().await;
    let devices = device("th", "aqara-wsdcgq11lm", "th")
        + &device("help", "tuya-ts0215a", "help")
        + &device("reader", "face-rec-mqtt", "1001");
    let school = School::new(&(mqtt_bus(&broker) + &devices));
    small_budget(&school);
    let mut platter = Platter::new(&school);
    let first = school.launch_with(&platter.environment());
    subscribed(&school, &broker, first).await;
    platter.cut();

    let reins = Reins::new(per_round(cuts));
    let (sent, old) =
        tokio::join!(load(&broker, &reins), rounds(&school, &reins, &mut platter, cuts, exhibit));

    let last = school.start().await;
    drained(&school, &broker).await;
    let mut lost = missing("readings", sent, &values(&school, "th", "temperature"))
        + missing("card passes", sent, &serials(&school));
    if old > 0 {
        lost += old.abs_diff(values(&school, "old", "power").len());
    }
    let calls = school.count("select count(*) from event where kind = 'help'");
    println!(
        "{cuts} power cuts, 3 × {sent} messages, {lost} numbered ones lost, {calls} calls for help stored"
    );
    if exhibit.is_none() {
        assert_eq!(calls, i64::from(sent), "calls for help, which all look the same");
        last.kill().await;
        assert_eq!(oracle::sound(&school.data_dir(), Depth::Whole), Ok(()));
    }
    i64::try_from(lost).unwrap()
}

#[tokio::test]
async fn power_cuts_lose_nothing_that_the_broker_was_told_is_safe() {
    let cuts = torture::scale("CUTS", CUTS, LONG_CUTS);
    let lost = lost(cuts, None).await;
    torture::power_cuts(cuts, lost);
    assert_eq!(lost, 0, "messages lost");
}

#[cfg(feature = "museum")]
#[tokio::test]
async fn the_same_power_cuts_with_synchronous_normal_lose_messages() {
    let lost = lost(CONTROL_CUTS, Some("synchronous_normal")).await;
    torture::control(lost);
    assert!(lost > 0, "this trial could not see a loss");
}
