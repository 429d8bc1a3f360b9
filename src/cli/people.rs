//! `schoolgate people list|import|export|erase|track`: who is behind a pseudonym, through the running gateway. Card
//! numbers become pseudonyms here and go no further.

mod roster;

use super::client::{ApiError, Client, Door};
use super::words::{lang, said, say};
use super::{At, EXIT_UNAVAILABLE, complain, configured, moment, table};
use crate::config::Config;
use crate::model::{Lang, PersonRef, Personal, Wall};
use crate::store::{self, StoreError};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use roster::Roster;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for an answer: an erasure waits up to a minute for whoever reads the log.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// Largest list, bytes.
const MAX_LIST: u64 = 16 * 1024 * 1024;
/// Something on the list is wrong, or an erased person still stands somewhere.
const EXIT_WRONG: u8 = 1;

/// Look after the table of persons: who is behind a pseudonym. Names are never stored.
#[derive(Debug, Args)]
pub(super) struct People {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// How many persons there are, by role and class
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Take a list (CSV) into the table
    Import(Import),
    /// Write the table, by pseudonyms, as CSV; it is written down who asked
    Export(Export),
    /// Leave nothing of a person, in the table and in everything stored
    Erase(Erase),
    /// What a person did, in order; off unless `[privacy] track = true`; it is written down who asked
    Track(Track),
}

#[derive(Debug, Args)]
struct Import {
    /// The list: columns 卡号 (card), 角色 (role), 班级 (class), 平台编号 (platform_id), 有效期起, 有效期止
    file: PathBuf,
    /// These and nobody else, instead of these too
    #[arg(long)]
    replace: bool,
    /// Take the good lines where others are wrong
    #[arg(long)]
    skip_bad: bool,
    /// Only say what is wrong
    #[arg(long)]
    check: bool,
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
}

#[derive(Debug, Args)]
struct Export {
    /// The file to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What for; it goes into the audit trail
    #[arg(long)]
    purpose: String,
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
}

/// Of whom.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// The card number is typed in, or read from standard input: an argument would stay in the shell's history
    #[arg(long)]
    card: bool,
    /// The pseudonym
    #[arg(long, value_name = "PSEUDONYM")]
    person: Option<String>,
}

#[derive(Debug, Args)]
struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// Why; it goes into the audit trail
    #[arg(long)]
    reason: String,
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
}

#[derive(Debug, Args)]
struct Track {
    #[command(flatten)]
    whom: Whom,
    /// From this day or moment on: 2026-09-01 (UTC) or 2026-09-01T00:00:00+08:00
    #[arg(long, value_parser = moment)]
    from: Wall,
    /// Before this day or moment
    #[arg(long, value_parser = moment)]
    to: Wall,
    /// What for; it goes into the audit trail
    #[arg(long)]
    purpose: String,
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum NotDone {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path}: {doing} failed")]
    File {
        path: PathBuf,
        doing: &'static str,
        #[source]
        cause: io::Error,
    },
    #[error("{0}")]
    Said(String),
}

impl People {
    /// Exits with 0 when done, 1 when a list is wrong or something is left of an erased person, 64 when the
    /// configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let done = match &self.action {
            Action::List { json } => list(out, &config, *json),
            Action::Import(import) => import.run(out, &config),
            Action::Export(export) => export.run(out, &config),
            Action::Erase(erase) => erase.run(out, &config),
            Action::Track(track) => track.run(out, &config),
        };
        match done {
            Ok(printed) => printed,
            Err(error) => complain(&error, EXIT_UNAVAILABLE),
        }
    }
}

type Done = Result<io::Result<ExitCode>, NotDone>;

fn client(config: &Config) -> Result<Client, ApiError> {
    Client::patient(Door::of(config), ANSWER_WITHIN)
}

fn actor(given: Option<&String>) -> Result<String, NotDone> {
    let actor = given.cloned().or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    if actor.trim().is_empty() {
        return Err(NotDone::Said(say("请写明姓名：--as 姓名", "say who you are: --as NAME")));
    }
    Ok(actor)
}

impl Whom {
    fn person(&self, config: &Config) -> Result<PersonRef, NotDone> {
        if let Some(text) = &self.person {
            return PersonRef::from_digits(text).ok_or_else(|| {
                NotDone::Said(say(
                    "--person 应是 32 位十六进制假名；卡号请用 --card",
                    "--person takes a pseudonym of 32 hexadecimal digits; for a card number use --card",
                ))
            });
        }
        let key = store::site_key(&config.data_dir)?;
        if io::stdin().is_terminal() {
            // A prompt that nobody sees is no failure.
            write!(io::stderr(), "{}", say("卡号：", "card number: ")).ok();
        }
        let mut line = String::new();
        let read = io::stdin().lock().take(1024).read_line(&mut line);
        read.map_err(|cause| NotDone::File { path: "-".into(), doing: "reading the card number", cause })?;
        if line.trim().is_empty() {
            return Err(NotDone::Said(say(
                "没有卡号：请在标准输入中写一行",
                "there is no card number: write it on one line of standard input",
            )));
        }
        Ok(Personal::new(line).pseudonym(&key))
    }
}

fn list(out: &mut impl Write, config: &Config, as_json: bool) -> Done {
    let answer = client(config)?.get("/api/v1/people")?;
    if as_json {
        return Ok(writeln!(out, "{answer:#}").map(|()| ExitCode::SUCCESS));
    }
    let rows: Vec<[String; 3]> =
        rows(&answer).map(|row| [text(row, "role"), text(row, "group"), text(row, "persons")]).collect();
    if rows.is_empty() {
        let line = say("人员表是空的", "the table of persons is empty");
        return Ok(writeln!(out, "{line}").map(|()| ExitCode::SUCCESS));
    }
    let headings = match lang() {
        Lang::Zh => ["角色", "班级", "人数"],
        Lang::En => ["ROLE", "CLASS", "PERSONS"],
    };
    Ok(table::print(out, headings, &rows).map(|()| ExitCode::SUCCESS))
}

impl Import {
    fn run(&self, out: &mut impl Write, config: &Config) -> Done {
        let key = store::site_key(&config.data_dir)?;
        let roster = Roster::read(&bytes_of(&self.file)?, &key, &config.site.zone);
        if let Err(error) = self.tell(out, &roster) {
            return Ok(Err(error));
        }
        let (good, bad) = (roster.people.len(), roster.slips.len());
        if self.check {
            let line = say(
                format!("{good} 人可导入，{bad} 处有误（未导入）"),
                format!("{good} persons are good, {bad} mistakes; nothing was imported"),
            );
            let code = if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WRONG) };
            return Ok(writeln!(out, "{line}").map(|()| code));
        }
        if bad > 0 && (!self.skip_bad || good == 0) {
            let line = say(
                format!("共 {bad} 处有误，一个人也没有导入；改好后再导入，或加 --skip-bad 跳过有误的行"),
                format!(
                    "{bad} mistakes; nobody was imported. Mend them, or leave those lines out with --skip-bad"
                ),
            );
            return Ok(writeln!(out, "{line}").map(|()| ExitCode::from(EXIT_WRONG)));
        }
        let people: Vec<Value> = roster
            .people
            .iter()
            .map(|(who, person)| {
                json!({
                    "person": who, "role": person.role, "group": person.group, "platform_id": person.platform_id,
                    "valid_from": person.valid_from.map(|w| w.0), "valid_until": person.valid_until.map(|w| w.0),
                })
            })
            .collect();
        let body = json!({"actor": actor(self.actor.as_ref())?, "replace": self.replace, "rows": people});
        client(config)?.post("/api/v1/people", &body)?;
        let line = say(
            format!("已导入 {good} 人（{}），跳过 {bad} 处有误", roster.encoding),
            format!("imported {good} persons ({}), left out {bad} mistakes", roster.encoding),
        );
        Ok(writeln!(out, "{line}").map(|()| ExitCode::SUCCESS))
    }

    /// Says of each column that is not read, and of everything that is wrong, where it stands.
    fn tell(&self, out: &mut impl Write, roster: &Roster) -> io::Result<()> {
        let name = self.file.display();
        for unread in &roster.unread {
            writeln!(out, "{name}: {}", said(unread))?;
        }
        for slip in &roster.slips {
            let (line, what) = (slip.line, said(&slip.what));
            match slip.column {
                0 => writeln!(out, "{name}:{line}: {what}")?,
                column => writeln!(out, "{name}:{line}:{column}: {what}")?,
            }
        }
        Ok(())
    }
}

/// The bytes of a list that is not too large.
fn bytes_of(path: &Path) -> Result<Vec<u8>, NotDone> {
    let failed = |cause| NotDone::File { path: path.to_owned(), doing: "reading the list", cause };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_LIST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_LIST) {
        let mib = MAX_LIST / 1024 / 1024;
        return Err(NotDone::Said(say(
            format!("文件超过 {mib} MiB"),
            format!("the file is larger than {mib} MiB"),
        )));
    }
    Ok(bytes)
}

impl Export {
    fn run(&self, out: &mut impl Write, config: &Config) -> Done {
        let failed = |cause| NotDone::File { path: self.out.clone(), doing: "writing", cause };
        // Before anybody is told: what cannot be written was not taken.
        let mut file = File::create_new(&self.out).map_err(failed)?;
        let body = json!({"actor": actor(self.actor.as_ref())?, "purpose": self.purpose});
        let answer = client(config)?.post("/api/v1/people/export", &body)?;
        let mut text = "person,role,class,platform_id,valid_from,valid_until\r\n".to_owned();
        let mut many = 0;
        for row in rows(&answer) {
            many += 1;
            let cell = |key: &str| match row.get(key) {
                Some(Value::String(text)) => quoted(text),
                _ => String::new(),
            };
            let time = |key: &str| {
                row.get(key)
                    .and_then(Value::as_i64)
                    .map(|at| Wall(at).in_zone(&config.site.zone))
                    .unwrap_or_default()
            };
            let cells = [
                cell("person"),
                cell("role"),
                cell("group"),
                cell("platform_id"),
                time("valid_from"),
                time("valid_until"),
            ];
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let line = say(format!("已导出 {many} 人"), format!("exported {many} persons"));
        Ok(writeln!(out, "{line}").map(|()| ExitCode::SUCCESS))
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl Erase {
    fn run(&self, out: &mut impl Write, config: &Config) -> Done {
        let person = self.whom.person(config)?;
        let body = json!({"actor": actor(self.actor.as_ref())?, "person": person, "reason": self.reason});
        let answer = client(config)?.post("/api/v1/people/erase", &body)?;
        let (subject, erased) = (text(&answer, "subject"), text(&answer, "erased"));
        let left: Vec<&str> = answer
            .get("left_in")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let line = say(format!("已删除 {subject}：{erased}"), format!("erased {subject}: {erased}"));
        let mut printed = writeln!(out, "{line}");
        if left.is_empty() {
            let line = say(
                "数据目录里已没有此人的任何字节；此前的备份仍含有此人，请重新备份并销毁旧备份",
                "no byte of it is left in the data directory; backups made before still hold it: make a new one and destroy them",
            );
            return Ok(printed.and_then(|()| writeln!(out, "{line}")).map(|()| ExitCode::SUCCESS));
        }
        for name in left {
            let path = config.data_dir.join(name);
            let path = path.display();
            let line = say(format!("仍有残留：{path}"), format!("it still stands in {path}"));
            printed = printed.and_then(|()| writeln!(out, "{line}"));
        }
        let line = say(
            "不再需要的旧文件（damaged、replaced）请删除；数据库过大时，请停机后备份并恢复",
            "delete old files (damaged, replaced) that are no longer needed; where the database is too large, stop the gateway, back it up and restore that",
        );
        Ok(printed.and_then(|()| writeln!(out, "{line}")).map(|()| ExitCode::from(EXIT_WRONG)))
    }
}

impl Track {
    fn run(&self, out: &mut impl Write, config: &Config) -> Done {
        let person = self.whom.person(config)?;
        let who = actor(self.actor.as_ref())?;
        let (from, to) = (self.from.0.to_string(), self.to.0.to_string());
        let query = [("from", &from), ("to", &to), ("actor", &who), ("purpose", &self.purpose)];
        let answer = client(config)?.ask_for(&format!("/api/v1/people/{}/track", person.as_str()), &query)?;
        let zone: &TimeZone = &config.site.zone;
        let rows: Vec<[String; 6]> = rows(&answer)
            .map(|row| {
                let at = row.get("at").and_then(Value::as_i64).map(|at| Wall(at).in_zone(zone));
                let credential = row.get("credential").unwrap_or(&Value::Null);
                [
                    at.unwrap_or_default(),
                    text(row, "device"),
                    text(row, "kind"),
                    text(credential, "service"),
                    text(credential, "direction"),
                    text(credential, "result"),
                ]
            })
            .collect();
        if rows.is_empty() {
            let line = say("这段时间没有记录", "there is nothing in this span");
            return Ok(writeln!(out, "{line}").map(|()| ExitCode::SUCCESS));
        }
        let headings = match lang() {
            Lang::Zh => ["时间", "设备", "事件", "用途", "方向", "结果"],
            Lang::En => ["AT", "DEVICE", "EVENT", "SERVICE", "DIRECTION", "RESULT"],
        };
        Ok(table::print(out, headings, &rows).map(|()| ExitCode::SUCCESS))
    }
}

fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("rows").and_then(Value::as_array).into_iter().flatten()
}

/// The text or number of a field, `-` when there is none.
fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
