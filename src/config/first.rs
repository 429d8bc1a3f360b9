//! The configuration of a gateway that nobody has set up yet: a door, and nothing behind it.

use super::attached::Unreadable;
use super::profiles::ProfileSet;
use super::resolve::{Sources, parse};
use super::{Attached, Config};
use crate::document::{Problem, Problems};
use std::net::SocketAddr;
use std::path::Path;

/// A configuration with the console at `listen`, the plain listener at `http` and the data in `data_dir`.
///
/// # Errors
/// When these cannot be: an address that is not loopback for the plain listener.
pub fn first_run(data_dir: &Path, listen: SocketAddr, http: SocketAddr) -> Result<Config, Vec<Problem>> {
    let problems = Problems::new();
    let dir = toml::Value::String(data_dir.display().to_string());
    let text = format!(
        "[site]\ngateway = \"schoolgate\"\nname = \"校门 Schoolgate\"\n[store]\ndir = {dir}\n[http]\nlisten = \"{http}\"\n\
         [console]\nlisten = \"{listen}\"\n"
    );
    let profiles = ProfileSet::parse(&[], &problems);
    let read = |path: &Path, _: Attached| Err(Unreadable::Missing(path.display().to_string()));
    let plan = |path: &Path| Err(Unreadable::Missing(path.display().to_string()));
    let files = [("first-run".to_owned(), text)];
    let sources =
        Sources { files: &files, base: data_dir, profiles: &profiles, read: &read, plan, rules: None };
    parse(&sources, &problems).ok_or_else(|| problems.into_sorted())
}
