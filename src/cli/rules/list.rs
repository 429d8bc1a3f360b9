//! `schoolgate rules list`: every rule with what it watches and when it last raised an alarm.

use super::super::words::{lang, say};
use super::super::{complain, table};
use super::{EXIT_DIFFERS, kinds, trial};
use crate::config::Trial;
use crate::model::Lang;
use crate::rules::{Rule, Watch};
use crate::store::{Raised, Reader};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl List {
    /// Exits with 0 when done, 1 when the store cannot be read, 64 when the configuration is wrong.
    pub(super) fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let trial = match trial(config, &[], out)? {
            Ok(trial) => trial,
            Err(code) => return Ok(code),
        };
        // Where the gateway has never run, nothing has been raised.
        let raised = if trial.config.data_dir.join(crate::store::FILE_NAME).exists() {
            Reader::open(&trial.config.data_dir).and_then(|reader| reader.raised())
        } else {
            Ok(BTreeMap::new())
        };
        match raised {
            Ok(raised) => self.print(&trial, &raised, out).map(|()| ExitCode::SUCCESS),
            Err(error) => complain(&error, EXIT_DIFFERS),
        }
    }

    fn print(
        &self,
        trial: &Trial,
        raised: &BTreeMap<String, Raised>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let kinds = kinds(&trial.rules);
        let kind =
            |rule: &dyn Rule| kinds.get(rule.id().as_str()).map_or("always", String::as_str).to_owned();
        if self.json {
            let rows = trial.config.rules.iter().map(|rule| {
                let (devices, points) = watched(rule.as_ref());
                let raised = raised.get(rule.id().as_str());
                json!({
                    "id": rule.id(), "kind": kind(rule.as_ref()), "devices": devices, "points": points,
                    "alarms": raised.map_or(0, |raised| raised.alarms),
                    "last_raised_at": raised.map(|raised| raised.last),
                })
            });
            return writeln!(out, "{:#}", serde_json::Value::Array(rows.collect()));
        }
        let rows: Vec<[String; 6]> = trial
            .config
            .rules
            .iter()
            .map(|rule| {
                let (devices, points) = watched(rule.as_ref());
                let raised = raised.get(rule.id().as_str());
                let count = |n: Option<usize>| n.map_or_else(|| say("全部", "all"), |n| n.to_string());
                [
                    rule.id().to_string(),
                    kind(rule.as_ref()),
                    count(devices),
                    points.to_string(),
                    raised.map_or(0, |raised| raised.alarms).to_string(),
                    raised.map_or_else(|| "-".into(), |raised| raised.last.in_zone(&trial.config.site.zone)),
                ]
            })
            .collect();
        let headings = match lang() {
            Lang::Zh => ["规则", "种类", "设备", "测点", "报警数", "最近一次"],
            Lang::En => ["RULE", "KIND", "DEVICES", "POINTS", "ALARMS", "LAST RAISED"],
        };
        table::print(out, headings, &rows)
    }
}

/// How many devices it watches, `None` for all, and how many points it judges.
fn watched(rule: &dyn Rule) -> (Option<usize>, usize) {
    let devices = match rule.watches() {
        Watch::All => None,
        Watch::Devices(devices) => Some(devices.len()),
    };
    (devices, rule.points().len().max(rule.periods().len()))
}
