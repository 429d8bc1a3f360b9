//! Reading a TOML file that a person wrote: every problem at once, each with its place, the offending text, and
//! what to write instead.
//!
//! A [`Document`] is parsed text; a [`Reader`] walks one of its tables, notes each problem in a shared
//! [`Problems`], remembers which keys were asked for, and reports the rest as unknown when it is finished.

mod problem;
mod reader;

pub use problem::{Problem, Problems, Spot};
pub use reader::{Reader, one_of};

use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeTable;

/// Largest file read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// One parsed file.
#[derive(Debug)]
pub struct Document<'t> {
    file: Arc<str>,
    text: &'t str,
    root: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Parses a file's text; syntax errors go to `problems`, and what could be read is returned all the same.
    #[must_use]
    pub fn parse(file: &str, text: &'t str, problems: &Problems) -> Self {
        let text = if text.len() > MAX_DOCUMENT_BYTES {
            problems.add(Problem {
                spot: Spot { file: file.into(), line: 1, column: 1, text: String::new() },
                message: format!("the file has {} bytes", text.len()),
                advice: format!("split it into files of at most {MAX_DOCUMENT_BYTES} bytes in conf.d/"),
            });
            ""
        } else {
            text
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { file: file.into(), text, root };
        // One slip often makes several parser errors; the first of each line is the one to mend.
        let mut last_line = 0;
        for error in errors {
            let spot = document.spot(error.span().unwrap_or(0..0));
            if spot.line != last_line {
                last_line = spot.line;
                problems.add(Problem {
                    spot,
                    message: format!("this is not TOML: {}", error.message()),
                    advice: "write `key = value` lines under `[table]` headings; texts go in double quotes"
                        .into(),
                });
            }
        }
        document
    }

    /// The file's name as given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Walks the top of the file.
    #[must_use]
    pub fn reader<'d>(&'d self, problems: &'d Problems) -> Reader<'d> {
        Reader::new(self, self.root.get_ref(), self.root.span(), String::new(), problems)
    }

    /// The place of a range of bytes: 1-based line, 1-based column in characters, and the first line of the text.
    fn spot(&self, span: Range<usize>) -> Spot {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let text = self.text.get(start..span.end.min(self.text.len())).unwrap_or("");
        Spot {
            file: Arc::clone(&self.file),
            line,
            column,
            text: text.lines().next().unwrap_or("").trim().chars().take(120).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
