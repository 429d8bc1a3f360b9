//! `schoolgate quarantine list`: payloads that could not be understood. Works while the gateway is stopped, too.

use super::words::{lang, say};
use super::{At, EXIT_UNAVAILABLE, complain, configured, table};
use crate::model::Lang;
use crate::store::Reader;
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// Look at payloads that could not be understood.
#[derive(Debug, Args)]
pub(super) struct Quarantine {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show them, newest first
    List {
        /// How many at most (1 to 1000)
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

impl Quarantine {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the store cannot be read.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let Action::List { limit, json } = &self.action;
        let page = match Reader::open(&config.data_dir).and_then(|r| r.quarantine(None, *limit)) {
            Ok(page) => page,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        if *json {
            let rows: Vec<_> = page.rows.iter().map(|(_, row)| row).collect();
            return writeln!(out, "{:#}", serde_json::json!(rows)).map(|()| ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 7]> = page
            .rows
            .into_iter()
            .map(|(seq, row)| {
                let device = row.device.unwrap_or_else(|| "-".into());
                [
                    seq.to_string(),
                    row.at.in_zone(&config.site.zone),
                    row.bus,
                    device,
                    row.kind,
                    row.origin,
                    row.reason,
                ]
            })
            .collect();
        if rows.is_empty() {
            return writeln!(out, "{}", say("隔离区是空的", "nothing is in quarantine"))
                .map(|()| ExitCode::SUCCESS);
        }
        let headings = match lang() {
            Lang::Zh => ["编号", "时间", "总线", "设备", "类型", "来源", "原因"],
            Lang::En => ["SEQ", "AT", "BUS", "DEVICE", "KIND", "FROM", "WHY"],
        };
        table::print(out, headings, &rows)?;
        Ok(ExitCode::SUCCESS)
    }
}
