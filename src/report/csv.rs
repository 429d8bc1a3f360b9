//! A document as CSV (RFC 4180) for spreadsheets: UTF-8 with a byte order mark, one table per section, all rows.

use super::document::Document;

/// The document as CSV.
#[must_use]
pub fn csv(document: &Document) -> String {
    let mut out = String::from("\u{feff}");
    line(&mut out, [document.title.as_str()]);
    for (name, value) in &document.facts {
        line(&mut out, [name.as_str(), value]);
    }
    for section in &document.sections {
        out.push_str("\r\n");
        line(&mut out, [section.title.as_str()]);
        line(&mut out, section.columns.iter().map(|column| column.title.as_str()));
        for row in &section.rows {
            line(&mut out, row.iter().map(String::as_str));
        }
        if let Some(note) = &section.note {
            line(&mut out, [note.as_str()]);
        }
    }
    out.push_str("\r\n");
    for signature in &document.signatures {
        line(&mut out, [signature.as_str(), ""]);
    }
    line(&mut out, ["SHA-256", &document.hash]);
    out
}

fn line<'a>(out: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (n, cell) in cells.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        self::cell(out, cell);
    }
    out.push_str("\r\n");
}

/// One cell, always in quotes where it is not plain. What a spreadsheet would take for a formula gets an apostrophe.
fn cell(out: &mut String, text: &str) {
    let formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        || text.starts_with(['\t', '\r', '\n']);
    if !formula && !text.contains(['"', ',', '\r', '\n', ';']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_cell_is_a_formula_and_every_cell_is_read_back() {
        for (text, wanted) in [
            ("门卫", "门卫"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("he said \"go\"", "\"he said \"\"go\"\"\""),
            ("line\nline", "\"line\nline\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+86", "\"'+86\""),
            ("-1", "\"'-1\""),
            ("@sum", "\"'@sum\""),
            ("  =1", "\"'  =1\""),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "\"'＝1\""),
            ("5-6", "5-6"),
        ] {
            let mut out = String::new();
            super::cell(&mut out, text);
            assert_eq!(out, wanted, "{text:?}");
        }
    }
}
