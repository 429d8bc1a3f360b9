//! `schoolgate profile test|new`: try a device profile against its vectors, or begin one from a capture.

use super::words::{say, tell};
use super::{EXIT_USAGE, capture, complain};
use crate::document::{MAX_DOCUMENT_BYTES, Problems};
use crate::model::ProfileId;
use crate::profile::{self, vectors};
use crate::southbound::survey::sketch::{Naming, sketch};
use clap::{Args, Subcommand};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Deepest directory that is looked into for profiles.
const MAX_DEPTH: usize = 4;
/// Most profiles tested at once.
const MAX_PROFILES: usize = 4096;

/// Try device profiles, or begin a new one.
#[derive(Debug, Args)]
pub(super) struct Profiles {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check profiles and run their vectors
    Test {
        /// Files `profile.toml`, or directories with such
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Begin a profile of a Modbus device from a capture of it
    New {
        /// The capture, made by `schoolgate capture`
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Its id: <vendor>-<model>, in lower case
        #[arg(long, value_name = "ID", value_parser = ProfileId::new)]
        id: ProfileId,
        /// Which unit of the capture, if it has several
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=247))]
        unit: Option<u8>,
        /// The class of the device: energy-meter, water-meter, sensor …
        #[arg(long, default_value = "energy-meter", value_parser = class)]
        class: String,
        /// The directory under which <class>/<id>/ is made
        #[arg(long, value_name = "DIR", default_value = "device-profiles")]
        dir: PathBuf,
    },
}

fn class(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if good { Ok(text.to_owned()) } else { Err("a class has lower-case letters and '-' only".into()) }
}

impl Profiles {
    /// Exits with 0 when all is well, 64 when something is wrong in what was given, 1 when nothing could be written.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match &self.action {
            Action::Test { paths } => test(paths, out),
            Action::New { from, id, unit, class, dir } => {
                let capture = match capture::read(from, out)? {
                    Ok(capture) => capture,
                    Err(code) => return Ok(code),
                };
                let naming = Naming { id: id.clone(), class: class.clone(), unit: *unit };
                let made = match sketch(&capture, &naming) {
                    Ok(made) => made,
                    Err(error) => return complain(&error, EXIT_USAGE),
                };
                let home = dir.join(class).join(id.as_str());
                if let Err(error) = write(&home, &made.profile, &made.vectors) {
                    writeln!(io::stderr(), "schoolgate: {}", home.display())?;
                    return complain(&error, 1);
                }
                let (points, home) = (made.points, home.display());
                let zh = format!(
                    "已写入 {home}：{points} 个量；对照手册改好名称、单位和比例，再运行 schoolgate profile test {home}"
                );
                let en = format!(
                    "wrote {home}: {points} points; fill in names, units and scales from the manual, then run schoolgate \
                     profile test {home}"
                );
                writeln!(out, "{}", say(zh, en))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Writes both files of a profile; neither may exist.
fn write(home: &Path, profile: &str, vectors: &str) -> io::Result<()> {
    fs::create_dir_all(home)?;
    for (name, text) in [("profile.toml", profile), ("vectors.toml", vectors)] {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(home.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn test(paths: &[PathBuf], out: &mut impl Write) -> io::Result<ExitCode> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        if let Err(error) = find(path, MAX_DEPTH, &mut files) {
            writeln!(io::stderr(), "schoolgate: {}", path.display())?;
            return complain(&error, EXIT_USAGE);
        }
        if files.len() == before {
            let name = path.display();
            let zh = format!("{name} 下没有 profile.toml");
            writeln!(io::stderr(), "schoolgate: {}", say(zh, format!("there is no profile.toml in {name}")))?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    }
    let (mut wrong, mut vectors_run) = (0, 0);
    for file in &files {
        let problems = Problems::new();
        match one(file, &problems) {
            Ok(vectors) => vectors_run += vectors,
            Err((file, error)) => {
                writeln!(out, "{}: {error}", file.display())?;
                wrong += 1;
                continue;
            }
        }
        let problems = problems.into_sorted();
        tell(&problems, out)?;
        wrong += usize::from(!problems.is_empty());
    }
    let of = files.len();
    if wrong > 0 {
        let zh = format!("{of} 个模板中有 {wrong} 个有问题；“->” 后面是改法");
        writeln!(out, "{}", say(zh, format!("{wrong} of {of} profiles have problems")))?;
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let zh = format!("ok（正常）：{of} 个模板，{vectors_run} 个测试向量");
    writeln!(out, "{}", say(zh, format!("ok: {of} profiles, {vectors_run} vectors")))?;
    Ok(ExitCode::SUCCESS)
}

/// Checks one profile and runs its vectors; how many there were.
fn one(file: &Path, problems: &Problems) -> Result<usize, (PathBuf, io::Error)> {
    let read = |file: &Path| text_of(file, MAX_DOCUMENT_BYTES).map_err(|error| (file.to_owned(), error));
    let text = read(file)?;
    let Some(profile) = profile::parse(&file.display().to_string(), &text, problems) else { return Ok(0) };
    let vectors_file = file.with_file_name("vectors.toml");
    let text = read(&vectors_file)?;
    Ok(vectors::check(&profile, &vectors_file.display().to_string(), &text, problems))
}

/// A plain file of UTF-8 text that is not too large.
pub(super) fn text_of(file: &Path, limit: usize) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no plain file"));
    }
    if metadata.len() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {limit} bytes")));
    }
    fs::read_to_string(file)
}

/// Every `profile.toml` at or below a path, by name.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let own = path.join("profile.toml");
    if own.is_file() {
        files.push(own);
    } else if depth > 0 {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        inside.sort();
        for directory in inside.iter().filter(|inner| inner.is_dir()) {
            if files.len() < MAX_PROFILES {
                find(directory, depth - 1, files)?;
            }
        }
    }
    Ok(())
}
