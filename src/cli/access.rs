//! `schoolgate account` and `schoolgate token`: who may come in, through the running gateway.

use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::access::Role;
use crate::model::{Lang, Wall};
use crate::runtime::{Clock, SystemClock};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// A day, milliseconds.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Give people their accounts.
#[derive(Debug, Args)]
pub(super) struct Accounts {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every account
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Make an account
    Add {
        #[command(flatten)]
        whose: Whose,
        /// What they are there for
        #[arg(long, value_parser = role())]
        role: Role,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Give somebody another role; their sessions end
    Role {
        #[command(flatten)]
        whose: Whose,
        /// What they are there for
        #[arg(value_parser = role())]
        role: Role,
    },
    /// Set somebody's password; their sessions end
    Password {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Let nobody sign in with an account; its sessions end
    Disable(Whose),
    /// Let somebody sign in again
    Enable(Whose),
    /// Take an account away
    Remove(Whose),
    /// Make another code by which the first account is made; the one before is of no use
    ClaimCode {
        #[command(flatten)]
        by: Orderer,
    },
}

#[derive(Debug, Args)]
struct Whose {
    /// The account
    name: String,
    #[command(flatten)]
    by: Orderer,
}

#[derive(Debug, Args)]
struct PasswordFrom {
    /// The file whose first line is the password, instead of typing it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Give programs tokens to come in with.
#[derive(Debug, Args)]
pub(super) struct Tokens {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Show every token, without its text
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Make a token; its text is shown once
    Add {
        #[command(flatten)]
        whose: Whose,
        /// What the program is there for
        #[arg(long, value_parser = role())]
        role: Role,
        /// Days until it is of no use, at most 732
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
    /// Let a token in no longer
    Revoke(Whose),
}

fn role() -> impl TypedValueParser<Value = Role> {
    let words = Role::ALL.iter().map(|role| role.as_str());
    PossibleValuesParser::new(words).try_map(|word| Role::from_word(&word).ok_or("unknown role"))
}

impl PasswordFrom {
    /// From its file, typed unseen, or the first line of what is piped in.
    fn ask(&self) -> io::Result<String> {
        let first = |read: &mut dyn BufRead| {
            let mut line = String::new();
            read.read_line(&mut line)?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        };
        if let Some(path) = &self.password_file {
            return first(&mut io::BufReader::new(std::fs::File::open(path)?));
        }
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return first(&mut stdin.lock());
        }
        let shown = tcgetattr(&stdin)?;
        let mut unseen = shown.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        let typed = |prompt: String| {
            write!(io::stderr(), "{prompt}")?;
            let line = first(&mut io::stdin().lock());
            writeln!(io::stderr())?;
            line
        };
        tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
        let twice = typed(say("密码：", "password: "))
            .and_then(|once| Ok((once, typed(say("再输一次：", "once more: "))?)));
        tcsetattr(&stdin, OptionalActions::Now, &shown)?;
        let (once, again) = twice?;
        if once != again {
            let why = say("两次输入的密码不同", "the two passwords differ");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(once)
    }
}

/// The path of a name, whatever letters it has.
fn under(path: &str, name: &str) -> String {
    let mut url = reqwest::Url::parse("http://gateway").ok();
    let escaped = url.as_mut().and_then(|url| {
        url.path_segments_mut().ok()?.push(name);
        Some(url.path().to_owned())
    });
    format!("{path}{}", escaped.unwrap_or_default())
}

impl Whose {
    fn take_away(&self, client: &Client, path: &str) -> Result<Value, ApiError> {
        client.delete(&under(path, &self.name), &[("actor", &self.by.name()?)])
    }

    fn alter(&self, client: &Client, mut change: Value) -> Result<Value, ApiError> {
        if let Some(fields) = change.as_object_mut() {
            fields.insert("actor".into(), self.by.name()?.into());
        }
        client.put(&under("/api/v1/accounts", &self.name), &change)
    }
}

/// What could not be typed or read.
fn unread(error: &io::Error) -> ApiError {
    ApiError::Refused(say(format!("读不到密码：{error}"), format!("no password could be read: {error}")))
}

impl Accounts {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        match (Client::new(door).and_then(|client| self.action.ask(&client)), &self.action) {
            (Err(error), _) => return complain(&error, EXIT_UNAVAILABLE),
            (Ok(answer), Action::List { json: true }) => writeln!(out, "{answer:#}")?,
            (Ok(answer), Action::List { .. }) => accounts(out, &answer, &zone)?,
            (Ok(answer), Action::ClaimCode { .. }) => writeln!(out, "{}", text(&answer, "/code"))?,
            (Ok(_), _) => writeln!(out, "{}", say("已完成", "done"))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Action {
    fn ask(&self, client: &Client) -> Result<Value, ApiError> {
        let typed = |password: &PasswordFrom| password.ask().map_err(|error| unread(&error));
        match self {
            Self::List { .. } => client.get("/api/v1/accounts"),
            Self::Add { whose, role, password } => {
                let actor = whose.by.name()?;
                let account =
                    json!({"name": whose.name, "role": role, "password": typed(password)?, "actor": actor});
                client.post("/api/v1/accounts", &account)
            }
            Self::Role { whose, role } => whose.alter(client, json!({"role": role})),
            Self::Password { whose, password } => whose.alter(client, json!({"password": typed(password)?})),
            Self::Disable(whose) => whose.alter(client, json!({"disabled": true})),
            Self::Enable(whose) => whose.alter(client, json!({"disabled": false})),
            Self::Remove(whose) => whose.take_away(client, "/api/v1/accounts"),
            Self::ClaimCode { by } => client.post("/api/v1/claim/code", &json!({"actor": by.name()?})),
        }
    }
}

impl Tokens {
    /// As [`Accounts::run`].
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        match (Client::new(door).and_then(|client| self.action.ask(&client)), &self.action) {
            (Err(error), _) => return complain(&error, EXIT_UNAVAILABLE),
            (Ok(answer), TokenAction::List { json: true }) => writeln!(out, "{answer:#}")?,
            (Ok(answer), TokenAction::List { .. }) => tokens(out, &answer, &zone)?,
            (Ok(answer), TokenAction::Add { .. }) => writeln!(out, "{}", text(&answer, "/token"))?,
            (Ok(_), TokenAction::Revoke(_)) => writeln!(out, "{}", say("已撤销", "revoked"))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl TokenAction {
    fn ask(&self, client: &Client) -> Result<Value, ApiError> {
        match self {
            Self::List { .. } => client.get("/api/v1/tokens"),
            Self::Add { whose, role, days } => {
                let until = SystemClock::new().now().wall.plus_ms(i64::from(*days) * DAY_MS);
                let actor = whose.by.name()?;
                let token = json!({"name": whose.name, "role": role, "expires_at": until, "actor": actor});
                client.post("/api/v1/tokens", &token)
            }
            Self::Revoke(whose) => whose.take_away(client, "/api/v1/tokens"),
        }
    }
}

fn role_of(row: &Value) -> String {
    Role::from_word(&text(row, "/role")).map(|role| said(&role.name())).unwrap_or_default()
}

fn time(row: &Value, pointer: &str, zone: &TimeZone) -> String {
    row.pointer(pointer).and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone)).unwrap_or_default()
}

fn accounts(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let state = |row: &Value| match row.pointer("/disabled") {
        Some(Value::Bool(true)) => say("停用", "disabled"),
        _ => say("可用", "good"),
    };
    let rows: Vec<[String; 5]> = rows(answer)
        .map(|row| {
            [
                text(row, "/name"),
                role_of(row),
                state(row),
                text(row, "/sessions"),
                time(row, "/made_at", zone),
            ]
        })
        .collect();
    if rows.is_empty() {
        let zh = "没有账号：用 schoolgate account claim-code 得到认领码，再打开网关的页面";
        let en = "no accounts: `schoolgate account claim-code` gives the code for the gateway's page";
        return writeln!(out, "{}", say(zh, en));
    }
    let headings = match lang() {
        Lang::Zh => ["账号", "角色", "状态", "会话", "建立时间"],
        Lang::En => ["ACCOUNT", "ROLE", "STATE", "SESSIONS", "MADE"],
    };
    table::print(out, headings, &rows)
}

fn tokens(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 4]> = rows(answer)
        .map(|row| {
            [text(row, "/name"), role_of(row), time(row, "/made_at", zone), time(row, "/expires_at", zone)]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有令牌", "no tokens"));
    }
    let headings = match lang() {
        Lang::Zh => ["令牌", "角色", "建立时间", "到期"],
        Lang::En => ["TOKEN", "ROLE", "MADE", "EXPIRES"],
    };
    table::print(out, headings, &rows)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_one_piece_of_a_path() {
        for (name, path) in [
            ("zhang", "/a/zhang"),
            ("王老师", "/a/%E7%8E%8B%E8%80%81%E5%B8%88"),
            ("../sessions", "/a/..%2Fsessions"),
            ("a?b#c", "/a/a%3Fb%23c"),
        ] {
            assert_eq!(super::under("/a", name), path);
        }
    }
}
