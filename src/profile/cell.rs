//! Where a number stands in a device's registers or bits, and how it is written there: what points and events share.

use super::format::{Format, Order};
use super::{RegisterSpan, RegisterTable};
use crate::document::Reader;

/// A number in a device's registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) table: RegisterTable,
    pub(super) address: u16,
    pub(super) format: Format,
    pub(super) order: Order,
    /// Only these bits of it.
    pub(super) bits: Option<Bits>,
}

/// Some bits of a register, counted from the least significant, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bits {
    first: u32,
    last: u32,
}

impl Bits {
    fn of(self, number: u64) -> u64 {
        let width = self.last - self.first + 1;
        number >> self.first & (u64::MAX >> (64 - width))
    }

    fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Reads `bit` or `bits`.
    fn parse_opt(reader: &Reader<'_>) -> Option<Self> {
        let number = |n: i64| u32::try_from(n).ok();
        if reader.has("bit") && reader.has("bits") {
            reader.problem(
                "bits",
                ("'bit' 和 'bits' 都写了", "'bit' and 'bits' are both there"),
                ("留下要用的那个", "keep the one that is meant"),
            );
        }
        if reader.has("bit") {
            let bit = reader.integer_opt("bit", 0..=31).and_then(number)?;
            return Some(Self { first: bit, last: bit });
        }
        if !reader.has("bits") {
            return None;
        }
        let whole: Vec<u32> = reader
            .numbers("bits")
            .into_iter()
            .filter_map(|(n, _)| (0..=31).find(|bit| f64::from(*bit) == n))
            .collect();
        match whole.as_slice() {
            [first, last] if first < last => Some(Self { first: *first, last: *last }),
            _ => {
                let advice = (
                    "写 bits = [最低位, 最高位]，最低有效位是 0",
                    "write bits = [lowest, highest], counted from 0, the least significant",
                );
                reader.problem(
                    "bits",
                    (
                        "'bits' 不是从小到大的两个 0 到 31 的整数",
                        "'bits' is not two rising whole numbers from 0 to 31",
                    ),
                    advice,
                );
                None
            }
        }
    }
}

/// Reads `table`.
pub(super) fn table(reader: &Reader<'_>) -> Option<RegisterTable> {
    let tables = [
        ("holding", RegisterTable::Holding),
        ("input", RegisterTable::Input),
        ("coil", RegisterTable::Coil),
        ("discrete", RegisterTable::Discrete),
    ];
    reader.word("table", &tables)
}

/// Reads `address`.
pub(super) fn address(reader: &Reader<'_>) -> Option<u16> {
    reader.integer("address", 0..=0xFFFF).and_then(|a| u16::try_from(a).ok())
}

/// Notes a value that ends beyond the last register.
pub(super) fn check_end(reader: &Reader<'_>, address: Option<u16>, words: u16) {
    if address.is_some_and(|a| u32::from(a) + u32::from(words) > 0x1_0000) {
        reader.problem(
            "address",
            (
                format!("数值占 {words} 个寄存器，会超出寄存器 65535"),
                format!("the value has {words} registers and would end beyond register 65535"),
            ),
            (
                "写报文里的地址，从 0 起（说明书的 40001 或 30001 写 0）",
                "write the 0-based address as on the wire (a manual's 40001 or 30001 is 0)",
            ),
        );
    }
}

impl Cell {
    /// Reads `table`, `address`, `type`, `order`, `bit` and `bits`.
    pub(super) fn parse(reader: &Reader<'_>, order: Order, max_words: u16) -> Option<Self> {
        let table = table(reader);
        let address = address(reader);
        let of_bits = table.is_some_and(RegisterTable::is_bits);
        let has_bits = reader.has("bit") || reader.has("bits");
        let format = if of_bits {
            one_bit(reader)
        } else if has_bits {
            Some(reader.word_opt("type", &Format::WORDS).unwrap_or(Format::Unsigned { words: 1 }))
        } else {
            reader.word("type", &Format::WORDS)
        };
        let own_order = reader.word_opt("order", &Order::WORDS);
        let words = format.map_or(1, Format::words);
        if words == 1 && own_order.is_some_and(|o| o.low_word_first) {
            reader.problem(
                "order",
                ("'order' 要交换字，但数值只有一个字", "'order' swaps words, but the value has one"),
                ("写 \"ABCD\" 或 \"BADC\"", "write \"ABCD\" or \"BADC\""),
            );
        }
        if !of_bits && format == Some(Format::Bit) {
            reader.problem(
                "type",
                ("寄存器不是一位", "a register is not a bit"),
                (
                    "写 `bit = …` 取其中一位，或写 table = \"coil\" 或 \"discrete\"",
                    "write `bit = …` to take one of its bits, or table = \"coil\" or \"discrete\"",
                ),
            );
        }
        if words > max_words {
            reader.problem(
                "type",
                (
                    format!("数值占 {words} 个寄存器，而一次最多读 {max_words} 个"),
                    format!("the value has {words} registers, but one read may have {max_words}"),
                ),
                (
                    "调大 modbus.max_registers，或改用较短的类型",
                    "raise modbus.max_registers or choose a smaller type",
                ),
            );
        }
        check_end(reader, address, words);
        let bits = Bits::parse_opt(reader);
        check_bits(reader, format.filter(|_| !of_bits), bits);
        Some(Self {
            table: table?,
            address: address?,
            format: format?,
            order: own_order.unwrap_or(order),
            bits,
        })
    }

    /// Where it stands.
    pub(super) fn span(&self, every: u16) -> RegisterSpan {
        RegisterSpan { table: self.table, address: self.address, words: self.format.words(), every }
    }

    /// Its bits as they are in the registers read from `address` on; `None` when they are not all there.
    pub(super) fn find<'w>(&self, address: u16, words: &'w [u16]) -> Option<&'w [u16]> {
        let start = usize::from(self.address.checked_sub(address)?);
        words.get(start..start.checked_add(usize::from(self.format.words()))?)
    }

    /// All bits of its registers, put in order.
    pub(super) fn raw(&self, words: &[u16]) -> u64 {
        self.order.bits(self.format, words)
    }

    /// The number that all bits of its registers stand for.
    pub(super) fn number(&self, raw: u64) -> f64 {
        match self.bits {
            Some(bits) => self.format.value(bits.of(raw)),
            None => self.format.value(raw),
        }
    }

    /// Whether it is one bit: on or off.
    pub(super) fn is_flag(&self) -> bool {
        self.format == Format::Bit || self.bits.is_some_and(|bits| bits.first == bits.last)
    }

    /// Whether two stand in the same register; bits of one register do not unless they are the same bits.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let (a, b) = (self.span(1), other.span(1));
        match (self.bits, other.bits) {
            (Some(mine), Some(theirs)) if a == b => mine.meets(theirs),
            _ => overlap(a, b),
        }
    }
}

/// The type of a coil or discrete input, which need not be written.
fn one_bit(reader: &Reader<'_>) -> Option<Format> {
    let format = reader.word_opt("type", &Format::WORDS).unwrap_or(Format::Bit);
    if format != Format::Bit {
        reader.problem(
            "type",
            ("线圈和离散输入是一位", "a coil or discrete input is one bit"),
            (
                "写 type = \"bit\"，或写 table = \"holding\" 或 \"input\"",
                "write type = \"bit\", or table = \"holding\" or \"input\"",
            ),
        );
    }
    Some(Format::Bit)
}

fn check_bits(reader: &Reader<'_>, format: Option<Format>, bits: Option<Bits>) {
    let Some(bits) = bits else { return };
    let key = if reader.has("bit") { "bit" } else { "bits" };
    match format {
        Some(Format::Unsigned { words }) if bits.last >= 16 * u32::from(words) => reader.problem(
            key,
            (
                format!("数值有 {} 位，从 0 数起", 16 * u32::from(words)),
                format!("the value has {} bits, counted from 0", 16 * u32::from(words)),
            ),
            ("要取两个寄存器的位，写 type = \"u32\"", "write type = \"u32\" for bits of two registers"),
        ),
        Some(Format::Unsigned { .. }) => {}
        _ => reader.problem(
            key,
            ("只有无符号寄存器能按位取", "only unsigned registers have single bits"),
            (
                "写 type = \"u16\" 或 \"u32\"，或删去这个键",
                "write type = \"u16\" or \"u32\", or drop the key",
            ),
        ),
    }
}

pub(super) fn overlap(a: RegisterSpan, b: RegisterSpan) -> bool {
    let end = |s: RegisterSpan| u32::from(s.address) + u32::from(s.words);
    a.table == b.table && u32::from(a.address) < end(b) && u32::from(b.address) < end(a)
}
