//! The run's directory: the configuration with its ports put in, and the secrets.

use super::{Failure, Plan};
use crate::school::{School, Secrets};
use crate::tasks::listen;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Files of a run; nothing else in its directory is touched.
const OURS: [&str; 8] =
    ["gateway.toml", "conf.d", "plans", "secrets", "data", "broker", "daemon.log", "daemon.log.old"];

/// Makes the directory, and removes what an earlier run left there.
pub(super) fn empty(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for name in OURS {
        let path = dir.join(name);
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// An address on 127.0.0.1 that was free a moment ago.
pub(super) async fn free_address() -> io::Result<SocketAddr> {
    Ok(listen(0).await?.1)
}

/// Writes configuration and secrets; returns the configuration's path.
pub(super) fn write(
    plan: &Plan,
    school: &School,
    secrets: &Secrets,
    http: SocketAddr,
) -> Result<PathBuf, Failure> {
    let profiles = fs::canonicalize(&plan.profiles)
        .map_err(|error| format!("the device profiles in {}: {error}", plan.profiles.display()))?;
    let dir = &plan.dir;
    for name in ["conf.d", "plans", "secrets", "data"] {
        DirBuilder::new().recursive(true).mode(0o700).create(dir.join(name))?;
    }
    for (name, secret) in [
        ("mqtt", &secrets.mqtt),
        ("cameras", &secrets.cameras),
        ("province", &secrets.province),
        ("city", &secrets.city),
    ] {
        let path = dir.join("secrets").join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{secret}")?;
    }
    let [teaching, living] = &school.meters;
    let [gate, dormitory] = &school.cameras;
    let words = [
        ("@PROFILES@", profiles.display().to_string()),
        ("@HTTP@", http.to_string()),
        ("@METERS_1@", teaching.address().port().to_string()),
        ("@METERS_2@", living.address().port().to_string()),
        ("@MQTT@", school.broker.address().port().to_string()),
        ("@CAMERA_1@", gate.device_url()),
        ("@CAMERA_2@", dormitory.device_url()),
        ("@PROVINCE@", school.province.base_url()),
        ("@CITY@", school.city.base_url()),
    ];
    let main = dir.join("gateway.toml");
    fill(&plan.templates.join("gateway.toml"), &main, &words)?;
    let parts = plan.templates.join("conf.d");
    let entries =
        fs::read_dir(&parts).map_err(|error| format!("the templates in {}: {error}", parts.display()))?;
    for entry in entries {
        let from = entry?.path();
        if let (Some("toml"), Some(name)) = (from.extension().and_then(|e| e.to_str()), from.file_name()) {
            fill(&from, &dir.join("conf.d").join(name), &words)?;
        }
    }
    for entry in fs::read_dir(plan.templates.join("plans"))? {
        let from = entry?.path();
        if let Some(name) = from.file_name() {
            fs::copy(&from, dir.join("plans").join(name))?;
        }
    }
    Ok(main)
}

/// Copies a template with its words put in; a word nobody knows is an error, except in comments.
fn fill(from: &Path, to: &Path, words: &[(&str, String)]) -> Result<(), Failure> {
    let mut text =
        fs::read_to_string(from).map_err(|error| format!("the template {}: {error}", from.display()))?;
    for (word, value) in words {
        text = text.replace(word, value);
    }
    let left = text.lines().find(|line| !line.trim_start().starts_with('#') && line.contains('@'));
    if let Some(line) = left {
        return Err(format!("the template {} has a word nobody knows: {line}", from.display()).into());
    }
    fs::write(to, text)?;
    Ok(())
}
