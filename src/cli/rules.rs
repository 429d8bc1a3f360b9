//! `schoolgate rules test|list|replay|explain`: rules tried before they are switched on, and asked afterwards.

mod cases;
mod explain;
mod list;
mod replay;

use super::words::{self, say};
use super::{At, EXIT_USAGE};
use crate::config::{self, Trial};
use crate::document::{Document, Problem, Problems};
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Something is not as it should be.
const EXIT_DIFFERS: u8 = 1;

/// Try rules on written cases and on the past, and ask what made an alarm.
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the cases that stand beside the rules
    Test(cases::Test),
    /// Show rules the past once more: which alarms they would have raised, and which were raised
    Replay(replay::Replay),
    /// Show what made an alarm: the rule, what was observed, and what became of it
    Explain(explain::Explain),
    /// List the rules: what they watch, and when they last raised an alarm
    List(list::List),
}

impl Rules {
    /// Exits with 0 when all is as expected, 1 when not, 64 when the configuration or a case is wrong.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match &self.action {
            Action::Test(test) => test.run(&self.at.config, out),
            Action::Replay(replay) => replay.run(&self.at.config, out),
            Action::Explain(explain) => explain.run(&self.at.config, out),
            Action::List(list) => list.run(&self.at.config, out),
        }
    }
}

/// The configuration with the rules that are tried, or the exit code after its problems are printed.
fn trial(
    config: &std::path::Path,
    tried: &[PathBuf],
    out: &mut impl Write,
) -> io::Result<Result<Trial, ExitCode>> {
    match config::load_trial(config, tried) {
        Ok(trial) => Ok(Ok(trial)),
        Err(problems) => tell(&problems, out).map(Err),
    }
}

/// Prints what is wrong.
fn tell(problems: &[Problem], out: &mut impl Write) -> io::Result<ExitCode> {
    words::tell(problems, out)?;
    let many = problems.len();
    let zh = format!("共 {many} 个问题；“->” 后面是改法");
    writeln!(out, "{}", say(zh, format!("problems: {many}; what to write instead stands behind ->")))?;
    Ok(ExitCode::from(EXIT_USAGE))
}

/// The kind of each written rule.
fn kinds(files: &[(String, String)]) -> BTreeMap<String, String> {
    let told = Problems::new();
    let mut kinds = BTreeMap::new();
    for (file, text) in files {
        let document = Document::parse(file, text, &told);
        for rule in document.reader(&told).tables("rule") {
            if let (Some(id), Some(kind)) = (rule.text_opt("id"), rule.text_opt("kind")) {
                kinds.insert(id, kind);
            }
        }
    }
    kinds
}
