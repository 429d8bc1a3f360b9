//! A document as PDF 1.7 on A4 (docs/adr/0015): Chinese in STSong-Light, the rest in Helvetica, neither in the file.

mod measure;
mod sheet;

use super::document::{Document, Section};
use crate::model::Lang;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo};
use pdf_writer::{Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use sheet::{Pages, Style};

/// A4, points.
const PAGE: (f32, f32) = (595.28, 841.89);
/// Room around what is printed, points.
const MARGIN: f32 = 40.0;
/// Room for the lines at the foot, points.
const FOOT: f32 = 26.0;

const TITLE: Style = Style { size: 17.0, bold: true };
const HEADING: Style = Style { size: 11.5, bold: true };
const BODY: Style = Style { size: 9.0, bold: false };
const CELL: Style = Style { size: 8.0, bold: false };
const HEAD_CELL: Style = Style { size: 8.0, bold: true };
const SMALL: Style = Style { size: 6.5, bold: false };

/// The Chinese font of every reader of PDF, not in the file.
const SONG: &[u8] = b"STSong-Light";
/// Its writing: UTF-16, read from left to right.
const UNICODE: &[u8] = b"UniGB-UTF16-H";

/// The document as PDF.
#[must_use]
pub fn pdf(document: &Document) -> Vec<u8> {
    let mut pages = Pages::new();
    pages.paragraph(TITLE, &document.title);
    pages.gap(3.0);
    pages.paragraph(BODY, &document.site);
    pages.gap(6.0);
    for (name, value) in &document.facts {
        pages.fact(name, value);
    }
    for section in &document.sections {
        draw(&mut pages, document, section);
    }
    if !document.signatures.is_empty() {
        pages.signatures(&document.signatures);
    }
    let count = pages.count();
    for (page, number) in pages.every().zip(1_usize..) {
        let counted = match document.lang {
            Lang::Zh => format!("第 {number} 页，共 {count} 页"),
            Lang::En => format!("page {number} of {count}"),
        };
        let left = format!("{} · {}", document.site, document.title);
        page.foot(&left, &counted, &document.hash_line());
    }
    written(document, pages)
}

fn draw(pages: &mut Pages, document: &Document, section: &Section) {
    // The heading stays with the table's head and its first row.
    pages.need(64.0);
    pages.gap(12.0);
    pages.paragraph(HEADING, &section.title);
    pages.gap(5.0);
    if !section.rows.is_empty() {
        let columns: Vec<(&str, u16)> =
            section.columns.iter().map(|column| (column.title.as_str(), column.share)).collect();
        pages.table(&columns, section.listed());
    }
    for line in document.below(section) {
        pages.gap(2.0);
        pages.paragraph(BODY, &line);
    }
}

/// Puts the pages into a file.
fn written(document: &Document, pages: Pages) -> Vec<u8> {
    let [catalog, tree, info, latin, song, song_cid, song_shape] = [1, 2, 3, 4, 5, 6, 7].map(Ref::new);
    let streams = pages.finish();
    let id_of = |n: usize| Ref::new(i32::try_from(n).unwrap_or(i32::MAX).saturating_add(8));
    let mut pdf = Pdf::new();
    pdf.set_version(1, 7);
    let id = document.hash.as_bytes().to_vec();
    pdf.set_file_id((id.clone(), id));
    let lang = match document.lang {
        Lang::Zh => "zh-CN",
        Lang::En => "en",
    };
    let mut root = pdf.catalog(catalog);
    root.pages(tree).lang(TextStr(lang));
    root.viewer_preferences().display_doc_title(true);
    root.finish();
    let title = format!("{} · {}", document.title, document.site);
    pdf.document_info(info)
        .title(TextStr(&title))
        .subject(TextStr(&document.hash))
        .producer(TextStr("Schoolgate"));
    let kids = (0..streams.len()).map(|n| id_of(2 * n));
    pdf.pages(tree).kids(kids).count(i32::try_from(streams.len()).unwrap_or(i32::MAX));
    for (n, stream) in streams.into_iter().enumerate() {
        let (page_id, stream_id) = (id_of(2 * n), id_of(2 * n + 1));
        let mut page = pdf.page(page_id);
        page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(stream_id);
        page.resources().fonts().pair(sheet::LATIN, latin).pair(sheet::SONG, song);
        page.finish();
        pdf.stream(stream_id, &stream);
    }
    pdf.type1_font(latin).base_font(Name(b"Helvetica")).encoding_predefined(Name(b"WinAnsiEncoding"));
    let name = [SONG, b"-", UNICODE].concat();
    pdf.type0_font(song).base_font(Name(&name)).encoding_predefined(Name(UNICODE)).descendant_font(song_cid);
    let collection = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"GB1"), supplement: 4 };
    pdf.cid_font(song_cid)
        .subtype(CidFontType::Type0)
        .base_font(Name(SONG))
        .system_info(collection)
        .font_descriptor(song_shape)
        .default_width(1000.0);
    // As in Adobe's own description of the font: a reader chooses a stand-in by these.
    pdf.font_descriptor(song_shape)
        .name(Name(SONG))
        .flags(FontFlags::SERIF | FontFlags::SYMBOLIC)
        .bbox(Rect::new(-25.0, -254.0, 1000.0, 880.0))
        .italic_angle(0.0)
        .ascent(880.0)
        .descent(-120.0)
        .cap_height(880.0)
        .stem_v(93.0);
    pdf.finish()
}
