//! `schoolgate db check|verify|stats|backup|restore|repair|export`: what is stored, for whoever looks after the box.

use super::words::{lang, said, say};
use super::{At, EXIT_USAGE, complain, configured, moment, table};
use crate::model::{Lang, Wall};
use crate::runtime::{Clock, SystemClock};
use crate::store::{self, Depth, Format, Reader, Verdict, What};
use clap::{Args, Subcommand, ValueEnum};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something is broken, or it was not done.
const EXIT_BROKEN: u8 = 1;

/// Look after what is stored: check, verify, back up, restore, repair, export.
#[derive(Debug, Args)]
pub(super) struct Db {
    #[command(flatten)]
    at: At,
    /// The data directory, instead of the one in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// A quick look: header, tables, the last 1,000 rows of each chain, the ends of sealed files
    Check,
    /// Compare everything with its hashes; the gateway may run
    Verify {
        /// A head of the audit trail that a platform was sent: its `entries`, a colon, its `hash`
        #[arg(long, value_name = "ENTRIES:SHA256", value_parser = audit_head)]
        audit_head: Option<(u64, String)>,
    },
    /// How much there is, from when to when
    Stats,
    /// Copy everything into an empty directory; the gateway may run
    Backup {
        /// Where to; must be empty or not exist
        to: PathBuf,
    },
    /// Put a backup in place; the gateway must be stopped
    Restore {
        /// The backup's directory
        from: PathBuf,
        /// Replace data that are there; they are moved aside, not deleted
        #[arg(long)]
        force: bool,
    },
    /// Keep what can be read of damaged data; the gateway must be stopped
    Repair,
    /// Write a table for other programs
    Export(Export),
}

#[derive(Debug, Args)]
struct Export {
    /// What to export
    #[arg(long, value_enum)]
    what: Kind,
    /// From this day or moment on: 2026-09-01 (UTC) or 2026-09-01T00:00:00+08:00
    #[arg(long, value_parser = moment)]
    from: Wall,
    /// Before this day or moment
    #[arg(long, value_parser = moment)]
    to: Wall,
    /// In which form
    #[arg(long, value_enum)]
    format: Form,
    /// Begin a CSV file with the mark by which Excel knows UTF-8
    #[arg(long)]
    bom: bool,
    /// The file to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Readings,
    Rollups,
    Events,
    Alarms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Parquet,
}

impl Db {
    /// Exits with 0 when done and well, 1 when something is broken or failed, 64 when the configuration is wrong.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => match configured(&self.at.config, out)? {
                Ok(config) => config.data_dir,
                Err(code) => return Ok(code),
            },
        };
        let now = SystemClock::new().now().wall;
        match &self.action {
            Action::Check => tell(out, Reader::open(&dir).and_then(|r| r.verify(Depth::Quick))),
            Action::Verify { audit_head } => tell(out, verified(&dir, audit_head.as_ref())),
            Action::Stats => match Reader::open(&dir).and_then(|reader| reader.stats()) {
                Ok(stats) => print_stats(out, &stats),
                Err(error) => failed(&error),
            },
            Action::Backup { to } => match store::backup(&dir, to) {
                Ok(done) => {
                    let (files, bytes) = (done.files, done.bytes);
                    let zh = format!("已备份：{files} 个文件，{bytes} 字节");
                    good(out, &say(zh, format!("backed up: {files} files, {bytes} bytes")))
                }
                Err(error) => failed(&error),
            },
            Action::Restore { from, force } => match store::restore(from, &dir, *force, now) {
                Ok(done) => {
                    let (files, next) = (done.files, done.next_record);
                    let mut line = say(
                        format!("已恢复：{files} 个文件；下一条上报编号是 {next}"),
                        format!("restored: {files} files; the next record for a platform is number {next}"),
                    );
                    if let Some(aside) = done.moved_to {
                        let aside = aside.display();
                        let zh = format!("；原有数据已移到 {aside}");
                        line.push_str(&say(zh, format!("; the data from before are in {aside}")));
                    }
                    good(out, &line)
                }
                Err(error) => failed(&error),
            },
            Action::Repair => repair(out, &dir, now),
            Action::Export(export) => export.run(out, &dir),
        }
    }
}

fn good(out: &mut impl Write, line: &str) -> io::Result<ExitCode> {
    writeln!(out, "{line}").map(|()| ExitCode::SUCCESS)
}

fn failed(error: &(dyn Error + 'static)) -> io::Result<ExitCode> {
    complain(error, EXIT_BROKEN)
}

/// Prints each thing that is broken, a line each.
fn print_broken(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    for broken in &verdict.broken {
        let place = &broken.place;
        let row = broken.seq.map(|seq| say(format!(" 第 {seq} 行"), format!(" row {seq}")));
        writeln!(out, "{place}{}: {}", row.unwrap_or_default(), said(&broken.problem))?;
    }
    Ok(())
}

fn audit_head(text: &str) -> Result<(u64, String), String> {
    let advice =
        "write the `entries` and the `hash` that the platform has, with a colon between them: 1234:9f86d0…";
    let (entries, hash) = text.split_once(':').ok_or(advice)?;
    let known = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let entries = entries.parse().ok().filter(|_| known).ok_or(advice)?;
    Ok((entries, hash.to_owned()))
}

fn verified(dir: &Path, head: Option<&(u64, String)>) -> Result<Verdict, store::StoreError> {
    let reader = Reader::open(dir)?;
    let mut verdict = reader.verify(Depth::Whole)?;
    if let Some((entries, hash)) = head {
        reader.verify_audit_head(*entries, hash, &mut verdict)?;
    }
    Ok(verdict)
}

fn tell(out: &mut impl Write, verdict: Result<Verdict, store::StoreError>) -> io::Result<ExitCode> {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => return failed(&error),
    };
    print_broken(out, &verdict)?;
    let Verdict { rows, unproven, files, .. } = &verdict;
    let many = verdict.broken.len();
    if many > 0 {
        let zh = format!("共 {many} 处损坏；先备份这个目录，再停止网关并运行 schoolgate db repair");
        let en =
            format!("{many} broken; copy the directory, stop the gateway, then run schoolgate db repair");
        writeln!(out, "{}", say(zh, en))?;
        return Ok(ExitCode::from(EXIT_BROKEN));
    }
    let mut line = say(
        format!("ok（正常）：已核对 {rows} 行、{files} 个封存文件"),
        format!("ok: {rows} rows and {files} sealed files are as they were written"),
    );
    if verdict.erased > 0 {
        let many = verdict.erased;
        let zh = format!("；其中 {many} 行的人员已按要求删除");
        line.push_str(&say(zh, format!("; the person was erased from {many} of them")));
    }
    for (table, seq) in &verdict.cut {
        let zh = format!("；{table} 到第 {seq} 行为止已按保存期限删除");
        line.push_str(&say(zh, format!("; {table} was deleted up to row {seq}, as it was kept long enough")));
    }
    if *unproven > 0 {
        let zh = format!("；另有 {unproven} 行写于有哈希之前，无从核对");
        line.push_str(&say(zh, format!("; {unproven} rows are from before there were hashes")));
    }
    good(out, &line)
}

fn print_stats(out: &mut impl Write, stats: &store::Stats) -> io::Result<ExitCode> {
    let time = |at: Option<Wall>| at.map_or_else(|| "-".into(), |at| at.to_string());
    let rows: Vec<[String; 4]> = stats
        .kinds
        .iter()
        .map(|kind| [kind.name.clone(), kind.rows.to_string(), time(kind.oldest), time(kind.newest)])
        .collect();
    let headings = match lang() {
        Lang::Zh => ["种类", "行数", "最早", "最新"],
        Lang::En => ["KIND", "ROWS", "OLDEST", "NEWEST"],
    };
    table::print(out, headings, &rows)?;
    let (files, sealed, database) = (stats.sealed_files, stats.sealed_bytes, stats.database_bytes);
    let line = say(
        format!("数据库 {database} 字节；封存文件 {files} 个，{sealed} 字节"),
        format!("database {database} bytes; {files} sealed files, {sealed} bytes"),
    );
    writeln!(out, "{line}")?;
    for (reason, rows) in &stats.dropped {
        let line = say(format!("已丢弃 {rows} 行：{reason}"), format!("dropped {rows} rows: {reason}"));
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn repair(out: &mut impl Write, dir: &std::path::Path, now: Wall) -> io::Result<ExitCode> {
    let done = match store::repair(dir, now) {
        Ok(done) => done,
        Err(error) => return failed(&error),
    };
    print_broken(out, &done.found)?;
    let Some(aside) = &done.moved_to else {
        return good(out, &say("没有发现损坏，什么也没有改", "nothing is broken; nothing was changed"));
    };
    let (kept, refused, gaps, aside) = (done.kept, done.refused, done.gaps, aside.display());
    let mut line = say(
        format!("已修复：保留 {kept} 行，{refused} 行不合格，{gaps} 处读不出来；原文件在 {aside}"),
        format!(
            "repaired: {kept} rows kept, {refused} do not fit, {gaps} gaps; the files from before are in {aside}"
        ),
    );
    if !done.torn.is_empty() {
        let torn = done.torn.join(", ");
        line.push_str(&say(
            format!("；有改动或缺失的表：{torn}"),
            format!("; changed or incomplete: {torn}"),
        ));
    }
    good(out, &line)
}

impl Export {
    fn run(&self, out: &mut impl Write, dir: &std::path::Path) -> io::Result<ExitCode> {
        if self.bom && self.format == Form::Parquet {
            let line = say("--bom 只用于 csv", "--bom is for csv only");
            writeln!(io::stderr(), "schoolgate: {line}")?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        let what = match self.what {
            Kind::Readings => What::Readings,
            Kind::Rollups => What::RollUps,
            Kind::Events => What::Events,
            Kind::Alarms => What::Alarms,
        };
        let format = match self.format {
            Form::Csv => Format::Csv { bom: self.bom },
            Form::Parquet => Format::Parquet,
        };
        let watched = io::stderr().is_terminal();
        let progress = |rows: u64| {
            if watched {
                // Nobody is told of a terminal that has gone.
                write!(io::stderr(), "\r{rows}").ok();
            }
            ControlFlow::Continue(())
        };
        let reader = match Reader::open(dir) {
            Ok(reader) => reader,
            Err(error) => return failed(&error),
        };
        match store::export(&reader, what, (self.from, self.to), format, &self.out, progress) {
            Ok(done) => {
                if watched {
                    writeln!(io::stderr())?;
                }
                let rows = done.rows;
                good(out, &say(format!("已导出 {rows} 行"), format!("exported {rows} rows")))
            }
            Err(error) => failed(&error),
        }
    }
}
