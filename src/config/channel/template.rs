//! Templates: a text with gaps in braces, and where what fills them is put.

use super::{Piece, Template};
use crate::document::{Reader, one_of};
use crate::model::Text;

/// Longest template, bytes.
const MAX_TEMPLATE_BYTES: usize = 8192;
/// Every gap by its word.
const GAPS: &[(&str, Piece)] = &[
    ("title", Piece::Title),
    ("text", Piece::Text),
    ("place", Piece::Place),
    ("priority", Piece::Priority),
    ("recipient", Piece::Recipient),
    ("secret", Piece::Secret),
    ("time", Piece::Time),
    ("number", Piece::Number),
];

/// Where a template is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Into an address or a form.
    Url,
    /// Into JSON: gaps stand inside of strings.
    Json,
    /// Into a header: visible ASCII.
    Header,
    /// Into plain text.
    Plain,
}

/// The template at `key`, that must be there.
pub(super) fn template(reader: &Reader<'_>, key: &str, escape: Escape) -> Option<Template> {
    reader.text(key)?;
    template_opt(reader, key, escape)
}

/// The template at `key`.
pub(super) fn template_opt(reader: &Reader<'_>, key: &str, escape: Escape) -> Option<Template> {
    let known: Vec<String> = GAPS.iter().map(|(word, _)| format!("{{{word}}}")).collect();
    let advice = (format!("可用的占位符：{}", known.join("、")), format!("gaps are {}", known.join(", ")));
    reader.parsed_opt(key, advice, |text| {
        let bytes = text.len();
        if bytes == 0 || bytes > MAX_TEMPLATE_BYTES {
            return Err(Text::new(
                format!("有 {bytes} 字节；可以是 1 到 {MAX_TEMPLATE_BYTES} 字节"),
                format!("it has {bytes} bytes; 1 to {MAX_TEMPLATE_BYTES} are possible"),
            ));
        }
        let template = parse(text)?;
        fits(&template, escape)?;
        Ok(template)
    })
}

/// A brace is the beginning of a gap only before a word of small letters and a brace that closes it: JSON has others.
fn parse(text: &str) -> Result<Template, Text> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        plain.push_str(before);
        let word = behind.split_once('}').filter(|(word, _)| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        });
        let Some((word, left)) = word else {
            plain.push('{');
            rest = behind;
            continue;
        };
        let Some((_, piece)) = GAPS.iter().find(|(gap, _)| *gap == word) else {
            let known: Vec<&str> = GAPS.iter().map(|(gap, _)| *gap).collect();
            let advice = one_of(word, &known);
            return Err(Text::new(
                format!("没有占位符 {{{word}}}：{}", advice.zh),
                format!("there is no gap {{{word}}}: {}", advice.en),
            ));
        };
        if !plain.is_empty() {
            pieces.push(Piece::Plain(std::mem::take(&mut plain)));
        }
        pieces.push(piece.clone());
        rest = left;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    Ok(Template(pieces))
}

/// Whether what is put together is what it is to be.
fn fits(template: &Template, escape: Escape) -> Result<(), Text> {
    let filled = template.filled(|_| "x");
    match escape {
        Escape::Json => serde_json::from_str::<serde_json::Value>(&filled).map(drop).map_err(|error| {
            Text::new(
                format!("填上占位符后不是 JSON（{error}）；占位符要放在引号里：{{\"text\": \"{{text}}\"}}"),
                format!(
                    "it is no JSON when its gaps are filled ({error}); a gap stands inside of quotes: {{\"text\": \"{{text}}\"}}"
                ),
            )
        }),
        Escape::Header | Escape::Url if !filled.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
            Err(Text::new(
                "有非 ASCII 或不可见的字符",
                "it has characters that are not ASCII or not visible",
            ))
        }
        Escape::Header if template.0.iter().any(|piece| !fits_header(piece)) => {
            Err(Text::new(
                "请求头里只能用占位符 {secret} 和 {number}",
                "a header has no gaps but {secret} and {number}",
            ))
        }
        Escape::Header | Escape::Url | Escape::Plain => Ok(()),
    }
}

fn fits_header(piece: &Piece) -> bool {
    matches!(piece, Piece::Plain(_) | Piece::Secret | Piece::Number)
}

impl Template {
    /// The text, each gap filled with what `fill` says.
    #[must_use]
    pub fn filled<T: AsRef<str>>(&self, fill: impl Fn(&Piece) -> T) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                gap => text.push_str(fill(gap).as_ref()),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Template, Text> {
        parse(text)
    }

    #[test]
    fn gaps_are_words_in_braces_and_other_braces_are_none() {
        let plain = |text: &str| Piece::Plain(text.to_owned());
        for (text, pieces) in [
            ("a {title} b", vec![plain("a "), Piece::Title, plain(" b")]),
            ("{text}{place}", vec![Piece::Text, Piece::Place]),
            (r#"{"to": "{recipient}"}"#, vec![plain(r#"{"to": ""#), Piece::Recipient, plain(r#""}"#)]),
            ("{}{ title }{Title}", vec![plain("{}{ title }{Title}")]),
            ("{title", vec![plain("{title")]),
        ] {
            assert_eq!(read(text), Ok(Template(pieces)), "{text}");
        }
        assert!(read("{titel}").is_err_and(|error| error.en.contains("did you mean 'title'")));
    }

    #[test]
    fn a_template_must_be_what_it_is_put_into() {
        for (text, escape, good) in [
            (r#"{"text": "{text}"}"#, Escape::Json, true),
            (r#"{"text": {text}}"#, Escape::Json, false),
            ("to={recipient}&x={text}", Escape::Url, true),
            ("to=校长", Escape::Url, false),
            ("Bearer {secret}", Escape::Header, true),
            ("{text}", Escape::Header, false),
            ("a\nb", Escape::Header, false),
            ("校长：{text}\n", Escape::Plain, true),
        ] {
            assert_eq!(fits(&read(text).expect(text), escape).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn gaps_are_filled_in_order() {
        let filled = read("{number}:{title}").unwrap().filled(|piece| match piece {
            Piece::Number => "7",
            _ => "火警",
        });
        assert_eq!(filled, "7:火警");
    }
}
