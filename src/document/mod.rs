//! Reading a TOML file that a person wrote: every problem at once, each with its place, the offending text, and
//! what to write instead.
//!
//! A [`Document`] is parsed text; a [`Reader`] walks one of its tables, notes each problem in a shared
//! [`Problems`], remembers which keys were asked for, and reports the rest as unknown when it is finished.

mod problem;
mod reader;
pub mod sheet;

pub use problem::{Problem, Problems, Spot};
pub use reader::{Reader, one_of};

use crate::model::Text;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeTable;

/// Largest file read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// Keys under which people write secrets: what stands behind them is never shown.
pub const SECRET_KEYS: &[&str] = &[
    "api_key",
    "app_key",
    "app_secret",
    "key",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "secret_key",
    "token",
];

/// One parsed file.
#[derive(Debug)]
pub struct Document<'t> {
    file: Arc<str>,
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    root: Spanned<DeTable<'t>>,
    /// Where the syntax errors that were told begin; what the parser made of the text there was not written.
    broken: Vec<usize>,
}

impl<'t> Document<'t> {
    /// Parses a file's text; syntax errors go to `problems`, and what could be read is returned all the same.
    #[must_use]
    pub fn parse(file: &str, text: &'t str, problems: &Problems) -> Self {
        let text = if text.len() > MAX_DOCUMENT_BYTES {
            problems.add(Problem {
                spot: Spot { file: file.into(), line: 1, column: 1, text: String::new() },
                message: Text::new(
                    format!("文件有 {} 字节", text.len()),
                    format!("the file has {} bytes", text.len()),
                ),
                advice: Text::new(
                    format!("拆成 conf.d/ 里的几个文件，每个最多 {MAX_DOCUMENT_BYTES} 字节"),
                    format!("split it into files of at most {MAX_DOCUMENT_BYTES} bytes in conf.d/"),
                ),
            });
            ""
        } else {
            text
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut document = Self { file: file.into(), text, lines, root, broken: Vec::new() };
        // One slip often makes several parser errors; the first of each line is the one to mend.
        let mut last_line = 0;
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let spot = document.spot(span.clone());
            if spot.line != last_line {
                last_line = spot.line;
                document.broken.push(span.start);
                let advice = syntax_advice(error.message(), document.line(spot.line), &spot.text);
                let message = Text::new(
                    format!("这不是 TOML：{}", in_chinese(error.message())),
                    format!("this is not TOML: {}", error.message()),
                );
                problems.add(Problem { spot, message, advice });
            }
        }
        document
    }

    /// Walks the top of the file.
    #[must_use]
    pub fn reader<'d>(&'d self, problems: &'d Problems) -> Reader<'d> {
        Reader::new(self, self.root.get_ref(), self.root.span(), String::new(), problems)
    }

    /// The text of a line, 1-based.
    fn line(&self, number: usize) -> &'t str {
        let begin = number.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(0);
        self.text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or("")
    }

    /// The place of a range of bytes: 1-based line, 1-based column in characters, and the first line of the text.
    fn spot(&self, span: Range<usize>) -> Spot {
        let start = span.start.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= start);
        let begin = line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or(0);
        let before = self.text.get(begin..start).unwrap_or("");
        let text = self.text.get(start..span.end.min(self.text.len())).unwrap_or("");
        let text = text.lines().next().unwrap_or("").trim();
        Spot {
            file: Arc::clone(&self.file),
            line,
            column: before.chars().count() + 1,
            text: if is_secret(before, text) { "…".into() } else { text.chars().take(120).collect() },
        }
    }
}

/// The parser's commonest words, for those who read Chinese; its others stay as they are.
fn in_chinese(message: &str) -> &str {
    match message {
        "duplicate key" => "同一个键写了两次",
        "string values must be quoted, expected literal string" => "文本没有放在引号里",
        other => other,
    }
}

/// What to write instead of a line that is not TOML, by the slips people make most.
fn syntax_advice(message: &str, line: &str, text: &str) -> Text {
    if message.contains("duplicate key") {
        Text::new("两个里留下一个", "keep one of the two")
    } else if line.contains(['“', '”', '‘', '’', '＝', '［', '］', '＂']) {
        Text::new(
            "请用英文输入法的引号、等号和方括号：\" = [ ]",
            "write plain \" = [ ] instead of full-width ones",
        )
    } else if text.starts_with(|c: char| c.is_ascii_digit()) {
        Text::new(
            "数字里只能有数字；文本要放在双引号里",
            "a number has digits only; a text goes in double quotes",
        )
    } else {
        Text::new(
            "在 `[表]` 的下面一行一行写 `键 = 值`；文本放在双引号里",
            "write `key = value` lines under `[table]` headings; texts go in double quotes",
        )
    }
}

/// Whether one of [`SECRET_KEYS`] is assigned in this part of a line.
fn is_secret(before: &str, text: &str) -> bool {
    let line = format!("{before}{text}");
    line.split('=').rev().skip(1).any(|written| {
        let word = written.trim_end().trim_end_matches(['"', '\'']);
        let word = word.rsplit(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')).next();
        word.is_some_and(|word| SECRET_KEYS.contains(&word.to_ascii_lowercase().as_str()))
    })
}

#[cfg(test)]
mod tests;
