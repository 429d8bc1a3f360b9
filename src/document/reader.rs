//! Walking one table of a document, key by key.

use super::{Document, Problem, Problems, Spot};
use crate::model::Text;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

type Node<'d> = Spanned<DeValue<'d>>;

/// One table of a file. Ask for every key it may have, then call [`Reader::finish`].
///
/// A getter returns `None` when the key is missing or wrong; the problem is then already noted. Getters ending
/// in `_opt` do not mind a missing key.
pub struct Reader<'d> {
    document: &'d Document<'d>,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    path: String,
    asked: RefCell<BTreeSet<String>>,
    problems: &'d Problems,
}

impl<'d> Reader<'d> {
    pub(super) fn new(
        document: &'d Document<'d>,
        table: &'d DeTable<'d>,
        span: Range<usize>,
        path: String,
        problems: &'d Problems,
    ) -> Self {
        Self { document, table, span, path, asked: RefCell::default(), problems }
    }

    /// The collector this reader notes problems in.
    #[must_use]
    pub fn problems(&self) -> &'d Problems {
        self.problems
    }

    /// Where this table begins.
    #[must_use]
    pub fn here(&self) -> Spot {
        self.document.spot(self.span.clone())
    }

    /// Where the value of `key` stands, or where the table begins when it has none.
    #[must_use]
    pub fn spot(&self, key: &str) -> Spot {
        self.node(key).map_or_else(|| self.here(), |node| self.document.spot(node.span()))
    }

    /// Notes a problem at the value of `key`, unless it is told already that no value can be read there.
    pub fn problem(&self, key: &str, message: impl Into<Text>, advice: impl Into<Text>) {
        if !self.node(key).is_some_and(|node| self.is_broken(node)) {
            self.problems.at(&self.spot(key), message, advice);
        }
    }

    fn is_broken(&self, node: &Node<'_>) -> bool {
        self.document.broken.contains(&node.span().start)
    }

    /// Whether the key is there; counts as asking for it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.look(key).is_some()
    }

    /// The keys of this table, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &'d str> {
        self.table.keys().map(|k| k.get_ref().as_ref())
    }

    fn node(&self, key: &str) -> Option<&'d Node<'d>> {
        self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key).map(|(_, v)| v)
    }

    fn look(&self, key: &str) -> Option<&'d Node<'d>> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.node(key)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// `value` is what to write behind the key.
    fn missing(&self, key: &str, value: impl Into<Text>) {
        let value = value.into();
        let mut spot = self.here();
        if spot.text.is_empty() && !self.path.is_empty() {
            spot.text = format!("[{}]", self.path);
        }
        self.problems.add(Problem {
            spot,
            message: Text::new(
                format!("缺少 '{}'", self.name(key)),
                format!("'{}' is missing", self.name(key)),
            ),
            advice: Text::new(format!("加上 `{key} = {}`", value.zh), format!("add `{key} = {}`", value.en)),
        });
    }

    fn wrong(&self, key: &str, node: &Node<'_>, expected: &Text) {
        if self.is_broken(node) {
            return;
        }
        let (zh, en) = told(node.get_ref());
        self.problems.at(
            &self.document.spot(node.span()),
            (format!("'{}' 写成了{zh}", self.name(key)), format!("'{}' is {en}", self.name(key))),
            write(expected),
        );
    }

    /// A text.
    pub fn text_opt(&self, key: &str) -> Option<String> {
        let node = self.look(key)?;
        match node.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong(key, node, &a_text());
                None
            }
        }
    }

    /// A text that must be there.
    pub fn text(&self, key: &str) -> Option<String> {
        if !self.has(key) {
            self.missing(key, Text::same("\"…\""));
        }
        self.text_opt(key)
    }

    /// A text turned into something else by `parse`; its error is the message and `advice` says what to write.
    pub fn parsed_opt<T, E: Into<Text>>(
        &self,
        key: &str,
        advice: impl Into<Text>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text_opt(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                let (name, error) = (self.name(key), error.into());
                self.problem(
                    key,
                    (format!("'{name}'：{}", error.zh), format!("'{name}': {}", error.en)),
                    advice,
                );
                None
            }
        }
    }

    /// As [`Reader::parsed_opt`], but must be there.
    pub fn parsed<T, E: Into<Text>>(
        &self,
        key: &str,
        advice: impl Into<Text>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let advice = advice.into();
        if !self.has(key) {
            self.missing(key, (format!("\"…\"   （{}）", advice.zh), format!("\"…\"   ({})", advice.en)));
        }
        self.parsed_opt(key, advice, parse)
    }

    /// One of a few words.
    pub fn word_opt<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text_opt(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let name = self.name(key);
            self.problem(
                key,
                (format!("'{name}' 不能写 \"{text}\""), format!("'{name}' cannot be \"{text}\"")),
                one_of(&text, &known),
            );
        }
        found
    }

    /// One of a few words, that must be there.
    pub fn word<T: Clone>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        if !self.has(key) {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.missing(key, Text::same(known.join(" | ")));
        }
        self.word_opt(key, words)
    }

    /// A whole number within a range.
    pub fn integer_opt(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.look(key)?;
        let (least, most) = (range.start(), range.end());
        let expected =
            Text::new(format!(" {least} 到 {most} 的整数"), format!("a whole number from {least} to {most}"));
        let value = match node.get_ref() {
            DeValue::Integer(digits) => whole(digits),
            _ => {
                self.wrong(key, node, &expected);
                return None;
            }
        };
        let value = value.filter(|v| range.contains(v));
        if value.is_none() {
            self.problem(key, self.out_of_range(key), write(&expected));
        }
        value
    }

    fn out_of_range(&self, key: &str) -> Text {
        let name = self.name(key);
        Text::new(format!("'{name}' 超出范围"), format!("'{name}' is out of range"))
    }

    /// A whole number within a range, that must be there.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        if !self.has(key) {
            let (least, most) = (range.start(), range.end());
            self.missing(
                key,
                (format!("{least}   （{least} 到 {most}）"), format!("{least}   ({least} to {most})")),
            );
        }
        self.integer_opt(key, range)
    }

    /// A number, whole or not, within a range.
    pub fn number_opt(&self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let node = self.look(key)?;
        let value = match node.get_ref() {
            #[expect(clippy::cast_precision_loss, reason = "limits people write are far below 2^53")]
            DeValue::Integer(digits) => whole(digits).map(|v| v as f64),
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => {
                self.wrong(key, node, &Text::new("数字", "a number"));
                return None;
            }
        };
        let value = value.filter(|v| range.contains(v));
        if value.is_none() {
            let (least, most) = (range.start(), range.end());
            let advice =
                (format!("写 {least} 到 {most} 的数"), format!("write a number from {least} to {most}"));
            self.problem(key, self.out_of_range(key), advice);
        }
        value
    }

    /// A number within a range, that must be there.
    pub fn number(&self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        if !self.has(key) {
            self.missing(key, ("<数字>", "<number>"));
        }
        self.number_opt(key, range)
    }

    /// `true` or `false`.
    pub fn flag_opt(&self, key: &str) -> Option<bool> {
        let node = self.look(key)?;
        if let DeValue::Boolean(flag) = node.get_ref() {
            return Some(*flag);
        }
        self.wrong(key, node, &Text::new(" true 或 false", "true or false"));
        None
    }

    /// A list of texts, each with its place; missing is an empty list.
    pub fn texts(&self, key: &str) -> Vec<(String, Spot)> {
        let mut texts = Vec::new();
        let expected = Text::new("文本的列表：[\"…\", \"…\"]", "a list of texts: [\"…\", \"…\"]");
        for node in self.items(key, &expected) {
            match node.get_ref() {
                DeValue::String(text) => texts.push((text.to_string(), self.document.spot(node.span()))),
                _ => self.wrong(key, node, &a_text()),
            }
        }
        texts
    }

    /// The texts under a key, one or a list, for who must know what another part of the program reads: it does not count
    /// as asking for the key, and nothing is noted.
    #[must_use]
    pub fn peek(&self, key: &str) -> Vec<&'d str> {
        let text = |node: &'d Node<'d>| match node.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        };
        match self.node(key) {
            Some(node) => match node.get_ref() {
                DeValue::Array(items) => items.iter().filter_map(text).collect(),
                _ => text(node).into_iter().collect(),
            },
            None => Vec::new(),
        }
    }

    /// A list of which each entry is a text or a list of texts, each with its place; missing is an empty list.
    pub fn text_groups(&self, key: &str) -> Vec<Vec<(String, Spot)>> {
        let expected = Text::new(
            "文本的列表，每项也可以是文本的列表：[\"…\", [\"…\", \"…\"]]",
            "a list of texts, or of lists of texts: [\"…\", [\"…\", \"…\"]]",
        );
        let text = |node: &'d Node<'d>| match node.get_ref() {
            DeValue::String(text) => Some((text.to_string(), self.document.spot(node.span()))),
            _ => {
                self.wrong(key, node, &a_text());
                None
            }
        };
        let group = |node: &'d Node<'d>| match node.get_ref() {
            DeValue::Array(inner) => inner.iter().filter_map(text).collect(),
            _ => text(node).into_iter().collect(),
        };
        self.items(key, &expected).map(group).filter(|group: &Vec<_>| !group.is_empty()).collect()
    }

    /// A list of numbers, each with its place; missing is an empty list.
    pub fn numbers(&self, key: &str) -> Vec<(f64, Spot)> {
        let mut numbers = Vec::new();
        for node in self.items(key, &Text::new("数字的列表：[1, 2.5]", "a list of numbers: [1, 2.5]")) {
            let value = match node.get_ref() {
                #[expect(clippy::cast_precision_loss, reason = "register words are far below 2^53")]
                DeValue::Integer(digits) => whole(digits).map(|v| v as f64),
                DeValue::Float(digits) => digits.as_str().parse().ok(),
                _ => None,
            };
            match value {
                Some(value) => numbers.push((value, self.document.spot(node.span()))),
                None => self.wrong(key, node, &Text::new("数字", "a number")),
            }
        }
        numbers
    }

    fn items(&self, key: &str, expected: &Text) -> impl Iterator<Item = &'d Node<'d>> {
        let node = self.look(key);
        let array = node.and_then(|n| n.get_ref().as_array());
        if let (Some(node), None) = (node, array) {
            self.wrong(key, node, expected);
        }
        array.into_iter().flat_map(|a| a.iter())
    }

    /// The table `[key]`.
    pub fn table_opt(&self, key: &str) -> Option<Reader<'d>> {
        let node = self.look(key)?;
        if let DeValue::Table(table) = node.get_ref() {
            return Some(self.inner(key, table, node.span()));
        }
        let name = self.name(key);
        let expected = Text::new(
            format!("成表：`[{name}]` 单独一行"),
            format!("a table: `[{name}]` on a line of its own"),
        );
        self.wrong(key, node, &expected);
        None
    }

    /// The table `[key]`, that must be there.
    pub fn table(&self, key: &str) -> Option<Reader<'d>> {
        if !self.has(key) {
            self.problems.add(Problem {
                spot: self.here(),
                message: Text::new(
                    format!("缺少表 [{}]", self.name(key)),
                    format!("the table [{}] is missing", self.name(key)),
                ),
                advice: Text::new(
                    format!("加一行 `[{}]`，它的键写在下面", self.name(key)),
                    format!("add a line `[{}]` and its keys below it", self.name(key)),
                ),
            });
        }
        self.table_opt(key)
    }

    /// Every `[[key]]`; missing is an empty list.
    pub fn tables(&self, key: &str) -> Vec<Reader<'d>> {
        let name = self.name(key);
        let expected = Text::new(
            format!("成 `[[{name}]]`，单独一行，每项一个"),
            format!("`[[{name}]]` on a line of its own, once per entry"),
        );
        let mut tables = Vec::new();
        for node in self.items(key, &expected) {
            match node.get_ref() {
                DeValue::Table(table) => tables.push(self.inner(key, table, node.span())),
                _ => self.wrong(key, node, &expected),
            }
        }
        tables
    }

    /// A table of which each key is a name the person chose; the pairs in alphabetical order.
    pub fn texts_by_key(&self, key: &str) -> Vec<(String, String)> {
        let Some(table) = self.table_opt(key) else { return Vec::new() };
        let pairs = table.keys().filter_map(|k| Some((k.to_owned(), table.text_opt(k)?))).collect();
        table.finish();
        pairs
    }

    /// What is written, without these keys and whatever the order of the others.
    #[must_use]
    pub fn written_without(&self, keys: &[&str]) -> String {
        let kept = |key: &str| !keys.contains(&key);
        let pairs = self.table.iter().filter(|(key, _)| kept(key.get_ref()));
        pairs
            .map(|(key, node)| format!("{}={}", key.get_ref(), plain(node.get_ref())))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(",")
    }

    fn inner(&self, key: &str, table: &'d DeTable<'d>, span: Range<usize>) -> Reader<'d> {
        Reader::new(self.document, table, span, self.name(key), self.problems)
    }

    /// Reports every key that nobody asked for, with the nearest known one.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, _) in self.table.iter().filter(|(k, _)| !asked.contains(k.get_ref().as_ref())) {
            let known: Vec<&str> = asked.iter().map(String::as_str).collect();
            let (zh, en) = if self.path.is_empty() {
                ("这里".to_owned(), "here".to_owned())
            } else {
                (format!("[{}] 里", self.path), format!("in [{}]", self.path))
            };
            let key_name = key.get_ref();
            self.problems.at(
                &self.document.spot(key.span()),
                (
                    format!("{zh}没有 '{key_name}' 这个键"),
                    format!("'{key_name}' is not a key that is known {en}"),
                ),
                one_of(key_name, &known),
            );
        }
    }
}

/// A value without its place in the file.
fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(digits) => whole(digits).map_or_else(String::new, |number| number.to_string()),
        DeValue::Float(digits) => digits.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(at) => at.to_string(),
        DeValue::Array(items) => {
            format!("[{}]", items.iter().map(|item| plain(item.get_ref())).collect::<Vec<_>>().join(","))
        }
        DeValue::Table(table) => {
            let pairs =
                table.iter().map(|(key, node)| format!("{}={}", key.get_ref(), plain(node.get_ref())));
            format!("{{{}}}", pairs.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","))
        }
    }
}

/// The type of a value in plain words, in Chinese and English.
fn told(value: &DeValue<'_>) -> (&'static str, &'static str) {
    match value {
        DeValue::String(_) => ("文本", "a text"),
        DeValue::Integer(_) => ("整数", "a whole number"),
        DeValue::Float(_) => ("小数", "a number with a decimal point"),
        DeValue::Boolean(_) => (" true 或 false", "true or false"),
        DeValue::Datetime(_) => ("不带引号的日期或时间", "a date or time without quotes"),
        DeValue::Array(_) => ("列表", "a list"),
        DeValue::Table(_) => ("表", "a table"),
    }
}

fn a_text() -> Text {
    Text::new("带双引号的文本", "a text in double quotes")
}

/// The advice to write what is expected.
fn write(expected: &Text) -> Text {
    Text::new(format!("写{}", expected.zh), format!("write {}", expected.en))
}

fn whole(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

/// Most known words listed in an advice.
const MAX_LISTED: usize = 32;

/// Advice to write one of the known words: the nearest one if any is near, and the list, cut when it is long.
#[must_use]
pub fn one_of(written: &str, known: &[&str]) -> Text {
    let near = known
        .iter()
        .map(|word| (distance(written, word), *word))
        .filter(|(d, word)| *d <= word.chars().count().max(3) / 3)
        .min();
    let listed: Vec<&str> = known.iter().take(MAX_LISTED).copied().collect();
    let (mut zh, mut en) = (listed.join("、"), listed.join(", "));
    if known.len() > MAX_LISTED {
        let more = known.len() - MAX_LISTED;
        zh.push_str(&format!(" 等，另有 {more} 个"));
        en.push_str(&format!(" and {more} more"));
    }
    match near {
        Some((_, word)) => {
            Text::new(format!("是不是 '{word}'？可以写：{zh}"), format!("did you mean '{word}'? Known: {en}"))
        }
        None => Text::new(format!("写其中一个：{zh}"), format!("write one of: {en}")),
    }
}

/// How many characters to add, drop, change or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut cost = at(&row, j) + usize::from(ca != cb);
            cost = cost.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn a_swap_is_one_slip() {
        for (a, b, slips) in [
            ("host", "host", 0),
            ("hots", "host", 1),
            ("", "abc", 3),
            ("aest", "east", 1),
            ("prot", "parts", 3),
        ] {
            assert_eq!(distance(a, b), slips, "{a} {b}");
        }
    }
}
