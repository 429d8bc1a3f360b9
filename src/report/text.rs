//! A document as plain text, for a terminal.

use super::document::{Document, Section};
use std::fmt::Write as _;

/// The document as text.
#[must_use]
pub fn text(document: &Document) -> String {
    let mut out = String::new();
    let facts: Vec<Vec<String>> =
        document.facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    put(&mut out, &document.title);
    table(&mut out, &facts);
    for section in &document.sections {
        out.push('\n');
        put(&mut out, &format!("== {}", section.title));
        if !section.rows.is_empty() {
            table(&mut out, &rows(section));
        }
        for line in document.below(section) {
            put(&mut out, &line);
        }
    }
    out.push('\n');
    for signature in &document.signatures {
        put(&mut out, &format!("{signature} ____________________"));
    }
    put(&mut out, &document.hash_line());
    out
}

/// The headings, and the rows that are listed.
fn rows(section: &Section) -> Vec<Vec<String>> {
    let headings = section.columns.iter().map(|column| column.title.clone()).collect();
    let listed = section.listed().iter().map(|row| row.iter().map(|cell| one_line(cell)).collect());
    std::iter::once(headings).chain(listed).collect()
}

/// What a person wrote, on one line, without what would move a terminal's cursor.
fn one_line(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn put(out: &mut String, line: &str) {
    out.push_str(&one_line(line));
    out.push('\n');
}

/// Each column as wide as its widest cell, the last as it comes.
fn table(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|n| widest(n).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            write!(line, "{cell}{:1$}  ", "", widest.saturating_sub(width(cell))).ok();
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Columns on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1100}'..='\u{ffef}').contains(&c) { 2 } else { 1 }).sum()
}
