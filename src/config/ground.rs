//! What the desk shows beside an alarm: floor plans and where things are on them, what to do, and whom to call.

use super::attached::Unreadable;
use super::fields::{finish, name_opt};
use super::names::at as place_of;
use super::resolve::Sources;
use crate::document::{Problems, Reader, Spot};
use crate::model::{AlarmClass, DeviceId, Place, PlaceId, RuleId, Text};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Largest floor plan, bytes.
pub const MAX_PLAN_BYTES: usize = 2 * 1024 * 1024;
/// All floor plans together: they are kept in memory.
const ALL_PLANS_BYTES: usize = 16 * 1024 * 1024;
/// Most steps of one list: nobody reads more at night.
const MAX_STEPS: usize = 10;
/// Longest step, characters.
const MAX_STEP_CHARS: usize = 200;
/// Most contacts.
const MAX_CONTACTS: usize = 100;
/// Longest telephone number, characters.
const MAX_PHONE_CHARS: usize = 32;
/// The picture's own element stands within so many bytes, behind its declaration and comments.
const SVG_WITHIN: usize = 4096;

/// What the desk shows beside an alarm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ground {
    /// Floor plans by place.
    pub plans: BTreeMap<PlaceId, Plan>,
    /// Where places are on the nearest plan above them.
    pub places: BTreeMap<PlaceId, Point>,
    /// Where devices are on the plan of their place, or the nearest above it.
    pub devices: BTreeMap<DeviceId, Point>,
    /// What to do about the alarms of a rule.
    pub rules: BTreeMap<RuleId, Vec<String>>,
    /// What to do about the alarms of a class whose rule says nothing.
    pub classes: BTreeMap<AlarmClass, Vec<String>>,
    /// Whom to call.
    pub contacts: Vec<Contact>,
}

/// A floor plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What its first bytes say that it is.
    pub media_type: &'static str,
    /// The file as it is.
    pub bytes: Arc<[u8]>,
}

/// A point of a floor plan, in fractions of its width from the left and of its height from the top.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// From the left, 0 to 1.
    pub x: f64,
    /// From the top, 0 to 1.
    pub y: f64,
}

/// Somebody to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Who: an office rather than a person.
    pub name: String,
    /// The number as it is dialled.
    pub phone: String,
    /// For alarms of these classes; empty is every.
    #[serde(rename = "for")]
    pub classes: BTreeSet<AlarmClass>,
}

impl Ground {
    /// What to do about an alarm of this rule and class.
    #[must_use]
    pub fn steps(&self, rule: &RuleId, class: AlarmClass) -> &[String] {
        self.rules.get(rule).or_else(|| self.classes.get(&class)).map_or(&[], Vec::as_slice)
    }

    /// Whom to call about alarms of this class.
    pub fn contacts(&self, class: AlarmClass) -> impl Iterator<Item = &Contact> {
        self.contacts.iter().filter(move |of| of.classes.is_empty() || of.classes.contains(&class))
    }
}

/// A ground while the tables are read.
#[derive(Default)]
pub(super) struct Drawing {
    ground: Ground,
    /// Places that have a plan, good or not.
    planned: BTreeSet<PlaceId>,
    /// Where a point was written, and the place from which on a plan is looked for.
    points: Vec<(Spot, PlaceId)>,
    bytes: usize,
}

impl Drawing {
    /// Reads what a `[[place]]` says.
    pub(super) fn place(&mut self, reader: &Reader<'_>, sources: &Sources<'_>) {
        let id = |key: &str| reader.text_opt(key).and_then(|text| PlaceId::new(&text).ok());
        let own = id("id");
        let point = point(reader);
        if let (Some(own), Some(point)) = (&own, point) {
            match id("parent") {
                Some(parent) => self.points.push((reader.spot("at"), parent)),
                None => no_plan(reader.problems(), &reader.spot("at")),
            }
            self.ground.places.insert(own.clone(), point);
        }
        if reader.has("plan") {
            self.planned.extend(own.clone());
            let plan = self.plan(reader, sources);
            self.ground.plans.extend(own.zip(plan));
        }
    }

    /// Reads what a `[[device]]` says.
    pub(super) fn device(&mut self, reader: &Reader<'_>) {
        let Some(point) = point(reader) else { return };
        let id = reader.text_opt("id").and_then(|text| DeviceId::new(&text).ok());
        let place = reader.text_opt("place").and_then(|text| PlaceId::new(&text).ok());
        // A device without a place is told elsewhere.
        self.points.extend(place.map(|place| (reader.spot("at"), place)));
        self.ground.devices.extend(id.map(|id| (id, point)));
    }

    /// Reads what a `[[rule]]` says.
    pub(super) fn rule(&mut self, reader: &Reader<'_>) {
        let id = reader.text_opt("id").and_then(|text| RuleId::new(&text).ok());
        if let (Some(steps), Some(id)) = (steps(reader), id) {
            self.ground.rules.insert(id, steps);
        }
    }

    /// Reads every `[[guidance]]`: what to do about alarms that no rule is written for.
    pub(super) fn guidance(&mut self, readers: Vec<Reader<'_>>) {
        let mut first: BTreeMap<AlarmClass, Spot> = BTreeMap::new();
        for reader in readers {
            let (classes, steps) = (classes(&reader), steps(&reader));
            if !reader.has("steps") {
                reader.problem(
                    "steps",
                    ("这条处置步骤是空的", "the guidance says nothing"),
                    ("加上 `steps = [\"…\"]`：依次做什么", "add `steps = [\"…\"]`: what to do, in turn"),
                );
            }
            if !reader.has("for") {
                let message =
                    ("没有写这条处置步骤用于哪些报警", "it is not said which alarms the guidance is for");
                let advice = (
                    "加上 `for = [\"fire\"]`，写它适用的报警类别",
                    "add `for = [\"fire\"]` with the classes of alarms it is for",
                );
                reader.problem("for", message, advice);
            }
            for class in classes {
                if let Some(first) = first.get(&class) {
                    let first = place_of(first);
                    let message = (
                        format!("'{class}' 的处置步骤已经写过，在 {first}"),
                        format!("what to do about '{class}' is said already, at {first}"),
                    );
                    reader.problem("for", message, ("只写一次", "say it once"));
                    continue;
                }
                first.insert(class, reader.spot("for"));
                self.ground.classes.extend(steps.clone().map(|steps| (class, steps)));
            }
            finish(reader, None);
        }
    }

    /// Reads every `[[contact]]`.
    pub(super) fn contacts(&mut self, readers: Vec<Reader<'_>>) {
        for (n, reader) in readers.into_iter().enumerate() {
            if n == MAX_CONTACTS {
                let message = (
                    format!("电话超过 {MAX_CONTACTS} 个"),
                    format!("there are more than {MAX_CONTACTS} contacts"),
                );
                let advice = (
                    format!("只留最要紧的 {MAX_CONTACTS} 个"),
                    format!("keep the {MAX_CONTACTS} that matter"),
                );
                reader.problem("name", message, advice);
            }
            let name = name_opt(&reader, "name");
            if !reader.has("name") {
                reader.problem(
                    "name",
                    ("这个电话没有名称", "the contact has no name"),
                    ("加上 `name = \"…\"`，如 \"保卫处\"", "add `name = \"…\"`, such as \"保卫处\""),
                );
            }
            let advice = (
                "照拨打的样子写号码，如 \"0551-62223333\"",
                "write the number as it is dialled, such as \"0551-62223333\"",
            );
            let phone = reader.parsed("phone", advice, phone);
            let classes = classes(&reader);
            if let (Some(name), Some(phone)) = (name, phone) {
                self.ground.contacts.push(Contact { name, phone, classes });
            }
            finish(reader, None);
        }
    }

    /// The ground, when every place is known: a point needs a plan to be a point of.
    pub(super) fn finish(self, places: &BTreeMap<PlaceId, Place>, problems: &Problems) -> Ground {
        for (spot, from) in &self.points {
            let above = std::iter::successors(Some(from), |place| places.get(*place)?.parent.as_ref());
            // A place that is not there is told elsewhere, and so is a ring, which ends after as many steps as there
            // are places.
            let mut above = above.take(places.len().max(1));
            if !above.any(|place| self.planned.contains(place) || !places.contains_key(place)) {
                no_plan(problems, spot);
            }
        }
        self.ground
    }

    /// Reads the file of a plan; what is wrong with it is noted.
    fn plan(&mut self, reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Plan> {
        let path = reader.text_opt("plan")?;
        let picture =
            || Text::new("写 SVG、PNG 或 JPEG 文件的路径", "write the path of an SVG, PNG or JPEG file");
        if path.trim().is_empty() {
            reader.problem("plan", ("'plan' 是空的", "'plan' is empty"), picture());
            return None;
        }
        let bytes = match (sources.plan)(&sources.base.join(Path::new(&path))) {
            Ok(bytes) => bytes,
            Err(error) => {
                let advice = match &error {
                    Unreadable::Empty(_) => picture(),
                    error => error.advice(),
                };
                let why = Text::from(&error);
                reader.problem(
                    "plan",
                    (format!("'plan'：{}", why.zh), format!("'plan': {}", why.en)),
                    advice,
                );
                return None;
            }
        };
        let Some(media_type) = media_type(&bytes) else {
            let message = (
                format!("'plan'：{path} 不是 SVG、PNG 或 JPEG"),
                format!("'plan': {path} is neither SVG nor PNG nor JPEG"),
            );
            let advice = ("把平面图导出为 SVG、PNG 或 JPEG", "export the plan as SVG, PNG or JPEG");
            reader.problem("plan", message, advice);
            return None;
        };
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > ALL_PLANS_BYTES {
            let message = (
                format!("到这张为止，平面图共有 {} 字节", self.bytes),
                format!("the plans up to this one have {} bytes together", self.bytes),
            );
            let advice = (
                format!("把图缩小：所有平面图加起来最多 {ALL_PLANS_BYTES} 字节"),
                format!("make them smaller: all plans may have {ALL_PLANS_BYTES} bytes together"),
            );
            reader.problem("plan", message, advice);
            return None;
        }
        Some(Plan { media_type, bytes: bytes.into() })
    }
}

fn no_plan(problems: &Problems, spot: &Spot) {
    problems.at(
        spot,
        ("没有可以标这个位置的平面图", "there is no plan that this could be a point of"),
        (
            "给它的上级地点加上 `plan = \"plans/….svg\"`，或删去 `at`",
            "add `plan = \"plans/….svg\"` to a place above it, or remove `at`",
        ),
    );
}

/// `at = [x, y]`.
fn point(reader: &Reader<'_>) -> Option<Point> {
    if !reader.has("at") {
        return None;
    }
    let told = reader.problems().len();
    let numbers = reader.numbers("at");
    if reader.problems().len() > told {
        return None;
    }
    let values: Vec<f64> = numbers.iter().map(|(value, _)| *value).collect();
    match *values.as_slice() {
        [x, y] if [x, y].iter().all(|part| (0.0..=1.0).contains(part)) => Some(Point { x, y }),
        _ => {
            reader.problem(
                "at",
                ("这不是平面图上的位置", "this is no point of a plan"),
                (
                    "写两个 0 到 1 的数，如 [0.25, 0.6]：从左边、从上边算起",
                    "write two numbers from 0 to 1, such as [0.25, 0.6]: how far from the left and from the top",
                ),
            );
            None
        }
    }
}

/// `steps = ["…"]`: what to do, in turn.
fn steps(reader: &Reader<'_>) -> Option<Vec<String>> {
    if !reader.has("steps") {
        return None;
    }
    let told = reader.problems().len();
    let written = reader.texts("steps");
    if reader.problems().len() > told {
        return None;
    }
    if written.is_empty() || written.len() > MAX_STEPS {
        let count = written.len();
        let message = (
            format!("紧急时看得过来的是 1 到 {MAX_STEPS} 步，这里有 {count} 步"),
            format!("1 to {MAX_STEPS} steps are read in a hurry, these are {count}"),
        );
        let advice = ("步骤写短些，最紧急的在前", "write short steps, the most urgent first");
        reader.problem("steps", message, advice);
        return None;
    }
    let problems = reader.problems();
    let mut steps = Vec::new();
    for (text, spot) in written {
        let text = text.trim();
        let chars = text.chars().count();
        if text.is_empty() {
            let advice = ("写要做什么，或删去这一步", "write what to do, or remove it");
            problems.at(&spot, ("这一步是空的", "the step is empty"), advice);
        } else if chars > MAX_STEP_CHARS {
            let message = (format!("这一步有 {chars} 个字"), format!("the step has {chars} characters"));
            let advice =
                ("最多写 200 个字：每步只做一件事", "write at most 200: one thing to do in each step");
            problems.at(&spot, message, advice);
        } else if text.chars().any(char::is_control) {
            let message = ("这一步里有控制字符", "the step has control characters");
            problems.at(&spot, message, ("写成一行", "write it on one line"));
        } else {
            steps.push(text.to_owned());
        }
    }
    Some(steps)
}

/// `for = ["fire"]`.
fn classes(reader: &Reader<'_>) -> BTreeSet<AlarmClass> {
    let class = |(text, spot): (String, Spot)| {
        let class = AlarmClass::from_word(&text);
        if class.is_none() {
            let known: Vec<&str> = AlarmClass::ALL.iter().map(|class| class.as_str()).collect();
            let advice = crate::document::one_of(&text, &known);
            let message = (format!("没有报警类别 '{text}'"), format!("there is no class of alarms '{text}'"));
            reader.problems().at(&spot, message, advice);
        }
        class
    };
    reader.texts("for").into_iter().filter_map(class).collect()
}

fn phone(text: &str) -> Result<String, (&'static str, &'static str)> {
    let text = text.trim();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if text.chars().count() > MAX_PHONE_CHARS {
        Err(("号码太长", "the number is too long"))
    } else if digits < 2 || !text.chars().all(|c| c.is_ascii_digit() || "+-*# ()".contains(c)) {
        Err(("这不是电话号码", "this is not a telephone number"))
    } else {
        Ok(text.to_owned())
    }
}

/// What the first bytes of a picture say that it is.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begin = text.get(..SVG_WITHIN).unwrap_or(text);
    let svg = text.starts_with(b"<") && memchr::memmem::find(begin, b"<svg").is_some();
    (svg && std::str::from_utf8(text).is_ok()).then_some("image/svg+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_first_bytes_alone() {
        for (bytes, wanted) in [
            (b"\x89PNG\r\n\x1a\nrest".as_slice(), Some("image/png")),
            (b"\xff\xd8\xff\xe0JFIF", Some("image/jpeg")),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Some("image/svg+xml")),
            ("\u{feff}\n<?xml version='1.0'?>\n<!-- 一层 -->\n<svg/>".as_bytes(), Some("image/svg+xml")),
            (b"<html><body>svg</body></html>", None),
            (b"see <svg", None),
            (b"<svg>\xff</svg>", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), wanted, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn telephone_numbers() {
        for good in ["110", "0551-62223333", "+86 138 0013 8000", "(010) 6666*12#"] {
            assert_eq!(phone(good), Ok(good.to_owned()));
        }
        for bad in ["", "保卫处", "1", "110; reboot", &"1".repeat(33)] {
            assert!(phone(bad).is_err(), "{bad}");
        }
    }
}
