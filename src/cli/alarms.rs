//! `schoolgate alarms`: what is open, taking it, and keeping it quiet for a while, through the running gateway.

use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::alarm::state_name;
use crate::model::{AlarmClass, Lang, Priority, Wall};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Look at alarms and take them.
#[derive(Debug, Args)]
pub(super) struct Alarms {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the alarms that are not over
    List {
        /// Also those that are over, newest first
        #[arg(long)]
        all: bool,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge an alarm: you take it
    Ack(Given),
    /// Call for support: it is real and you need more people; everybody on its ladder is told at once
    Support(Given),
    /// Reset a latched alarm (help, fire, intrusion, or one with a call for support) after its cause is gone
    Reset(Given),
    /// Set an alarm aside for a while; help, duress and fire never are
    Shelve {
        #[command(flatten)]
        given: Given,
        /// For how long at most, such as 30m or 8h
        #[arg(long = "for", value_name = "SPAN", value_parser = span_secs)]
        span: u32,
        /// Only until it clears
        #[arg(long)]
        until_clear: bool,
    },
    /// Take an alarm from the shelf
    Unshelve(Given),
    /// The alarm's device is being worked on
    OutOfService {
        #[command(flatten)]
        given: Given,
        /// For how long, such as 8h or 7d [default: until somebody says in-service]
        #[arg(long = "for", value_name = "SPAN", value_parser = span_secs)]
        span: Option<u32>,
    },
    /// The alarm's device is in service again
    InService(Given),
    /// Say what an alarm turned out to be; also of one that is over, for a while
    Confirm {
        #[command(flatten)]
        given: Given,
        /// What it was
        #[arg(long, value_enum)]
        result: Outcome,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Real,
    False,
    Drill,
    Nuisance,
}

#[derive(Debug, Args)]
struct Given {
    /// The alarm's number
    id: u64,
    #[command(flatten)]
    orderer: Orderer,
    /// What you want to write down
    #[arg(long, default_value = "")]
    note: String,
}

impl Alarms {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let told = Client::new(door).and_then(|client| self.action.ask(&client));
        let answer = match told {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match &self.action {
            Action::List { json: true, .. } => writeln!(out, "{answer:#}")?,
            Action::List { .. } => list(out, &answer, &zone)?,
            other => writeln!(out, "{}", after(&answer, &other.done()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Action {
    fn ask(&self, client: &Client) -> Result<Value, ApiError> {
        match self {
            Self::List { all, .. } => {
                client.get(if *all { "/api/v1/alarms" } else { "/api/v1/alarms?open=true" })
            }
            Self::Ack(given) => given.order(client, "acknowledge", json!({})),
            Self::Support(given) => given.order(client, "support", json!({})),
            Self::Reset(given) => given.order(client, "reset", json!({})),
            Self::Shelve { given, span, until_clear } => {
                given.order(client, "shelve", json!({"for_secs": span, "until_clear": until_clear}))
            }
            Self::Unshelve(given) => given.order(client, "unshelve", json!({})),
            Self::OutOfService { given, span } => {
                let more = span.map_or(json!({}), |span| json!({"for_secs": span}));
                given.order(client, "out-of-service", more)
            }
            Self::InService(given) => given.order(client, "in-service", json!({})),
            Self::Confirm { given, result } => {
                let word = match result {
                    Outcome::Real => "real",
                    Outcome::False => "false",
                    Outcome::Drill => "drill",
                    Outcome::Nuisance => "nuisance",
                };
                given.order(client, "confirm", json!({"result": word}))
            }
        }
    }

    /// What was done to the alarm.
    fn done(&self) -> String {
        match self {
            Self::List { .. } => String::new(),
            Self::Ack(_) => say("已确认", "acknowledged"),
            Self::Support(_) => say("已请求支援", "call for support made"),
            Self::Reset(_) => say("已复位", "reset"),
            Self::Shelve { .. } => say("已搁置", "shelved"),
            Self::Unshelve(_) => say("已取消搁置", "taken from the shelf"),
            Self::OutOfService { .. } => say("已停用", "taken out of service"),
            Self::InService(_) => say("已恢复使用", "put back in service"),
            Self::Confirm { .. } => say("已定性", "confirmed"),
        }
    }
}

impl Given {
    fn order(&self, client: &Client, verb: &str, more: Value) -> Result<Value, ApiError> {
        let order = ordered(&self.orderer, &self.note, more)?;
        client.post(&format!("/api/v1/alarms/{}/{verb}", self.id), &order)
    }
}

/// An order: who gives it, what they write, and what else it says.
pub(super) fn ordered(orderer: &Orderer, note: &str, more: Value) -> Result<Value, ApiError> {
    let mut order = more;
    if let Some(fields) = order.as_object_mut() {
        fields.insert("actor".into(), orderer.name()?.into());
        fields.insert("note".into(), note.into());
    }
    Ok(order)
}

/// A span such as `90s`, `30m`, `8h` or `7d`, in seconds.
pub(super) fn span_secs(text: &str) -> Result<u32, String> {
    let wrong = || "expected a number with s, m, h or d, such as 30m or 8h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor: u32 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|secs| *secs > 0).ok_or_else(wrong)
}

fn after(alarm: &Value, done: &str) -> String {
    let (id, state) = (text(alarm, "/id"), state(alarm));
    say(format!("报警 {id} {done}：{state}"), format!("alarm {id} {done}: {state}"))
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 7]> = rows(answer)
        .map(|alarm| {
            let raised = alarm.get("raised_at").and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
            let priority = Priority::from_word(&text(alarm, "/priority")).map(Priority::name);
            let class = AlarmClass::from_word(&text(alarm, "/class")).map(AlarmClass::name);
            [
                text(alarm, "/id"),
                standing(alarm, zone),
                priority.map(|name| said(&name)).unwrap_or_default(),
                class.map(|name| said(&name)).unwrap_or_default(),
                raised.unwrap_or_default(),
                text(alarm, "/acknowledged/by"),
                text(alarm, if lang() == Lang::Zh { "/what/zh" } else { "/what/en" }),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有报警", "no alarms"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "状态", "级别", "类别", "发生时间", "确认人", "内容"],
        Lang::En => ["ID", "STATE", "PRIORITY", "CLASS", "RAISED", "TAKEN BY", "WHAT"],
    };
    table::print(out, headings, &rows)
}

fn state(alarm: &Value) -> String {
    text(alarm, "/state").chars().next().map(|isa| said(&state_name(isa))).unwrap_or_default()
}

/// Its state, and when somebody called for support.
fn standing(alarm: &Value, zone: &TimeZone) -> String {
    let state = state(alarm);
    let Some(at) = alarm.pointer("/support/at").and_then(Value::as_i64) else { return state };
    let at = Wall(at).in_zone(zone);
    say(format!("{state}，请求支援 {at}"), format!("{state}, help needed {at}"))
}

#[cfg(test)]
mod tests {
    use super::{TimeZone, span_secs, standing};

    #[test]
    fn the_list_says_when_somebody_called_for_support() {
        let mut alarm = serde_json::json!({"state": "C"});
        assert!(!standing(&alarm, &TimeZone::UTC).contains("04:26"), "{alarm}");
        alarm["support"] = serde_json::json!({"by": "guard", "at": 1_790_051_200_000_i64, "note": ""});
        assert!(standing(&alarm, &TimeZone::UTC).contains("2026-09-22 04:26:40"), "{alarm}");
    }

    #[test]
    fn a_span_is_a_number_with_its_unit() {
        for (text, secs) in [("90s", 90), ("30m", 1800), ("8h", 28_800), ("7d", 604_800)] {
            assert_eq!(span_secs(text), Ok(secs), "{text}");
        }
        for wrong in ["", "8", "h", "-1h", "0m", "1.5h", "99999999d", "8小时"] {
            assert!(span_secs(wrong).is_err(), "{wrong}");
        }
    }
}
