//! What a device says it is: a model's number or name that stands in its registers.

use super::cell::{self, Cell};
use super::format::Order;
use super::{RegisterSpan, RegisterTable};
use crate::document::Reader;
use encoding_rs::GBK;

/// Most registers of a name.
const MAX_WORDS: i64 = 64;

/// A place in the registers by which a model is known.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    span: RegisterSpan,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// A number, and which numbers this profile is for.
    Number(Cell, Vec<u64>),
    /// A name, and how the names that this profile is for begin.
    Name(Coding, Order, Vec<String>),
}

/// How the letters of a name are written, two bytes to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Ascii,
    Gbk,
}

impl Identity {
    /// Reads one `[[identity]]`.
    pub(super) fn parse(reader: &Reader<'_>, order: Order, max_words: u16) -> Option<Self> {
        let coding = match reader.text_opt("type").as_deref() {
            Some("ascii") => Some(Coding::Ascii),
            Some("gbk") => Some(Coding::Gbk),
            _ => None,
        };
        let expected = reader.texts("expect");
        if expected.is_empty() {
            let advice = (
                "加上 expect = [\"…\"]：名称的开头，或十六进制的数值",
                "add expect = [\"…\"]: how the name begins, or the bits of the number in hexadecimal",
            );
            reader.problem("expect", ("缺少 'expect'，或者是空的", "'expect' is missing or empty"), advice);
        }
        let Some(coding) = coding else {
            let cell = Cell::parse(reader, order, max_words)?;
            let digits = usize::from(cell.format.words()) * 4;
            let mut numbers = Vec::new();
            for (text, spot) in expected {
                match u64::from_str_radix(&text, 16) {
                    Ok(bits) if text.len() == digits => numbers.push(bits),
                    _ => reader.problems().at(
                        &spot,
                        (format!("'{text}' 不是这种类型的值"), format!("'{text}' is not the bits of this type")),
                        (format!(
                            "写 {digits} 位十六进制数，或写 type = \"ascii\" 或 \"gbk\" 和 `words`"
                        ), format!(
                            "write {digits} hexadecimal digits, or type = \"ascii\" or \"gbk\" and `words`"
                        )),
                    ),
                }
            }
            return Some(Self { span: cell.span(1), what: What::Number(cell, numbers) });
        };
        let table = cell::table(reader);
        if table.is_some_and(RegisterTable::is_bits) {
            reader.problem(
                "table",
                ("名称在寄存器里", "a name stands in registers"),
                ("写 \"holding\" 或 \"input\"", "write \"holding\" or \"input\""),
            );
        }
        let address = cell::address(reader);
        let high = MAX_WORDS.min(i64::from(max_words));
        let words = reader.integer("words", 1..=high).and_then(|words| u16::try_from(words).ok());
        cell::check_end(reader, address, words.unwrap_or(1));
        let order = reader.word_opt("order", &Order::WORDS).unwrap_or(order);
        let names = expected.into_iter().map(|(text, _)| text).collect();
        Some(Self {
            span: RegisterSpan { table: table?, address: address?, words: words?, every: 1 },
            what: What::Name(coding, order, names),
        })
    }

    pub(super) fn span(&self) -> RegisterSpan {
        self.span
    }

    /// What the device says it is, and whether that is what the profile is for; `None` when the words are not there.
    pub(super) fn read(&self, table: RegisterTable, address: u16, words: &[u16]) -> Option<(String, bool)> {
        if table != self.span.table {
            return None;
        }
        let start = usize::from(self.span.address.checked_sub(address)?);
        let own = words.get(start..start.checked_add(usize::from(self.span.words))?)?;
        Some(match &self.what {
            What::Number(cell, numbers) => {
                let bits = cell.raw(own);
                (format!("{bits:0width$X}h", width = own.len() * 4), numbers.contains(&bits))
            }
            What::Name(coding, order, names) => {
                let name = letters(*coding, *order, own);
                let known = names.iter().any(|begin| name.starts_with(begin.as_str()));
                (name, known)
            }
        })
    }
}

/// The letters in the registers up to the first zero byte, trimmed; what is no letter becomes `?`.
fn letters(coding: Coding, order: Order, words: &[u16]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| order.word(*word).to_be_bytes()).take_while(|byte| *byte != 0).collect();
    let text = match coding {
        Coding::Ascii => bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '?' }).collect(),
        Coding::Gbk => GBK.decode_without_bom_handling(&bytes).0.into_owned(),
    };
    let printable = |c: char| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '?' } else { c };
    text.trim().chars().map(printable).collect()
}
