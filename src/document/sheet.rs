//! Tables as spreadsheets write them (CSV, RFC 4180): UTF-8 or GBK, separated by whatever the machine separates with.

use encoding_rs::{Encoding, GB18030, UTF_8};
use jiff::civil::Date;

/// The text of a file and the name of its encoding: by its mark, else UTF-8 if it is, else GBK if it is.
#[must_use]
pub fn decoded(bytes: &[u8]) -> Option<(String, &'static str)> {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let tried = marked.map_or_else(|| vec![UTF_8, GB18030], |encoding| vec![encoding]);
    tried.into_iter().find_map(|encoding| {
        let (text, used, bad) = encoding.decode(bytes);
        (!bad).then(|| (text.into_owned(), if used == GB18030 { "GBK" } else { used.name() }))
    })
}

/// The lines of a table and where each begins, from 1; cells may stand in quotes.
#[must_use]
pub fn lines(text: &str) -> Vec<(usize, Vec<String>)> {
    let first = text.lines().next().unwrap_or_default();
    // Spreadsheets write tabs or semicolons where told so, or where the machine is.
    let comma = [',', '\t', ';', '，'].into_iter().max_by_key(|c| (first.matches(*c).count(), *c == ','));
    let comma = comma.unwrap_or(',');
    let (mut lines, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begun, mut quoted) = (1, 1, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if quoted || cell.is_empty() => quoted = !quoted,
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' | '\r' if !quoted => {
                cells.push(std::mem::take(&mut cell));
                lines.push((begun, std::mem::take(&mut cells)));
                line += 1;
                begun = line;
            }
            letter if letter == comma && !quoted => cells.push(std::mem::take(&mut cell)),
            letter => {
                line += usize::from(letter == '\n');
                cell.push(letter);
            }
        }
    }
    if !cell.is_empty() || !cells.is_empty() {
        cells.push(cell);
        lines.push((begun, cells));
    }
    lines
}

/// A day as spreadsheets write it: 2026-09-01, 2026/9/1, 2026.9.1, 2026年9月1日.
#[must_use]
pub fn day(text: &str) -> Option<Date> {
    let mut written = String::new();
    for part in text.split(['/', '.', '-', '年', '月', '日']).filter(|part| !part.is_empty()) {
        let separator = if written.is_empty() { "" } else { "-" };
        written.push_str(&format!("{separator}{part:0>2}"));
    }
    written.parse().ok().filter(|_| written.len() == 10)
}
