//! `schoolgate secret`: seals passwords, so that their files are of no use on another machine.

use super::words::say;
use super::{At, EXIT_USAGE, complain};
use crate::config::{self, is_sealed};
use crate::runtime::sealing;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Nothing was sealed.
const EXIT_FAILED: u8 = 1;
/// Longest name of a secret, in characters.
const MAX_NAME_CHARS: usize = 64;

/// Seal passwords and keys, and see which are sealed.
#[derive(Debug, clap::Args)]
pub(super) struct Secrets {
    #[command(subcommand)]
    does: Does,
}

#[derive(Debug, clap::Subcommand)]
enum Does {
    /// Read a secret from standard input and seal it into `secrets/NAME` beside the configuration
    Seal {
        /// The name of the file: a-z 0-9 - _ .
        #[arg(value_parser = name)]
        name: String,
        /// Where the key is: the data directory, when the configuration does not tell yet
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// Show which files of `secrets/` are sealed; never what is in them
    List {
        #[command(flatten)]
        at: At,
    },
}

fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > MAX_NAME_CHARS || text.starts_with('.') || !text.chars().all(plain) {
        return Err(format!("expected 1 to {MAX_NAME_CHARS} of a-z 0-9 - _ . and no dot at the beginning"));
    }
    Ok(text.to_owned())
}

impl Secrets {
    /// Exits with 0 when it is done, 64 when the input is no secret, 1 when it cannot be read or written.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match &self.does {
            Does::Seal { name, data_dir, at } => seal(out, name, data_dir.as_deref(), &at.config),
            Does::List { at } => list(out, &beside(&at.config)),
        }
    }
}

fn beside(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(config::SECRETS_DIR)
}

fn seal(out: &mut impl Write, name: &str, dir: Option<&Path>, config: &Path) -> io::Result<ExitCode> {
    let mut text = String::new();
    let limit = u64::try_from(config::MAX_ATTACHED_BYTES).unwrap_or(u64::MAX);
    let read = io::stdin().take(limit).read_to_string(&mut text);
    let secret = text.trim_end_matches(['\r', '\n']);
    if read.is_err() || secret.trim().is_empty() || is_sealed(secret) {
        let zh = "标准输入里没有可以加密的密码：输入密码，回车，再按 Ctrl-D";
        let en = "standard input has no secret to seal: type it, press Enter, then Ctrl-D";
        writeln!(io::stderr(), "schoolgate: {}", say(zh, en))?;
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let data_dir = dir.map_or_else(|| config::data_dir(config), Path::to_owned);
    let file = beside(config).join(name);
    if let Err(error) = sealing::seal(&data_dir, &file, secret) {
        return complain(&error, EXIT_FAILED);
    }
    let shown = file.display();
    let zh =
        format!("已加密写入 {shown}；配置里写 secrets/{name}。密钥在 {}，备份要分开存放", data_dir.display());
    let en = format!(
        "sealed into {shown}; the configuration says secrets/{name}. The key is in {}: keep its backup elsewhere",
        data_dir.display()
    );
    writeln!(out, "{}", say(zh, en))?;
    Ok(ExitCode::SUCCESS)
}

fn list(out: &mut impl Write, dir: &Path) -> io::Result<ExitCode> {
    let mut names: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => {
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let shown = dir.display();
            writeln!(
                io::stderr(),
                "schoolgate: {}",
                say(format!("不能读取 {shown}"), format!("cannot read {shown}"))
            )?;
            return complain(&error, EXIT_FAILED);
        }
    };
    names.sort();
    for path in names {
        let sealed = match std::fs::read(&path) {
            Ok(bytes) if is_sealed(&String::from_utf8_lossy(&bytes)) => say("已加密", "sealed"),
            Ok(_) => say("未加密", "not sealed"),
            Err(_) => say("无法读取", "cannot be read"),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "{name}  {sealed}")?;
    }
    Ok(ExitCode::SUCCESS)
}
