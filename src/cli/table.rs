//! Rows under headings, each column as wide as its widest cell.

use std::io::{self, Write};

/// Prints a table; the last column is not padded.
pub(super) fn print<const N: usize>(
    out: &mut impl Write,
    headings: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut widths = headings.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    line(out, &headings.map(str::to_owned), &widths)?;
    rows.iter().try_for_each(|row| line(out, row, &widths))
}

fn line(out: &mut impl Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
    for (i, (cell, widest)) in cells.iter().zip(widths).enumerate() {
        if i + 1 == cells.len() {
            return writeln!(out, "{cell}");
        }
        write!(out, "{cell}{:1$}  ", "", widest.saturating_sub(width(cell)))?;
    }
    writeln!(out)
}

/// Columns on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1100}'..='\u{ffef}').contains(&c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_with_chinese_in_them() {
        let mut out = Vec::new();
        let rows = [["门卫".to_owned(), "1".to_owned()], ["gate".to_owned(), "22".to_owned()]];
        super::print(&mut out, ["PLACE", "N"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "PLACE  N\n门卫   1\ngate   22\n");
    }
}
