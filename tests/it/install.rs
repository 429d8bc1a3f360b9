//! `make install`: every file is where the unit, the defaults and the manual look for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Installs the program that was built here below a directory.
fn installed(more: &[&str]) -> tempfile::TempDir {
    let temp = tempfile::tempdir().expect("a directory");
    let output = Command::new("make")
        .args(["--no-print-directory", "install"])
        .arg(format!("DESTDIR={}", temp.path().display()))
        .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_schoolgate")))
        .args(more)
        .current_dir(root())
        .output()
        .expect("make runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    temp
}

/// The files below a directory by their path from there, in alphabetical order.
fn files(below: &Path) -> Vec<PathBuf> {
    let (mut found, mut directories) = (Vec::new(), vec![below.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path.strip_prefix(below).expect("below").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// Where a path of the running machine is below the directory of the installation.
fn below(temp: &Path, path: &str) -> PathBuf {
    temp.join(path.strip_prefix('/').expect("an absolute path"))
}

#[test]
fn every_file_is_where_the_unit_and_the_defaults_expect_it() {
    let temp = installed(&[]);
    let unit = below(temp.path(), "/lib/systemd/system/schoolgate.service");
    let text = fs::read_to_string(&unit).expect("the unit");
    assert_eq!(
        text,
        fs::read_to_string(root().join("systemd/schoolgate.service")).expect("the unit of the tree")
    );
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).expect(key);

    let program = value("ExecStart=").split(' ').next().expect("a program");
    assert_eq!(mode(&below(temp.path(), program)), 0o755);
    for page in value("Documentation=").split(' ') {
        let page = page.strip_prefix("file:").expect("a file");
        assert_eq!(mode(&below(temp.path(), page)), 0o644, "{page}");
    }
    let (_, secrets) = value("LoadCredential=").split_once(':').expect("a directory");
    assert_eq!(mode(&below(temp.path(), secrets)), 0o700, "systemd does not start the service without it");

    let profiles = below(temp.path(), schoolgate::config::DEFAULT_PROFILES_DIR);
    assert_eq!(files(&profiles), files(&root().join("device-profiles")));
    let example = below(temp.path(), "/usr/share/doc/schoolgate/example");
    assert_eq!(files(&example), files(&root().join("deploy/example")));
    for file in files(temp.path()) {
        let mode = mode(&temp.path().join(&file));
        assert!(matches!(mode, 0o644 | 0o755), "{}: {mode:o}", file.display());
    }
}

#[test]
fn the_installed_program_understands_the_installed_example() {
    let temp = installed(&["PREFIX=/opt/gate"]);
    let etc = temp.path().join("etc/schoolgate");
    let example = temp.path().join("opt/gate/share/doc/schoolgate/example");
    for file in files(&example) {
        fs::create_dir_all(etc.join(&file).parent().expect("a directory")).expect("conf.d");
        fs::copy(example.join(&file), etc.join(&file)).expect("a copy");
    }
    // What the manual says for another prefix.
    let profiles = temp.path().join("opt/gate/share/schoolgate/device-profiles");
    fs::write(etc.join("conf.d/99-profiles.toml"), format!("[profiles]\ndir = {profiles:?}\n"))
        .expect("a file");
    for secret in ["mqtt", "cameras", "province", "city"] {
        let path = etc.join("secrets").join(secret);
        fs::write(&path, "a secret\n").expect("a secret");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
    }
    let mut check = Command::new(temp.path().join("opt/gate/bin/schoolgate"));
    let output = check.arg("check").arg("--config").arg(etc.join("gateway.toml")).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let unit =
        fs::read_to_string(temp.path().join("lib/systemd/system/schoolgate.service")).expect("the unit");
    assert!(unit.contains("ExecStart=/opt/gate/bin/schoolgate run") && !unit.contains("/usr/"), "{unit}");
}

#[test]
fn without_a_program_nothing_is_installed() {
    let temp = tempfile::tempdir().expect("a directory");
    let output = Command::new("make")
        .args(["--no-print-directory", "install", "BINARY=/nowhere/schoolgate"])
        .arg(format!("DESTDIR={}", temp.path().display()))
        .current_dir(root())
        .output()
        .expect("make runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo build --release"));
    assert_eq!(files(temp.path()), Vec::<PathBuf>::new());
}

/// The manual of the installation names what is there, in the system and in the example.
#[test]
fn the_manual_names_paths_that_are_installed() {
    let temp = installed(&[]);
    let example = "/usr/share/doc/schoolgate/example";
    let manual = fs::read_to_string(root().join("docs/install.md")).expect("docs/install.md");
    let words = manual.split(|c: char| c.is_whitespace() || "`（），。；：;{=".contains(c));
    let mut seen = Vec::new();
    for word in words.filter(|word| word.starts_with('/')) {
        let path = match word.strip_prefix("/etc/schoolgate/") {
            Some(file) if file.ends_with(".toml") || file == "conf.d" => format!("{example}/{file}"),
            Some(_) => continue,
            None if ["/usr/", "/lib/"].iter().any(|begin| word.starts_with(begin)) => word.to_owned(),
            None => continue,
        };
        assert!(below(temp.path(), &path).exists(), "docs/install.md names {word}");
        seen.push(path);
    }
    assert!(seen.len() >= 6, "{seen:?}");
    let devices =
        fs::read_to_string(root().join("deploy/example/conf.d/20-devices.toml")).expect("the example");
    let asked = manual.split("/api/v1/devices/").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert!(devices.contains(&format!("id = \"{}\"", asked.expect("a device"))), "{asked:?}");
}
