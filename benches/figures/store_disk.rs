//! What the flash card has to take: bytes written to a block device, the file system's journal included.

use crate::store::{METERS, Meter, SEPTEMBER, fill, minute_of};
use crate::{Failure, Figure, Goal, scratch};
use schoolgate::model::{Mono, Now, Wall};
use schoolgate::pipeline::Commit;
use schoolgate::store::Store;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::runtime::Runtime;

pub(crate) const FIGURES: &[&str] = &["store.device_gb_per_day"];

/// Minutes that are written before the count, so that seals and deletions are under way as on any other day.
const BEFORE_MINUTES: i64 = 380;
/// Minutes that count: two files are sealed in them.
const MINUTES: i64 = 480;
/// Commits of a minute: one every 5 s, as telemetry may wait.
const COMMITS: usize = 12;
const IMAGE_BYTES: u64 = 1 << 30;

/// A loop device with an ext4 on it, taken down when dropped.
struct Image {
    device: String,
    mount: PathBuf,
}

impl Image {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let file = dir.join("card.img");
        std::fs::File::create(&file)?.set_len(IMAGE_BYTES)?;
        let device =
            shell("losetup", &["--find".as_ref(), "--show".as_ref(), file.as_ref()])?.trim().to_owned();
        let image = Self { device, mount: dir.join("card") };
        std::fs::create_dir_all(&image.mount)?;
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        shell("mkfs.ext4", &["-q".as_ref(), "-E".as_ref(), lazy.as_ref(), image.device.as_ref()])?;
        shell("mount", &[image.device.as_ref(), image.mount.as_ref()])?;
        Ok(image)
    }

    /// Bytes written to it so far.
    fn written(&self) -> Result<u64, Failure> {
        shell("sync", &["-f".as_ref(), self.mount.as_ref()])?;
        let name = self.device.rsplit('/').next().unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat"))?;
        // The seventh number is sectors written, of 512 bytes whatever the device has.
        let sectors: u64 =
            stat.split_whitespace().nth(6).ok_or("/sys/block stat is not as expected")?.parse()?;
        Ok(sectors * 512)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        for (program, what) in [("umount", self.mount.as_os_str()), ("losetup", "-d".as_ref())] {
            let mut command = Command::new(program);
            command.arg(what);
            if program == "losetup" {
                command.arg(&self.device);
            }
            if !command.status().is_ok_and(|status| status.success()) {
                eprintln!("figures: {program} failed; {} may be left", self.device);
            }
        }
    }
}

fn shell(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<String, Failure> {
    let out = Command::new(program).args(arguments).output().map_err(|error| {
        format!("{program} cannot be run ({error}); this figure needs root and a loop device")
    })?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(format!("{program}: {}; this figure needs root and a loop device", said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

pub(crate) fn measure(_: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let image = Image::new(dir.path())?;
    let mut store = Store::open(&image.mount.join("data"))?;
    let mut meters: Vec<Meter> = (0..METERS).map(Meter::new).collect();
    fill(&mut store, &mut meters, SEPTEMBER, BEFORE_MINUTES)?;
    let before = image.written()?;
    let start = SEPTEMBER + BEFORE_MINUTES * 60_000;
    let (mut rows, mut commits) = (0, 0);
    for minute in 0..MINUTES {
        let readings = minute_of(&mut meters, start, minute)?;
        for part in readings.chunks(readings.len().div_ceil(COMMITS)) {
            rows += part.len();
            commits += 1;
            store.commit(&[&Commit { readings: part.to_vec(), ..Commit::default() }])?;
        }
        let wall = Wall(start + (minute + 1) * 60_000);
        let mono = Mono(u64::try_from(minute)? * 60_000);
        while store.maintain(Now { mono, wall })? {}
        if minute % 60 == 59 {
            eprintln!("figures: {} of {MINUTES} minutes on the loop device", minute + 1);
        }
    }
    let written = image.written()? - before;
    drop(store);
    let sealed = std::fs::read_dir(image.mount.join("data/history"))?.count();
    drop(image);
    let per_row = written as f64 / rows as f64;
    Ok(vec![Figure::new(
        "store.device_gb_per_day",
        per_row * 1.4e6 / 1e9,
        "GB/day",
        Goal::AtMost(1.0),
        format!(
            "{per_row:.0} bytes written to a loop device with ext4 per reading, journal, seals and deletion of sealed \
             rows included ({sealed} files sealed), at 1.4 M a day: {rows} readings in {commits} commits, one every \
             5 s as telemetry may wait; roll-ups and outbox not in it"
        ),
    )])
}
