//! A register or bit that tells an event: an alarm bit, a leak contact, a mode.

use super::cell::Cell;
use super::format::Order;
use super::parse::{self, Phases};
use super::pointer::MAX_TEXT_CHARS;
use super::{Both, RegisterSpan};
use crate::document::Reader;
use crate::model::{Event, EventKind, Phase};
use std::collections::BTreeSet;

/// A number in the registers whose values begin and end a state.
#[derive(Debug, Clone)]
pub(super) struct RegisterEvent {
    pub(super) kind: EventKind,
    cell: Cell,
    phases: Phases,
    code: Option<String>,
    every: u16,
}

impl RegisterEvent {
    /// `told` are the kinds and codes so far: two events of one kind are told apart by their codes.
    pub(super) fn parse(
        reader: &Reader<'_>,
        order: Order,
        max_words: u16,
        told: &mut BTreeSet<(EventKind, Option<String>)>,
    ) -> Option<Self> {
        let kind = parse::event_kind(reader);
        let cell = Cell::parse(reader, order, max_words);
        let code = reader.parsed_opt(
            "code",
            ("写一个短词，例如 \"overload\"", "write a short word, such as \"overload\""),
            |text| {
                let good = !text.trim().is_empty() && text.chars().count() <= MAX_TEXT_CHARS;
                if good {
                    Ok(text.to_owned())
                } else {
                    Err(("事件码有 1 到 100 个字符", "a code has 1 to 100 characters"))
                }
            },
        );
        let every = parse::every(reader);
        let phases = match Phases::parse_opt(reader) {
            None if cell.is_none_or(|cell| cell.is_flag()) => Some(Phases::boolean()),
            None => {
                let advice = (
                    "加上 phases = { \"0\" = \"end\", \"*\" = \"start\" }",
                    "add phases = { \"0\" = \"end\", \"*\" = \"start\" }",
                );
                reader.problem(
                    "phases",
                    (
                        "缺少 'phases'：哪些值表示开始，哪些表示结束",
                        "'phases' is missing: which values begin and end it",
                    ),
                    advice,
                );
                None
            }
            Some(phases) => check(reader, phases),
        };
        if kind == Some(EventKind::Credential) {
            reader.problem(
                "kind",
                ("寄存器里没有人员信息", "registers name no person"),
                ("写别的事件类型", "name another kind of event"),
            );
        }
        if let Some(kind) = kind
            && !told.insert((kind, code.clone()))
        {
            let message = (
                format!("这个模板里的两个 '{kind}' 事件无法区分"),
                format!("two '{kind}' events of this profile cannot be told apart"),
            );
            reader.problem(
                "kind",
                message,
                (
                    "各写一个不同的 `code`，例如 code = \"overload\"",
                    "give each a `code` of its own, such as code = \"overload\"",
                ),
            );
        }
        Some(Self { kind: kind?, cell: cell?, phases: phases?, code, every })
    }

    pub(super) fn span(&self) -> RegisterSpan {
        self.cell.span(self.every)
    }

    pub(super) fn cell(&self) -> &Cell {
        &self.cell
    }

    /// What its value says now; `None` when it says nothing or is not among the words read from `address` on.
    pub(super) fn read(&self, address: u16, words: &[u16]) -> Option<Event> {
        let number = self.cell.number(self.cell.raw(self.cell.find(address, words)?));
        let phase = self.phases.of(&number.to_string())??;
        Some(Event { code: self.code.clone(), ..Event::bare(self.kind, phase) })
    }
}

/// A register is looked at now and then: it can hold a state, but not tell how often something happened.
fn check(reader: &Reader<'_>, phases: Phases) -> Option<Phases> {
    let mut good = true;
    let mut slip = |message: (String, String), advice: Both| {
        good = false;
        reader.problem("phases", message, advice);
    };
    for (word, phase) in phases.iter() {
        if phase == Some(Phase::Moment) {
            slip(
                (
                    format!("\"{word}\" 不能是瞬时：寄存器是隔一段时间才读一次的"),
                    format!("\"{word}\" cannot be a moment: registers are read now and then"),
                ),
                (
                    "写 \"start\" 和 \"end\"；开始只报一次",
                    "write \"start\" and \"end\"; the start is told once",
                ),
            );
        }
        if word != "*" && !word.parse::<f64>().is_ok_and(|n| n.to_string() == word) {
            slip(
                (format!("\"{word}\" 不是数"), format!("\"{word}\" is not a number")),
                ("按十进制写寄存器的值，或写 \"*\"", "write the register's values in decimal, or \"*\""),
            );
        }
    }
    good.then_some(phases)
}
