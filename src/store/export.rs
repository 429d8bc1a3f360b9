//! What is stored as a table for other programs: CSV for spreadsheets, Parquet for those who reckon with years.

use super::{Doing, Reader, Span, StoreError};
use crate::model::Wall;
use crate::pipeline::StoredReading;
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use rusqlite::params;
use rusqlite::types::ValueRef;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of one group of a Parquet file, which are in memory together: some 10 MB.
const GROUP_ROWS: usize = 50_000;
/// Rows between two reports of progress.
const REPORT_ROWS: u64 = 10_000;
/// What Excel knows UTF-8 by.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Readings by the time they are reckoned with.
    Readings,
    /// Roll-ups by their beginning.
    RollUps,
    /// Events by their arrival.
    Events,
    /// The same without whom they speak of.
    NamelessEvents,
    /// Alarms by the time they were raised.
    Alarms,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 in UTF-8, with a byte order mark for Excel or without.
    Csv {
        /// Whether the file begins with the mark.
        bom: bool,
    },
    /// Apache Parquet, not compressed.
    Parquet,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file could not be written.
    #[error("{path}: writing failed")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The Parquet writer refused.
    #[error("{path}: writing Parquet failed")]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: ParquetError,
    },
    /// Whoever heard of its progress had enough of it.
    #[error("the export was stopped")]
    Stopped,
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub rows: u64,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    /// Milliseconds since 1970; RFC 3339 in CSV.
    Time,
    Real,
}

/// A column's name and kind.
type Column = (&'static str, Kind);

/// A column of the last call for support of an alarm.
macro_rules! last_call {
    ($column:literal) => {
        concat!(
            "(select ",
            $column,
            " from alarm_change where alarm_change.alarm = alarm.id and kind = 'support_called' \
             order by seq desc limit 1)"
        )
    };
}

impl What {
    fn columns(self) -> &'static [Column] {
        use Kind::{Integer, Real, Text, Time};
        match self {
            Self::Readings => &[
                ("seq", Integer),
                ("device", Text),
                ("point", Text),
                ("unit", Text),
                ("kind", Text),
                ("at", Time),
                ("arrived", Time),
                ("device_at", Time),
                ("clock", Text),
                ("value", Real),
                ("quality", Text),
                ("doubt", Text),
            ],
            Self::RollUps => &[
                ("device", Text),
                ("point", Text),
                ("unit", Text),
                ("kind", Text),
                ("start", Time),
                ("period_secs", Integer),
                ("count", Integer),
                ("sum", Real),
                ("min", Real),
                ("max", Real),
                ("last", Real),
                ("delta", Real),
                ("revision", Integer),
            ],
            Self::Events => &[
                ("seq", Integer),
                ("device", Text),
                ("arrived", Time),
                ("device_at", Time),
                ("retained", Integer),
                ("kind", Text),
                ("phase", Text),
                ("code", Text),
                ("serial", Text),
                ("carrier", Text),
                ("service", Text),
                ("direction", Text),
                ("result", Text),
                ("person", Text),
                ("reason", Text),
            ],
            Self::NamelessEvents => &[
                ("seq", Integer),
                ("device", Text),
                ("arrived", Time),
                ("device_at", Time),
                ("retained", Integer),
                ("kind", Text),
                ("phase", Text),
                ("code", Text),
                ("carrier", Text),
                ("service", Text),
                ("direction", Text),
                ("result", Text),
                ("reason", Text),
            ],
            Self::Alarms => &[
                ("id", Integer),
                ("rule", Text),
                ("subject", Text),
                ("class", Text),
                ("priority", Text),
                ("device", Text),
                ("place", Text),
                ("what_zh", Text),
                ("what_en", Text),
                ("raised_at", Time),
                ("active", Integer),
                ("occurrences", Integer),
                ("cleared_at", Time),
                ("ack_by", Text),
                ("ack_at", Time),
                ("ack_note", Text),
                ("latched", Integer),
                ("reset_by", Text),
                ("reset_at", Time),
                ("reset_note", Text),
                ("closed_at", Time),
                ("support_by", Text),
                ("support_at", Time),
                ("support_note", Text),
            ],
        }
    }

    /// What a column is read from.
    fn reads(self, column: &'static str) -> &'static str {
        match (self, column) {
            // Behind the slash stands whom it speaks of.
            (Self::Alarms, "subject") => {
                "case when instr(subject, '/') > 0 then substr(subject, 1, instr(subject, '/') - 1) else subject end"
            }
            // The last call for support is a step of the alarm.
            (Self::Alarms, "support_by") => last_call!("actor"),
            (Self::Alarms, "support_at") => last_call!("at"),
            (Self::Alarms, "support_note") => last_call!("note"),
            _ => column,
        }
    }

    /// Where the rows come from and by which time they are picked; readings are read by [`Reader::scan`].
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Readings => ("reading", "arrived"),
            Self::RollUps => ("roll_up r join series s on s.id = r.series", "start"),
            Self::Events | Self::NamelessEvents => ("event", "arrived"),
            Self::Alarms => ("alarm", "raised_at"),
        }
    }
}

/// Writes what is stored of a span into a file, from `from` on and before `to`; `progress` hears of the rows so far, and
/// ends it by saying so.
/// A part of a page is in memory at a time, however long the span.
///
/// # Errors
/// When the store cannot be read or the file, which must not exist yet, cannot be written.
pub fn export(
    reader: &Reader,
    what: What,
    (from, to): (Wall, Wall),
    format: Format,
    out: &Path,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Exported, ExportError> {
    let file = File::create_new(out).map_err(|cause| ExportError::File { path: out.to_owned(), cause })?;
    let mut sink = Sink::begin(file, out, what.columns(), format)?;
    let mut rows = 0_u64;
    let mut put = |cells: &[ValueRef<'_>]| {
        rows += 1;
        if rows.is_multiple_of(REPORT_ROWS) && progress(rows).is_break() {
            return Err(ExportError::Stopped);
        }
        sink.row(cells)
    };
    if what == What::Readings {
        readings(reader, from, to, &mut put)?;
    } else {
        table(reader, what, from, to, &mut put)?;
    }
    sink.finish()?;
    Ok(Exported { rows })
}

type Put<'a> = dyn FnMut(&[ValueRef<'_>]) -> Result<(), ExportError> + 'a;

fn table(reader: &Reader, what: What, from: Wall, to: Wall, put: &mut Put<'_>) -> Result<(), ExportError> {
    let doing = "reading what to export";
    let columns: Vec<&str> = what.columns().iter().map(|(name, _)| what.reads(name)).collect();
    let (source, time) = what.source();
    let sql = format!("select {} from {source} where {time} >= ?1 and {time} < ?2", columns.join(", "));
    let mut statement = reader.db.prepare(&sql).doing(doing)?;
    let mut rows = statement.query(params![from.0, to.0]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let cells: Vec<ValueRef<'_>> =
            (0..columns.len()).map(|i| row.get_ref(i).unwrap_or(ValueRef::Null)).collect();
        put(&cells)?;
    }
    Ok(())
}

fn readings(reader: &Reader, from: Wall, to: Wall, put: &mut Put<'_>) -> Result<(), ExportError> {
    let mut outcome = Ok(());
    let time = |at: Option<Wall>| at.map_or(ValueRef::Null, |at| ValueRef::Integer(at.0));
    let word = |text: &'static str| ValueRef::Text(text.as_bytes());
    reader.scan(&Span { device: None, point: None, from, to }, |seq, stored| {
        let StoredReading { device, stamp, reading } = &stored;
        let quality = match reading.quality {
            crate::model::Quality::Good => "good",
            crate::model::Quality::Uncertain(_) => "uncertain",
            crate::model::Quality::Bad(_) => "bad",
        };
        outcome = put(&[
            ValueRef::Integer(i64::try_from(seq).unwrap_or(i64::MAX)),
            ValueRef::Text(device.as_str().as_bytes()),
            ValueRef::Text(reading.point.as_str().as_bytes()),
            word(reading.unit.symbol()),
            word(reading.kind.as_str()),
            time(Some(stamp.effective())),
            time(Some(stamp.gateway)),
            time(stamp.device),
            word(stamp.clock.as_str()),
            reading.value.map_or(ValueRef::Null, ValueRef::Real),
            word(quality),
            reading.quality.doubt().map_or(ValueRef::Null, |doubt| word(doubt.as_str())),
        ]);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome
}

/// Where rows go.
struct Sink {
    path: PathBuf,
    columns: &'static [Column],
    form: Form,
}

enum Form {
    Csv(BufWriter<File>),
    Parquet { file: Box<SerializedFileWriter<File>>, held: Vec<Held>, rows: usize },
}

/// One column of the group that is being gathered: which rows have a value, and the values.
enum Held {
    Text(Vec<i16>, Vec<ByteArray>),
    Integer(Vec<i16>, Vec<i64>),
    Real(Vec<i16>, Vec<f64>),
}

impl Sink {
    fn begin(
        mut file: File,
        path: &Path,
        columns: &'static [Column],
        format: Format,
    ) -> Result<Self, ExportError> {
        let parquet = |cause| ExportError::Parquet { path: path.to_owned(), cause };
        let form = match format {
            Format::Csv { bom } => {
                if bom {
                    file.write_all(BOM)
                        .map_err(|cause| ExportError::File { path: path.to_owned(), cause })?;
                }
                Form::Csv(BufWriter::new(file))
            }
            Format::Parquet => {
                let schema = schema(columns).map_err(parquet)?;
                let properties = Arc::new(WriterProperties::builder().build());
                let file = SerializedFileWriter::new(file, schema, properties).map_err(parquet)?;
                Form::Parquet { file: Box::new(file), held: hold(columns), rows: 0 }
            }
        };
        let mut sink = Self { path: path.to_owned(), columns, form };
        if let Form::Csv(_) = sink.form {
            let names: Vec<ValueRef<'_>> =
                columns.iter().map(|(name, _)| ValueRef::Text(name.as_bytes())).collect();
            sink.line(&names)?;
        }
        Ok(sink)
    }

    fn row(&mut self, cells: &[ValueRef<'_>]) -> Result<(), ExportError> {
        let Form::Parquet { file, held, rows } = &mut self.form else { return self.line(cells) };
        for (column, cell) in held.iter_mut().zip(cells) {
            column.push(*cell);
        }
        *rows += 1;
        if *rows < GROUP_ROWS {
            return Ok(());
        }
        *rows = 0;
        let full = std::mem::replace(held, hold(self.columns));
        group(file, &full).map_err(|cause| ExportError::Parquet { path: self.path.clone(), cause })
    }

    fn line(&mut self, cells: &[ValueRef<'_>]) -> Result<(), ExportError> {
        let Form::Csv(out) = &mut self.form else { return Ok(()) };
        let mut write = || {
            for (i, (cell, (_, kind))) in cells.iter().zip(self.columns).enumerate() {
                if i > 0 {
                    out.write_all(b",")?;
                }
                match (*cell, kind) {
                    (ValueRef::Null, _) => {}
                    (ValueRef::Integer(at), Kind::Time) => write!(out, "{}", Wall(at))?,
                    (ValueRef::Integer(n), _) => write!(out, "{n}")?,
                    // The shortest digits that give back every bit.
                    (ValueRef::Real(x), _) => write!(out, "{x}")?,
                    (ValueRef::Text(text) | ValueRef::Blob(text), _) => quoted(out, text)?,
                }
            }
            out.write_all(b"\r\n")
        };
        write().map_err(|cause| ExportError::File { path: self.path.clone(), cause })
    }

    fn finish(self) -> Result<(), ExportError> {
        let path = self.path;
        let file = match self.form {
            Form::Csv(out) => out.into_inner().map_err(io::IntoInnerError::into_error),
            Form::Parquet { mut file, held, rows } => {
                let end = if rows > 0 { group(&mut file, &held) } else { Ok(()) };
                let end = end.and_then(|()| file.into_inner());
                Ok(end.map_err(|cause| ExportError::Parquet { path: path.clone(), cause })?)
            }
        };
        file.and_then(|file| file.sync_all()).map_err(|cause| ExportError::File { path, cause })
    }
}

/// RFC 4180: quotes where there is a comma, a quote or the end of a line. What a spreadsheet would take for a formula
/// gets an apostrophe: notes and codes are written by others.
fn quoted(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    let formula = matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
    if !formula && !text.iter().any(|b| matches!(b, b',' | b'"' | b'\r' | b'\n')) {
        return out.write_all(text);
    }
    out.write_all(if formula { b"\"'" } else { b"\"" })?;
    for part in text.split_inclusive(|b| *b == b'"') {
        out.write_all(part)?;
        if part.ends_with(b"\"") {
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"\"")
}

fn schema(columns: &[Column]) -> Result<Arc<Type>, ParquetError> {
    let mut fields = Vec::new();
    for (name, kind) in columns {
        let (physical, converted) = match kind {
            Kind::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
            Kind::Integer => (Physical::INT64, ConvertedType::NONE),
            Kind::Time => (Physical::INT64, ConvertedType::TIMESTAMP_MILLIS),
            Kind::Real => (Physical::DOUBLE, ConvertedType::NONE),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_converted_type(converted)
            .with_repetition(Repetition::OPTIONAL)
            .build()?;
        fields.push(Arc::new(field));
    }
    Ok(Arc::new(Type::group_type_builder("schoolgate").with_fields(fields).build()?))
}

fn hold(columns: &[Column]) -> Vec<Held> {
    let column = |kind: Kind| match kind {
        Kind::Text => Held::Text(Vec::new(), Vec::new()),
        Kind::Integer | Kind::Time => Held::Integer(Vec::new(), Vec::new()),
        Kind::Real => Held::Real(Vec::new(), Vec::new()),
    };
    columns.iter().map(|(_, kind)| column(*kind)).collect()
}

impl Held {
    fn push(&mut self, cell: ValueRef<'_>) {
        let there = match (&mut *self, cell) {
            (Self::Text(_, values), ValueRef::Text(text) | ValueRef::Blob(text)) => {
                values.push(ByteArray::from(text.to_vec()));
                1
            }
            (Self::Integer(_, values), ValueRef::Integer(n)) => {
                values.push(n);
                1
            }
            (Self::Real(_, values), ValueRef::Real(x)) => {
                values.push(x);
                1
            }
            _ => 0,
        };
        let (Self::Text(levels, _) | Self::Integer(levels, _) | Self::Real(levels, _)) = self;
        levels.push(there);
    }
}

fn group(file: &mut SerializedFileWriter<File>, held: &[Held]) -> Result<(), ParquetError> {
    let mut group: SerializedRowGroupWriter<'_, File> = file.next_row_group()?;
    for column in held {
        let Some(mut writer) = group.next_column()? else { break };
        match column {
            Held::Text(levels, values) => {
                writer.typed::<ByteArrayType>().write_batch(values, Some(levels), None)?;
            }
            Held::Integer(levels, values) => {
                writer.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
            }
            Held::Real(levels, values) => {
                writer.typed::<DoubleType>().write_batch(values, Some(levels), None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    Ok(())
}
