//! The job `export`: what is stored as a file for other programs; nobody is named in it.

use super::file::Made;
use super::office::{Bench, JOBS_DIR, Outcome, on_thread};
use crate::console::Problem;
use crate::console::people::bad;
use crate::model::{Text, Wall};
use crate::store::{self, ExportError, Format, Reader, What};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

/// An export takes at most this part of the room that the data directory may take.
const SHARE: u64 = 8;

/// What is to be exported.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExportOrder")]
pub(crate) struct Order {
    /// Who asks, where that is not known by itself.
    pub(super) actor: Option<String>,
    what: Kind,
    /// From when on, milliseconds since 1970.
    from: i64,
    /// Until when.
    to: i64,
    #[serde(default)]
    format: Form,
    /// Whether a CSV file begins with a byte order mark, by which Excel knows UTF-8; yes unless told otherwise.
    bom: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ExportKind")]
enum Kind {
    Readings,
    Rollups,
    Events,
    Alarms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ExportForm")]
enum Form {
    #[default]
    Csv,
    Parquet,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Rollups => "rollups",
            Self::Events => "events",
            Self::Alarms => "alarms",
        }
    }

    fn what(self) -> What {
        match self {
            Self::Readings => What::Readings,
            Self::Rollups => What::RollUps,
            Self::Events => What::NamelessEvents,
            Self::Alarms => What::Alarms,
        }
    }
}

impl Order {
    pub(super) fn check(&self) -> Result<(), Problem> {
        super::span(self.from, self.to)?;
        match (self.format, self.bom) {
            (Form::Parquet, Some(true)) => Err(bad("bom 只用于 csv", "'bom' is for csv only")),
            _ => Ok(()),
        }
    }

    pub(super) fn words(&self) -> String {
        format!("{} from {} to {}", self.what.word(), Wall(self.from), Wall(self.to))
    }
}

pub(super) async fn run(bench: Bench, order: Order) -> Outcome {
    let dir = bench.data_dir.join(JOBS_DIR);
    let (ending, media, format) = match order.format {
        Form::Csv => ("csv", "text/csv; charset=utf-8", Format::Csv { bom: order.bom.unwrap_or(true) }),
        Form::Parquet => ("parquet", "application/vnd.apache.parquet", Format::Parquet),
    };
    let path = dir.join(format!("{}.{ending}", bench.id));
    let most = bench.work.budget_bytes / SHARE;
    // Made first, so that it is gone whatever happens.
    let made =
        Made { path: path.clone(), name: format!("{}-{}.{ending}", order.what.word(), bench.id), media };
    let done = on_thread(move || {
        let mut full = false;
        let progress = |rows: u64| {
            bench.tell(rows, None, Text::new(format!("已写 {rows} 行"), format!("{rows} rows written")));
            full = std::fs::metadata(&path).is_ok_and(|file| file.len() > most);
            if full || bench.halted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let exported = std::fs::create_dir_all(&dir)
            .map_err(|cause| ExportError::File { path: dir.clone(), cause })
            .and_then(|()| Ok(Reader::open(&bench.data_dir)?))
            .and_then(|reader| {
                let span = (Wall(order.from), Wall(order.to));
                store::export(&reader, order.what.what(), span, format, &path, progress)
            });
        let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        (exported, bytes, full)
    })
    .await;
    match done {
        Some((Ok(exported), bytes, _)) => {
            let mut outcome = Outcome::done(json!({"rows": exported.rows, "bytes": bytes}));
            let rows = exported.rows;
            outcome.note = Some(Text::new(format!("共 {rows} 行"), format!("{rows} rows")));
            outcome.file = Some(made);
            outcome
        }
        Some((Err(ExportError::Stopped), _, true)) => {
            let mib = most / 1024 / 1024;
            Outcome::failed(Text::new(
                format!("文件超过 {mib} MiB：请缩短时段"),
                format!("the file would be larger than {mib} MiB: ask for a shorter span"),
            ))
        }
        Some((Err(ExportError::Stopped), ..)) => Outcome::stopped(None),
        Some((Err(error), ..)) => Outcome::broken("导出失败", &error),
        None => Outcome::failed(Text::new("导出中断", "the export broke off")),
    }
}
