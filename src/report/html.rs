//! A document as one page of HTML that needs nothing else: no script, no picture, no font; it prints on A4.

use super::document::Document;
use crate::model::Lang;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const STYLE: &str = "\
@page{size:A4;margin:14mm 12mm 16mm}\
*{box-sizing:border-box}\
body{margin:0 auto;padding:24px;max-width:1080px;color:#111;background:#fff;\
font:14px/1.45 \"Noto Sans CJK SC\",\"Source Han Sans SC\",\"PingFang SC\",\"Microsoft YaHei\",\
\"WenQuanYi Micro Hei\",sans-serif}\
h1{font-size:24px;margin:0 0 2px}\
.site{color:#444;margin:0 0 12px}\
h2{font-size:16px;margin:22px 0 6px;break-after:avoid}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}\
dt{color:#555}dd{margin:0}\
table{border-collapse:collapse;width:100%;table-layout:fixed;font-size:12.5px}\
thead{display:table-header-group}\
tr{break-inside:avoid}\
th,td{border:1px solid #999;padding:3px 5px;text-align:left;vertical-align:top;overflow-wrap:anywhere;\
white-space:pre-line}\
th{background:#eee;font-weight:600}\
p{margin:4px 0}\
.below{color:#444}\
.sign{display:grid;grid-template-columns:1fr 1fr;gap:32px;margin-top:36px;break-inside:avoid}\
.sign div{border-bottom:1px solid #111;padding-bottom:28px}\
footer{margin-top:18px;color:#444;font-size:11px;overflow-wrap:anywhere}\
@media print{body{padding:0;max-width:none;font-size:11px}table{font-size:9.5px}h1{font-size:18px}\
h2{font-size:13px}footer{font-size:8.5px}}";

/// What a browser may do with such a page: apply its one style, and nothing else.
#[must_use]
pub fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")
}

/// The document as a page.
#[must_use]
pub fn html(document: &Document) -> String {
    let lang = match document.lang {
        Lang::Zh => "zh-CN",
        Lang::En => "en",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>",
        policy()
    );
    escaped(&mut out, &format!("{} · {}", document.title, document.site));
    out.push_str("</title>\n<style>");
    out.push_str(STYLE);
    out.push_str("</style>\n</head>\n<body>\n");
    element(&mut out, "h1", "", &document.title);
    element(&mut out, "p", " class=\"site\"", &document.site);
    out.push_str("<dl>\n");
    for (name, value) in &document.facts {
        element(&mut out, "dt", "", name);
        element(&mut out, "dd", "", value);
    }
    out.push_str("</dl>\n");
    for section in &document.sections {
        element(&mut out, "h2", "", &section.title);
        if !section.rows.is_empty() {
            table(&mut out, section);
        }
        for line in document.below(section) {
            element(&mut out, "p", " class=\"below\"", &line);
        }
    }
    if !document.signatures.is_empty() {
        out.push_str("<div class=\"sign\">\n");
        for signature in &document.signatures {
            element(&mut out, "div", "", signature);
        }
        out.push_str("</div>\n");
    }
    element(&mut out, "footer", "", &document.hash_line());
    out.push_str("</body>\n</html>\n");
    out
}

fn table(out: &mut String, section: &super::Section) {
    let all = section.columns.iter().map(|column| u32::from(column.share)).sum::<u32>().max(1);
    out.push_str("<table>\n<thead><tr>");
    for column in &section.columns {
        // An attribute: the page's policy lets no element have a style of its own.
        let percent = u32::from(column.share) * 100 / all;
        cell(out, "th", &format!(" width=\"{percent}%\""), &column.title);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in section.listed() {
        out.push_str("<tr>");
        for text in row {
            cell(out, "td", "", text);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn element(out: &mut String, name: &str, attributes: &str, text: &str) {
    cell(out, name, attributes, text);
    out.push('\n');
}

fn cell(out: &mut String, name: &str, attributes: &str, text: &str) {
    out.push_str(&format!("<{name}{attributes}>"));
    escaped(out, text);
    out.push_str(&format!("</{name}>"));
}

fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
}
