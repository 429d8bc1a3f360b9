//! Where pictures of alarms lie: one file each, kept for some days and within some room, never uploaded.

use crate::model::{AlarmId, DeviceId, Wall};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::sync::broadcast;

/// The directory below the data directory.
const DIR: &str = "pictures";
const UNFINISHED: &str = "unfinished";
const DAY_MS: i64 = 24 * 3_600_000;
/// Pictures of which whoever follows may be behind.
const TAKEN: usize = 64;

/// What a picture is called: of which alarm, by which camera, when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// When it was taken.
    pub at: Wall,
    /// Of which alarm.
    pub alarm: AlarmId,
    /// By which camera.
    pub camera: DeviceId,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}.jpg", self.alarm, self.at.0, self.camera)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_suffix(".jpg").ok_or(())?.splitn(3, '-');
        let mut part = || parts.next().ok_or(());
        let alarm = AlarmId(part()?.parse().map_err(drop)?);
        let at = Wall(part()?.parse().map_err(drop)?);
        let camera = DeviceId::new(part()?).map_err(drop)?;
        let name = Self { at, alarm, camera };
        // One file has one name: no signs and leading zeros.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// The pictures of a school.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
    keep_days: u32,
    most_bytes: u64,
    /// Of which alarms there are new ones.
    taken: broadcast::Sender<AlarmId>,
}

impl Shelf {
    /// In the data directory; pictures older than `keep_days` go, and the oldest where all take more than `most_bytes`.
    #[must_use]
    pub fn new(data_dir: &Path, keep_days: u32, most_bytes: u64) -> Self {
        let taken = broadcast::Sender::new(TAKEN);
        Self { dir: data_dir.join(DIR), keep_days, most_bytes, taken }
    }

    /// Puts a picture there, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &Name, picture: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let unfinished = self.dir.join(UNFINISHED);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let written = file.write_all(picture).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, self.path(name))) {
            // What is half there takes room that may be what is missing.
            fs::remove_file(&unfinished).ok();
            return Err(error);
        }
        self.tell(name);
        fs::File::open(&self.dir)?.sync_all()
    }

    /// Gives a picture to another alarm, too; it takes no more room.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn share(&self, picture: &Name, name: &Name) -> io::Result<()> {
        fs::hard_link(self.path(picture), self.path(name))?;
        self.tell(name);
        Ok(())
    }

    fn tell(&self, name: &Name) {
        // Whether anybody listens is nothing to a shelf.
        self.taken.send(name.alarm).ok();
    }

    /// The alarms that get a picture from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<AlarmId> {
        self.taken.subscribe()
    }

    /// The pictures of an alarm with their sizes, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn of(&self, alarm: AlarmId) -> io::Result<Vec<(Name, u64)>> {
        self.of_any(&BTreeSet::from([alarm]))
    }

    /// The pictures of these alarms with their sizes, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn of_any(&self, alarms: &BTreeSet<AlarmId>) -> io::Result<Vec<(Name, u64)>> {
        let mut all = self.all()?;
        all.retain(|(name, _)| alarms.contains(&name.alarm));
        Ok(all)
    }

    /// One picture.
    ///
    /// # Errors
    /// When it is not there (any more).
    pub fn read(&self, name: &Name) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    /// Takes away what is too old or too much; says how many.
    ///
    /// # Errors
    /// When they cannot be listed or deleted.
    pub fn prune(&self, now: Wall) -> io::Result<u64> {
        let all = self.all()?;
        let mut room: u64 = all.iter().map(|(_, bytes)| bytes).sum();
        let keep_ms = i64::from(self.keep_days).saturating_mul(DAY_MS);
        let mut gone = 0;
        for (name, bytes) in all {
            // A clock that is not set makes nothing old.
            let old = now.plausible() && now.since(name.at) > keep_ms;
            if old || room > self.most_bytes {
                fs::remove_file(self.path(&name))?;
                room = room.saturating_sub(bytes);
                gone += 1;
            }
        }
        Ok(gone)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.dir.join(name.to_string())
    }

    fn all(&self) -> io::Result<Vec<(Name, u64)>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                all.push((name, entry.metadata()?.len()));
            }
        }
        all.sort();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_no_other() {
        for good in ["7-1790000000000-gate-cam-1.jpg", "0-0-c.jpg"] {
            assert_eq!(name(good).to_string(), good);
        }
        let dots = "7-1-../../secret.jpg";
        for wrong in
            ["", "7", "7-1.jpg", "7-1-.jpg", "+7-1-c.jpg", "07-1-c.jpg", "7-1-c.png", dots, "7-1-c/d.jpg"]
        {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pictures_are_kept_by_alarm_and_the_old_and_the_many_go() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path(), 30, 250);
        let day = |n: i64| Wall(1_790_000_000_000 + n * DAY_MS);
        let at = |alarm: u64, n: i64| name(&format!("{alarm}-{}-cam.jpg", day(n).0));
        assert_eq!(shelf.of(AlarmId(1)).unwrap(), vec![]);
        assert_eq!(shelf.prune(day(0)).unwrap(), 0);
        for (alarm, n, byte) in [(1, 0, 1_u8), (1, 20, 1), (2, 25, 2)] {
            shelf.put(&at(alarm, n), &[byte; 100]).unwrap();
        }
        shelf.share(&at(2, 25), &at(3, 26)).unwrap();
        assert_eq!(shelf.of(AlarmId(1)).unwrap(), vec![(at(1, 0), 100), (at(1, 20), 100)]);
        assert_eq!(shelf.read(&at(3, 26)).unwrap(), [2; 100]);

        assert_eq!(shelf.prune(Wall(0)).unwrap(), 2, "400 bytes are there and 250 may be");
        assert!(shelf.of(AlarmId(1)).unwrap().is_empty(), "the oldest are gone");
        assert_eq!(shelf.prune(day(56)).unwrap(), 1);
        assert_eq!(
            shelf.read(&at(3, 26)).unwrap(),
            [2; 100],
            "what was shared stays as long as one name of it"
        );
        assert_eq!(shelf.read(&at(2, 25)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_picture_that_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(dir.path(), 30, 1000);
        let taken = name("1-1790000000000-cam.jpg");
        fs::create_dir_all(dir.path().join(DIR).join(taken.to_string()).join("in-the-way")).unwrap();
        assert!(shelf.put(&taken, b"picture").is_err());
        assert!(!dir.path().join(DIR).join(UNFINISHED).exists());
    }
}
