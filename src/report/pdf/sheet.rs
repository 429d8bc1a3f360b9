//! Pages that fill from the top: paragraphs, tables that go on over the page's end with their head, a foot.

use super::measure::{is_latin, lines, width};
use super::{BODY, CELL, FOOT, HEAD_CELL, MARGIN, PAGE, SMALL};
use pdf_writer::types::TextRenderingMode;
use pdf_writer::{Content, Name, Str};

/// Helvetica, as pages call it.
pub(super) const LATIN: Name<'static> = Name(b"L");
/// The Chinese font, as pages call it.
pub(super) const SONG: Name<'static> = Name(b"S");

/// From one line to the next, in sizes of the font.
const LEADING: f32 = 1.3;
/// Room in a cell, points.
const PADDING: f32 = 2.5;
/// The highest and lowest points at which anything but the foot is drawn.
const TOP: f32 = PAGE.1 - MARGIN;
const BOTTOM: f32 = MARGIN + FOOT;
/// From margin to margin, points.
const WIDE: f32 = PAGE.0 - 2.0 * MARGIN;

/// How text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Points.
    pub(super) size: f32,
    /// Drawn with a rim: neither font has a bold cut everywhere.
    pub(super) bold: bool,
}

impl Style {
    fn leading(self) -> f32 {
        self.size * LEADING
    }
}

/// One page while it is drawn.
pub(super) struct Page {
    content: Content,
}

impl Page {
    fn new() -> Self {
        let mut content = Content::new();
        content.set_line_width(0.5);
        Self { content }
    }

    /// Draws one line of text from this point on.
    fn text(&mut self, style: Style, x: f32, y: f32, text: &str) {
        if text.is_empty() {
            return;
        }
        let content = &mut self.content;
        content.begin_text();
        let mode = if style.bold { TextRenderingMode::FillStroke } else { TextRenderingMode::Fill };
        content.set_text_rendering_mode(mode);
        if style.bold {
            content.set_line_width(style.size / 40.0);
        }
        content.next_line(x, y);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let latin = is_latin(first);
            let end = rest.find(|c| is_latin(c) != latin).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(end);
            rest = behind;
            if latin {
                content.set_font(LATIN, style.size).show(Str(run.as_bytes()));
            } else {
                let bytes: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
                content.set_font(SONG, style.size).show(Str(&bytes));
            }
        }
        content.end_text();
        if style.bold {
            content.set_line_width(0.5);
        }
    }

    fn line(&mut self, from: (f32, f32), to: (f32, f32)) {
        self.content.move_to(from.0, from.1).line_to(to.0, to.1).stroke();
    }

    /// The two lines at the foot of a page.
    pub(super) fn foot(&mut self, left: &str, right: &str, below: &str) {
        let y = MARGIN + SMALL.leading();
        self.line((MARGIN, y + SMALL.leading() + 1.0), (PAGE.0 - MARGIN, y + SMALL.leading() + 1.0));
        let room = WIDE - width(right, SMALL.size) - 12.0;
        let first = lines(left, SMALL.size, room).into_iter().next().unwrap_or_default();
        self.text(SMALL, MARGIN, y, &first);
        self.text(SMALL, PAGE.0 - MARGIN - width(right, SMALL.size), y, right);
        self.text(SMALL, MARGIN, MARGIN, below);
    }
}

/// The pages so far, and how far the last one is filled.
pub(super) struct Pages {
    done: Vec<Page>,
    page: Page,
    /// The lowest point drawn so far.
    y: f32,
}

/// A row that is drawn or partly drawn: the lines that are left of each cell.
type Left = Vec<std::vec::IntoIter<String>>;

impl Pages {
    pub(super) fn new() -> Self {
        Self { done: Vec::new(), page: Page::new(), y: TOP }
    }

    pub(super) fn count(&self) -> usize {
        self.done.len() + 1
    }

    pub(super) fn every(&mut self) -> impl Iterator<Item = &mut Page> {
        self.done.iter_mut().chain(std::iter::once(&mut self.page))
    }

    /// The content stream of every page.
    pub(super) fn finish(self) -> Vec<Vec<u8>> {
        let pages = self.done.into_iter().chain(std::iter::once(self.page));
        pages.map(|page| page.content.finish().into_vec()).collect()
    }

    fn turn(&mut self) {
        self.done.push(std::mem::replace(&mut self.page, Page::new()));
        self.y = TOP;
    }

    /// Turns the page unless there is so much room left.
    pub(super) fn need(&mut self, points: f32) {
        if self.y - points < BOTTOM {
            self.turn();
        }
    }

    pub(super) fn gap(&mut self, points: f32) {
        if self.y < TOP {
            self.y -= points;
        }
    }

    pub(super) fn paragraph(&mut self, style: Style, text: &str) {
        for line in lines(text, style.size, WIDE) {
            self.put(style, MARGIN, &line);
        }
    }

    fn put(&mut self, style: Style, x: f32, line: &str) {
        self.need(style.leading());
        self.y -= style.leading();
        self.page.text(style, x, self.y, line);
    }

    /// A name, and what holds of it beside it.
    pub(super) fn fact(&mut self, name: &str, value: &str) {
        const ASIDE: f32 = 70.0;
        for (n, line) in lines(value, BODY.size, WIDE - ASIDE).into_iter().enumerate() {
            self.put(BODY, MARGIN + ASIDE, &line);
            if n == 0 {
                self.page.text(BODY, MARGIN, self.y, name);
            }
        }
    }

    /// Lines to sign on, side by side.
    pub(super) fn signatures(&mut self, names: &[String]) {
        const HIGH: f32 = 70.0;
        const BETWEEN: f32 = 24.0;
        self.need(HIGH);
        self.y -= HIGH;
        let shares = names.iter().map(|_| 1).collect::<Vec<u16>>();
        for (name, (left, right)) in names.iter().zip(spans(&shares)) {
            self.page.text(BODY, left, self.y + 3.0, name);
            let begin = left + width(name, BODY.size) + 6.0;
            self.page.line((begin, self.y), (right - BETWEEN, self.y));
        }
    }

    /// A table; its head stands on every page that it reaches.
    pub(super) fn table(&mut self, columns: &[(&str, u16)], rows: &[Vec<String>]) {
        let shares: Vec<u16> = columns.iter().map(|(_, share)| *share).collect();
        let spans = spans(&shares);
        let broken = |style: Style, cells: &mut dyn Iterator<Item = &str>| -> Left {
            cells
                .zip(&spans)
                .map(|(cell, (left, right))| {
                    lines(cell, style.size, right - left - 2.0 * PADDING).into_iter()
                })
                .collect()
        };
        let head = broken(HEAD_CELL, &mut columns.iter().map(|(title, _)| *title));
        let first = rows.first().map(|row| broken(CELL, &mut row.iter().map(String::as_str)));
        self.need(high(&head) + first.map_or(0.0, |row| high(&row)).min(80.0));
        self.row(HEAD_CELL, &spans, &mut head.clone(), usize::MAX);
        for row in rows {
            let mut left = broken(CELL, &mut row.iter().map(String::as_str));
            // A row that fits on a page of its own is not cut in two.
            let page = TOP - BOTTOM - high(&head);
            if high(&left) <= page / 2.0 && self.y - high(&left) < BOTTOM {
                self.turn();
                self.row(HEAD_CELL, &spans, &mut head.clone(), usize::MAX);
            }
            while left.iter().any(|cell| cell.len() > 0) {
                let room = fitting(self.y - BOTTOM);
                if room == 0 {
                    self.turn();
                    self.row(HEAD_CELL, &spans, &mut head.clone(), usize::MAX);
                    continue;
                }
                self.row(CELL, &spans, &mut left, room);
            }
        }
    }

    /// Draws so many lines of a row with its frame.
    fn row(&mut self, style: Style, spans: &[(f32, f32)], left: &mut Left, most: usize) {
        let tallest = left.iter().map(ExactSizeIterator::len).max().unwrap_or(0).min(most);
        let (top, bottom) = (self.y, self.y - height(tallest));
        if style.bold {
            let content = &mut self.page.content;
            content.set_fill_gray(0.92).rect(MARGIN, bottom, WIDE, top - bottom).fill_nonzero();
            content.set_fill_gray(0.0);
        }
        for ((begin, end), cell) in spans.iter().zip(left) {
            let mut y = top - PADDING + (style.leading() - style.size) / 2.0;
            for line in cell.by_ref().take(tallest) {
                y -= style.leading();
                self.page.text(style, begin + PADDING, y + 1.0, &line);
            }
            self.page.content.rect(*begin, bottom, end - begin, top - bottom).stroke();
        }
        self.y = bottom;
    }
}

/// Height of a row of so many lines, points.
fn height(lines: usize) -> f32 {
    let lines = f32::from(u16::try_from(lines).unwrap_or(u16::MAX));
    lines * CELL.leading() + 2.0 * PADDING
}

fn high(row: &Left) -> f32 {
    height(row.iter().map(ExactSizeIterator::len).max().unwrap_or(0))
}

/// How many lines of a row so many points hold.
fn fitting(points: f32) -> usize {
    (1..=200).take_while(|lines| height(*lines) <= points).count()
}

/// Where columns of these shares begin and end.
fn spans(shares: &[u16]) -> Vec<(f32, f32)> {
    let all = shares.iter().map(|share| f32::from(*share)).sum::<f32>().max(1.0);
    let mut at = MARGIN;
    let span = |share: &u16| {
        let begin = at;
        at += f32::from(*share) / all * WIDE;
        (begin, at)
    };
    shares.iter().map(span).collect()
}
