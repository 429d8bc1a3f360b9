//! `schoolgate report`: the hand-over of a shift, through the running gateway.

use super::client::{Client, Gateway, Orderer};
use super::words::{lang, say};
use super::{EXIT_IO, EXIT_UNAVAILABLE, EXIT_USAGE, complain};
use crate::model::{Lang, Wall};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for a report of a month.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Write reports for those who are on duty.
#[derive(Debug, Args)]
pub(super) struct Reports {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// What one shift hands over to the next: alarms, what is shelved, hazards, devices, areas, figures
    Shift(Shift),
}

#[derive(Debug, Args)]
struct Shift {
    /// The shift in which this moment lies: 2026-09-01T07:59:00+08:00 [default: the shift that goes on]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to"])]
    at: Option<String>,
    /// Instead of a shift, from this day or moment on
    #[arg(long, value_name = "TIME", requires = "to")]
    from: Option<String>,
    /// Until this day or moment, at most 31 days later
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// The file to write [default: what is printed]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// In which language [default: that of the locale]
    #[arg(long, value_enum)]
    lang: Option<Tongue>,
    #[command(flatten)]
    reader: Orderer,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Csv,
    Html,
    Pdf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tongue {
    Zh,
    En,
}

impl Reports {
    /// Exits with 0 when done, 64 when the configuration or a time is wrong, 69 when the gateway did not do it, 74 when
    /// the file cannot be written.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let Which::Shift(shift) = &self.which;
        let query = match shift.query(&zone) {
            Ok(query) => query,
            Err(wrong) => {
                writeln!(io::stderr(), "schoolgate: {wrong}")?;
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        };
        let query = |name: String| -> Vec<(&'static str, String)> {
            query.into_iter().chain([("actor", name)]).collect()
        };
        let told = shift.reader.name().and_then(|name| {
            let query = query(name);
            let query: Vec<(&str, &String)> = query.iter().map(|(key, value)| (*key, value)).collect();
            Client::patient(door, TIMEOUT)?.fetch("/api/v1/reports/shift", &query)
        });
        match (told, &shift.out) {
            (Err(error), _) => complain(&error, EXIT_UNAVAILABLE),
            (Ok(report), None) => out.write_all(&report).map(|()| ExitCode::SUCCESS),
            (Ok(report), Some(path)) => match std::fs::write(path, report) {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(error) => {
                    let path = path.display();
                    let wrong = say(format!("无法写入 {path}"), format!("cannot write {path}"));
                    writeln!(io::stderr(), "schoolgate: {wrong}: {error}")?;
                    Ok(ExitCode::from(EXIT_IO))
                }
            },
        }
    }
}

impl Shift {
    fn query(&self, zone: &TimeZone) -> Result<Vec<(&'static str, String)>, String> {
        let tongue = match (self.lang, lang()) {
            (Some(Tongue::Zh), _) | (None, Lang::Zh) => "zh",
            (Some(Tongue::En), _) | (None, Lang::En) => "en",
        };
        let form = match self.format {
            Form::Text => "text",
            Form::Json => "json",
            Form::Csv => "csv",
            Form::Html => "html",
            Form::Pdf => "pdf",
        };
        let mut query = vec![("lang", tongue.to_owned()), ("format", form.to_owned())];
        for (key, text) in [("at", &self.at), ("from", &self.from), ("to", &self.to)] {
            if let Some(text) = text {
                let Wall(ms) = moment(text, zone)?;
                query.push((key, ms.to_string()));
            }
        }
        Ok(query)
    }
}

/// A moment, a local time of the school, or the beginning of one of its days.
fn moment(text: &str, zone: &TimeZone) -> Result<Wall, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Wall(at.as_millisecond()));
    }
    let local = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
    let at = local.and_then(|local| zone.to_timestamp(local)).map_err(|_| {
        say(
            format!("“{text}”不是时间：写 2026-09-01、2026-09-01T08:00 或 2026-09-01T08:00:00+08:00"),
            format!("'{text}' is no time: write 2026-09-01, 2026-09-01T08:00 or 2026-09-01T08:00:00+08:00"),
        )
    })?;
    Ok(Wall(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_school_unless_they_say_otherwise() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let at = |text: &str| moment(text, &zone).map(|at| at.0).ok();
        assert_eq!(at("2026-09-01T08:00:00+08:00"), Some(1_788_220_800_000));
        assert_eq!(at("2026-09-01T08:00"), Some(1_788_220_800_000));
        assert_eq!(at("2026-09-01 08:00:00"), Some(1_788_220_800_000));
        assert_eq!(at("2026-09-01"), Some(1_788_192_000_000));
        for wrong in ["", "yesterday", "08:00", "2026-13-01"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
