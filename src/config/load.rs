//! The one file of the configuration that touches the disk: it reads the files, and leaves judging to the rest.

use super::Config;
use super::attached::{Attached, MAX_ATTACHED_BYTES, Unreadable};
use super::ground::MAX_PLAN_BYTES;
use super::profiles::ProfileSet;
use super::resolve::{Sources, parse};
use super::sealed::{SealKey, is_sealed};
use super::site::DEFAULT_DATA_DIR;
use crate::document::{Document, MAX_DOCUMENT_BYTES, Problem, Problems, Spot};
use crate::model::Text;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where device profiles are unless `[profiles] dir` says otherwise.
pub const DEFAULT_PROFILES_DIR: &str = "/usr/share/schoolgate/device-profiles";
/// Most files in `conf.d`.
const MAX_FILES: usize = 256;
/// Most device profiles.
const MAX_PROFILES: usize = 4096;
/// Where systemd puts credentials: only the service can enter, whatever the mode of the files.
const CREDENTIALS_DIR: &str = "/run/credentials";
/// The directory beside `gateway.toml` that the unit file hands to the service, file by file, as credentials.
pub const SECRETS_DIR: &str = "secrets";
/// The key that opens sealed secrets, in the data directory.
pub const SEAL_KEY_FILE: &str = "secret.key";
/// The same as a credential of the service.
const SEAL_KEY_CREDENTIAL: &str = "secret-key";
/// What the name of such a credential begins with: the id before the colon of `LoadCredential=` and a `_`.
const CREDENTIAL_PREFIX: &str = "secret_";
/// What the name of a file with cases for rules ends with: it lies beside the rules and is no configuration.
const CASES: &str = ".cases.toml";
/// What stands for a secret that rules on trial do not need and whoever tries them may not read.
const NOT_READ: &str = "not read";

/// A configuration whose rules are tried, with the texts of rules and cases.
#[derive(Debug)]
pub struct Trial {
    /// The configuration; its rules are those on trial and those that are always on.
    pub config: Config,
    /// Name and text of each file with rules.
    pub rules: Vec<(String, String)>,
    /// Name and text of each file with cases.
    pub cases: Vec<(String, String)>,
}

/// Reads `gateway.toml`, `conf.d/*.toml` beside it in order of name, the device profiles, and the files these name.
///
/// # Errors
/// Every problem, sorted by file, line and column.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    load_with(path, None)
}

/// As [`load`], where a file of `conf.d` has another text, or is there as well.
///
/// # Errors
/// Every problem, sorted by file, line and column.
pub fn load_with(path: &Path, other: Option<(&Path, &str)>) -> Result<Config, Vec<Problem>> {
    let problems = Problems::new();
    let base = path.parent().unwrap_or(Path::new(""));
    let Some(mut files) = read_files(path, base, &problems) else { return Err(problems.into_sorted()) };
    if let Some((other, text)) = other {
        let name = other.display().to_string();
        match files.iter_mut().find(|(file, _)| *file == name) {
            Some((_, old)) => text.clone_into(old),
            None => files.push((name, text.to_owned())),
        }
    }
    let profiles = read_profiles(base, &files, &problems);
    let state = written_data_dir(base, &files);
    let read = |path: &Path, what| read_again(base, &state, path, what);
    let sources =
        Sources { files: &files, base, profiles: &profiles, read: &read, plan: read_plan, rules: None };
    parse(&sources, &problems).ok_or_else(|| problems.into_sorted())
}

/// As [`load`], for trying rules: those of the files and directories `tried`, which stand in place of the rules of the
/// configuration, or, when none is named, the configuration's own. Cases are taken from `<name>.cases.toml` beside
/// `<name>.toml`, and from the files themselves. Secrets that cannot be read are done without.
///
/// # Errors
/// Every problem, sorted by file, line and column.
pub fn load_trial(path: &Path, tried: &[PathBuf]) -> Result<Trial, Vec<Problem>> {
    let problems = Problems::new();
    let base = path.parent().unwrap_or(Path::new(""));
    let Some(files) = read_files(path, base, &problems) else { return Err(problems.into_sorted()) };
    let (mut written, mut named) = (Vec::new(), Vec::new());
    for path in tried {
        if path.is_dir() {
            match toml_files(path) {
                Ok(paths) => named.extend(paths),
                Err(error) => {
                    let error = refused(path, &error);
                    problems.add(file_problem(path, &error, error.advice()));
                }
            }
        } else {
            named.push(path.clone());
        }
    }
    if tried.is_empty() {
        written = files.iter().map(|(file, _)| PathBuf::from(file)).collect();
    }
    let mut rules: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut cases: BTreeMap<PathBuf, String> = BTreeMap::new();
    for path in named.into_iter().chain(written) {
        let name = path.to_string_lossy().into_owned();
        let beside = match name.strip_suffix(CASES) {
            Some(stem) => PathBuf::from(format!("{stem}.toml")),
            None => PathBuf::from(format!("{}{CASES}", name.strip_suffix(".toml").unwrap_or(&name))),
        };
        let beside = beside.is_file().then_some(beside);
        for path in std::iter::once(path).chain(beside) {
            match read_text(&path, MAX_DOCUMENT_BYTES) {
                Ok(text) if path.to_string_lossy().ends_with(CASES) => drop(cases.insert(path, text)),
                Ok(text) => drop(rules.insert(path, text)),
                Err(error) => problems.add(file_problem(&path, &error, error.advice())),
            }
        }
    }
    let texts = |of: BTreeMap<PathBuf, String>| -> Vec<(String, String)> {
        of.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect()
    };
    let (rules, mut cases) = (texts(rules), texts(cases));
    cases.extend(rules.iter().filter(|(_, text)| text.contains("[[case]]")).cloned());
    let profiles = read_profiles(base, &files, &problems);
    let state = written_data_dir(base, &files);
    let read = |path: &Path, what| match (read_again(base, &state, path, what), what) {
        (Err(_), Attached::Secret) => Ok(NOT_READ.to_owned()),
        (read, _) => read,
    };
    let in_place = (!tried.is_empty() && !rules.is_empty()).then_some(rules.as_slice());
    let sources =
        Sources { files: &files, base, profiles: &profiles, read: &read, plan: read_plan, rules: in_place };
    let config = parse(&sources, &problems);
    let rules = if in_place.is_some() { rules } else { files };
    match config {
        Some(config) if problems.is_empty() => Ok(Trial { config, rules, cases }),
        _ => Err(problems.into_sorted()),
    }
}

/// The main file and those of `conf.d`; `None` where there is no main file to be read.
fn read_files(path: &Path, base: &Path, problems: &Problems) -> Option<Vec<(String, String)>> {
    let mut files = Vec::new();
    match read_text(path, MAX_DOCUMENT_BYTES) {
        Ok(text) => files.push((path.display().to_string(), text)),
        Err(error) => {
            let advice = match &error {
                Unreadable::Missing(_) => Text::new(
                    "用 --config PATH 指明文件，或从示例配置复制一份开始",
                    "name the file with --config PATH, or begin with a copy of the example configuration",
                ),
                _ => error.advice(),
            };
            problems.add(file_problem(path, &error, advice));
            return None;
        }
    }
    read_conf_d(&base.join("conf.d"), &mut files, problems);
    Some(files)
}

fn read_conf_d(dir: &Path, files: &mut Vec<(String, String)>, problems: &Problems) {
    let names = match toml_files(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            problems.add(file_problem(
                dir,
                &refused(dir, &error),
                ("把它改成放 *.toml 文件的目录", "make it a directory with *.toml files"),
            ));
            return;
        }
    };
    if names.len() > MAX_FILES {
        problems.add(Problem {
            spot: whole(dir),
            message: Text::new(
                format!("conf.d 里有 {} 个文件", names.len()),
                format!("conf.d has {} files", names.len()),
            ),
            advice: Text::new(
                format!("合并成最多 {MAX_FILES} 个"),
                format!("merge them into at most {MAX_FILES}"),
            ),
        });
    }
    for path in names.into_iter().take(MAX_FILES) {
        match read_text(&path, MAX_DOCUMENT_BYTES) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => problems.add(file_problem(&path, &error, error.advice())),
        }
    }
}

/// The files `*.toml` of a directory by name; hidden ones and cases are left out.
fn toml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let left_out = name.is_empty() || name.starts_with('.') || name.ends_with(CASES);
        if !left_out && path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_profiles(base: &Path, files: &[(String, String)], problems: &Problems) -> ProfileSet {
    let written = written_profiles_dir(files);
    let dir = base.join(written.as_ref().map_or(DEFAULT_PROFILES_DIR, |(dir, _)| dir.as_str()));
    let main = files.first().map_or("gateway.toml", |(file, _)| file.as_str());
    let spot = written.map_or_else(|| whole(Path::new(main)), |(_, spot)| spot);
    profiles_in(&dir, spot, problems)
}

/// Reads the device profiles for the tools that need nothing else: those of a directory, or those that the configuration
/// uses, whatever else is wrong or missing in it.
///
/// # Errors
/// What is wrong in the profiles.
pub fn load_profiles(config: &Path, dir: Option<&Path>) -> Result<ProfileSet, Vec<Problem>> {
    let problems = Problems::new();
    let set = match dir {
        Some(dir) => profiles_in(dir, whole(dir), &problems),
        None => {
            let (base, unheard) = (config.parent().unwrap_or(Path::new("")), Problems::new());
            let mut files = Vec::new();
            files.extend(
                read_text(config, MAX_DOCUMENT_BYTES).map(|text| (config.display().to_string(), text)),
            );
            read_conf_d(&base.join("conf.d"), &mut files, &unheard);
            read_profiles(base, &files, &problems)
        }
    };
    let problems = problems.into_sorted();
    if problems.is_empty() { Ok(set) } else { Err(problems) }
}

fn profiles_in(dir: &Path, spot: Spot, problems: &Problems) -> ProfileSet {
    let paths = match profile_files(dir) {
        Ok(paths) => paths,
        Err(error) => {
            problems.add(Problem {
                spot,
                message: Text::new(
                    format!("读不了 {} 里的设备模板：{error}", dir.display()),
                    format!("the device profiles in {} cannot be read: {error}", dir.display()),
                ),
                advice: Text::new(
                    "写设备模板所在的目录：[profiles] 下的 `dir = \"…\"`",
                    "write the directory of the device profiles: `dir = \"…\"` under [profiles]",
                ),
            });
            return ProfileSet::unreadable();
        }
    };
    if paths.len() > MAX_PROFILES {
        problems.add(Problem {
            spot: whole(dir),
            message: Text::new(
                format!("有 {} 个设备模板", paths.len()),
                format!("there are {} device profiles", paths.len()),
            ),
            advice: Text::new(
                format!("只留用到的，最多 {MAX_PROFILES} 个"),
                format!("keep the {MAX_PROFILES} that are used"),
            ),
        });
    }
    let mut texts = Vec::new();
    for path in paths.into_iter().take(MAX_PROFILES) {
        match read_text(&path, MAX_DOCUMENT_BYTES) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => problems.add(file_problem(&path, &error, error.advice())),
        }
    }
    ProfileSet::parse(&texts, problems)
}

/// The value of `[profiles] dir`, if any file has a good one; what is wrong with it is told by `parse`.
fn written_profiles_dir(files: &[(String, String)]) -> Option<(String, Spot)> {
    let unheard = Problems::new();
    files.iter().find_map(|(file, text)| {
        let document = Document::parse(file, text, &unheard);
        let profiles = document.reader(&unheard).table_opt("profiles")?;
        Some((profiles.text_opt("dir")?, profiles.spot("dir")))
    })
}

/// Every `<class>/<id>/profile.toml` below a directory, by name.
fn profile_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for class in fs::read_dir(dir)? {
        let class = class?.path();
        if !class.is_dir() {
            continue;
        }
        for model in fs::read_dir(class)? {
            let path = model?.path().join("profile.toml");
            if path.is_file() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

/// The credential systemd made of `secrets/<name>` beside `gateway.toml`, if the service was given one: the file
/// itself may be root's alone (systemd.exec(5), `LoadCredential=` with a directory).
fn credential(credentials: Option<&Path>, base: &Path, path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix(base.join(SECRETS_DIR)).ok()?.to_str()?;
    let file = credentials?.join(format!("{CREDENTIAL_PREFIX}{}", name.replace('/', "_")));
    file.is_file().then_some(file)
}

/// Reads a file that the configuration names, as it is now; `base` is the directory of the configuration, `state` that of
/// the data. A sealed secret is opened.
///
/// # Errors
/// Why it cannot be taken.
pub fn read_again(base: &Path, state: &Path, path: &Path, what: Attached) -> Result<String, Unreadable> {
    let text = match credential(credentials().as_deref(), base, path) {
        // Its mode says nothing: systemd lets the service in by an access list.
        Some(credential) if what == Attached::Secret => read_attached(&credential, Attached::Public)?,
        _ => read_attached(path, what)?,
    };
    if what == Attached::Public || !is_sealed(&text) {
        return Ok(text);
    }
    let shut = |why: Text| Unreadable::Sealed { path: path.display().to_string(), why };
    let key = state.join(SEAL_KEY_FILE);
    let missing = || {
        let key = key.display();
        Text::new(format!("缺少 {key}"), format!("its key {key} is missing"))
    };
    let key = seal_key(state)?.ok_or_else(|| shut(missing()))?;
    key.open(&text).map_err(|error| shut(error.into()))
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The key that seals secrets, from the credentials of the service or from the data directory; `None` where there is none
/// yet.
///
/// # Errors
/// When there is one that cannot be read or is no key.
pub fn seal_key(state: &Path) -> Result<Option<SealKey>, Unreadable> {
    let credential = credentials().map(|dir| dir.join(SEAL_KEY_CREDENTIAL)).filter(|path| path.is_file());
    let path = credential.unwrap_or_else(|| state.join(SEAL_KEY_FILE));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&path, &error)),
    };
    let wrong = || Unreadable::Refused { path: path.display().to_string(), why: "a key has 32 bytes".into() };
    SealKey::new(&bytes).map(Some).ok_or_else(wrong)
}

/// Where this configuration keeps its data, as far as that can be told while it may be wrong elsewhere.
#[must_use]
pub fn data_dir(config: &Path) -> PathBuf {
    let (base, unheard) = (config.parent().unwrap_or(Path::new("")), Problems::new());
    let files = read_files(config, base, &unheard).unwrap_or_default();
    written_data_dir(base, &files)
}

fn written_data_dir(base: &Path, files: &[(String, String)]) -> PathBuf {
    let unheard = Problems::new();
    let written = files.iter().find_map(|(file, text)| {
        let document = Document::parse(file, text, &unheard);
        document.reader(&unheard).table_opt("store")?.text_opt("dir")
    });
    written.map_or_else(|| DEFAULT_DATA_DIR.into(), |dir| base.join(dir))
}

/// Reads a secret or certificate file.
fn read_attached(path: &Path, what: Attached) -> Result<String, Unreadable> {
    let text = read_text(path, MAX_ATTACHED_BYTES)?;
    let name = || path.display().to_string();
    if what == Attached::Secret && !path.starts_with(CREDENTIALS_DIR) {
        let mode = fs::metadata(path).map_err(|error| refused(path, &error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Unreadable::Open { path: name(), mode });
        }
    }
    if text.trim().is_empty() {
        return Err(Unreadable::Empty(name()));
    }
    Ok(text)
}

/// Reads a floor plan.
///
/// # Errors
/// When it is not there, empty or too large.
pub fn read_plan(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let bytes = read_bytes(path, MAX_PLAN_BYTES)?;
    if bytes.is_empty() { Err(Unreadable::Empty(path.display().to_string())) } else { Ok(bytes) }
}

/// Reads a plain file.
fn read_bytes(path: &Path, limit: usize) -> Result<Vec<u8>, Unreadable> {
    let name = || path.display().to_string();
    let too_large = |bytes| Unreadable::TooLarge { path: name(), bytes, limit };
    // Asked before opening: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(|error| refused(path, &error))?;
    if !metadata.is_file() {
        return Err(Unreadable::NotFile(name()));
    }
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    if metadata.len() > limit_bytes {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| refused(path, &error))?;
    file.take(limit_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| refused(path, &error))?;
    if bytes.len() > limit {
        return Err(too_large(limit_bytes.saturating_add(1)));
    }
    Ok(bytes)
}

/// Reads a plain file of UTF-8 text; a byte order mark at its beginning is not part of it.
fn read_text(path: &Path, limit: usize) -> Result<String, Unreadable> {
    let bytes = read_bytes(path, limit)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Unreadable::NotText { path: path.display().to_string(), line, column }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}

fn refused(path: &Path, error: &io::Error) -> Unreadable {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing(path),
        _ => Unreadable::Refused { path, why: error.to_string() },
    }
}

fn file_problem(path: &Path, error: &Unreadable, advice: impl Into<Text>) -> Problem {
    let mut spot = whole(path);
    let mut message = Text::from(error);
    if let Unreadable::NotText { line, column, .. } = error {
        (spot.line, spot.column) = (*line, *column);
        message = Text::new("从这里起不是 UTF-8 文本", "the file is not UTF-8 text from here on");
    }
    Problem { spot, message, advice: advice.into() }
}

/// A file as a whole.
fn whole(path: &Path) -> Spot {
    Spot { file: path.display().to_string().into(), line: 1, column: 1, text: String::new() }
}
