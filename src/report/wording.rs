//! The words of a report: content in, a document in one language out.

use super::document::{Column, Document, Section};
use super::figures::{Figure, figures, lasting};
use super::shift::{Entry, Head, How, Shift};
use crate::alarm::kpi::Kpi;
use crate::model::alarm::state_name;
use crate::model::{Hazard, Lang, Place, PlaceId, Text, Wall};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A language and a zone: what is needed to put anything in words.
pub(super) struct Words<'a> {
    pub(super) lang: Lang,
    pub(super) zone: &'a TimeZone,
}

impl Words<'_> {
    pub(super) fn say(&self, zh: &str, en: &str) -> String {
        match self.lang {
            Lang::Zh => zh.to_owned(),
            Lang::En => en.to_owned(),
        }
    }

    pub(super) fn text(&self, text: &Text) -> String {
        text.in_lang(self.lang).to_owned()
    }

    pub(super) fn place(&self, place: Option<&Text>) -> String {
        place.map(|place| self.text(place)).unwrap_or_default()
    }

    /// Month, day and time of day: the year stands in the head.
    fn at(&self, at: Wall) -> String {
        match Timestamp::from_millisecond(at.0) {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime("%m-%d %H:%M:%S").to_string(),
            Err(_) => at.to_string(),
        }
    }

    fn maybe_at(&self, at: Option<Wall>) -> String {
        at.map(|at| self.at(at)).unwrap_or_default()
    }

    pub(super) fn section(
        &self,
        title: (&str, &str),
        empty: (&str, &str),
        columns: &[(&str, &str, u16)],
    ) -> Section {
        let columns = columns.iter().map(|(zh, en, share)| Column { title: self.say(zh, en), share: *share });
        Section {
            title: self.say(title.0, title.1),
            empty: self.say(empty.0, empty.1),
            note: None,
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }
}

/// A shift's report in one language, with times of this zone.
#[must_use]
pub fn shift_document(
    shift: &Shift,
    places: &BTreeMap<PlaceId, Place>,
    lang: Lang,
    zone: &TimeZone,
) -> Document {
    let words = Words { lang, zone };
    let mut facts = facts(&words, &shift.head);
    facts.push((words.say("上报", "uploads"), uploads(&words, shift)));
    if shift.unreadable > 0 {
        let n = shift.unreadable;
        facts.push((
            words.say("注意", "note"),
            words.say(
                &format!("{n}条报警无法读取，请运行 schoolgate db verify"),
                &format!("{n} alarms could not be read: run schoolgate db verify"),
            ),
        ));
    }
    let sections = vec![
        open(&words, shift),
        quiet(&words, shift),
        came(&words, shift),
        hazards(&words, shift, places),
        silent(&words, shift),
        areas(&words, shift),
        judged(&words, &shift.figures),
    ];
    Document {
        lang,
        title: words.say("值班交接报告", "Shift hand-over report"),
        site: shift.head.site.clone(),
        facts,
        sections,
        signatures: vec![words.say("交班人", "Handed over by"), words.say("接班人", "Taken over by")],
        hash: shift.hash(),
    }
}

/// The figures of a span alone.
#[must_use]
pub fn figures_document(head: &Head, kpi: &Kpi, lang: Lang, zone: &TimeZone) -> Document {
    let words = Words { lang, zone };
    let canonical = serde_json::to_value(kpi).unwrap_or_default().to_string();
    Document {
        lang,
        title: words.say("报警指标", "Alarm figures"),
        site: head.site.clone(),
        facts: facts(&words, head),
        sections: vec![judged(&words, &figures(kpi))],
        signatures: Vec::new(),
        hash: Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

pub(super) fn facts(words: &Words<'_>, head: &Head) -> Vec<(String, String)> {
    let (from, to) = (head.from.in_zone(words.zone), head.to.in_zone(words.zone));
    let span = match words.lang {
        Lang::Zh => format!("{from} 至 {to}"),
        Lang::En => format!("{from} to {to}"),
    };
    vec![
        (words.say("学校", "school"), head.site.clone()),
        (words.say("网关", "gateway"), head.gateway.to_string()),
        (words.say("时段", "span"), span),
        (words.say("生成时间", "made"), head.made_at.in_zone(words.zone)),
        (words.say("值班人数", "guards"), head.guards.to_string()),
    ]
}

fn uploads(words: &Words<'_>, shift: &Shift) -> String {
    if shift.uploads.is_empty() {
        return words.say("没有上级平台", "no platform");
    }
    let each = shift.uploads.iter().map(|upload| {
        let lag = lasting(i64::try_from(upload.lag_secs).unwrap_or(i64::MAX).saturating_mul(1000));
        match upload.waiting {
            0 => words.say(
                &format!("{}：无积压", upload.destination),
                &format!("{}: nothing waits", upload.destination),
            ),
            n => words.say(
                &format!("{}：积压{n}条，最久{}", upload.destination, lag.zh),
                &format!("{}: {n} wait, the oldest for {}", upload.destination, lag.en),
            ),
        }
    });
    each.collect::<Vec<_>>().join(&words.say("；", "; "))
}

/// The letter of a state with its name.
fn state(words: &Words<'_>, entry: &Entry) -> String {
    let name = words.text(&state_name(entry.state));
    let chattering =
        if entry.chattering { words.say("，反复", ", comes and goes") } else { String::new() };
    format!("{} {name}{chattering}", entry.state)
}

fn taken(words: &Words<'_>, entry: &Entry) -> String {
    match (&entry.taken_by, entry.taken_at) {
        (Some(by), Some(at)) => format!("{} {}", by.as_str(), words.at(at)),
        _ => String::new(),
    }
}

fn open(words: &Words<'_>, shift: &Shift) -> Section {
    let mut section = words.section(
        ("未结束的报警", "Open alarms"),
        ("没有未结束的报警", "no alarm is open"),
        &[
            ("编号", "No.", 6),
            ("优先级", "Priority", 10),
            ("状态", "State", 12),
            ("内容", "What", 26),
            ("地点", "Where", 18),
            ("发生时间", "Raised", 13),
            ("确认", "Taken", 15),
            ("备注", "Note", 16),
        ],
    );
    section.rows = shift
        .open
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                words.text(&entry.priority.name()),
                state(words, entry),
                words.text(&entry.what),
                words.place(entry.place.as_ref()),
                words.at(entry.raised_at),
                taken(words, entry),
                entry.note.clone(),
            ]
        })
        .collect();
    section
}

fn quiet(words: &Words<'_>, shift: &Shift) -> Section {
    let mut section = words.section(
        ("搁置、停用与抑制", "Shelved, out of service, suppressed"),
        ("没有", "none"),
        &[
            ("编号", "No.", 6),
            ("方式", "How", 13),
            ("内容", "What", 25),
            ("地点", "Where", 18),
            ("起", "Since", 13),
            ("止", "Until", 13),
            ("操作人", "By", 11),
            ("原因", "Reason", 17),
        ],
    );
    let end = |quiet: &super::Quiet| match (quiet.until, quiet.until_clear) {
        (Some(until), true) => words.say(
            &format!("恢复即止，最迟{}", words.at(until)),
            &format!("when it clears, {} at the latest", words.at(until)),
        ),
        (until, _) => words.maybe_at(until),
    };
    let how = |quiet: &super::Quiet| match quiet.how {
        How::Shelved => words.say("搁置", "shelved"),
        How::OutOfService => words.say("停用", "out of service"),
        How::Suppressed => words.say("按设计抑制", "suppressed by design"),
        How::Inhibited => words.say("归入另一条报警", "put down to another"),
    };
    section.rows = shift
        .quiet
        .iter()
        .map(|quiet| {
            vec![
                quiet.id.to_string(),
                how(quiet),
                words.text(&quiet.what),
                words.place(quiet.place.as_ref()),
                words.maybe_at(quiet.since),
                end(quiet),
                quiet.by.clone(),
                quiet.note.clone(),
            ]
        })
        .collect();
    section
}

fn came(words: &Words<'_>, shift: &Shift) -> Section {
    let mut section = words.section(
        ("本班报警", "Alarms of the shift"),
        ("本班没有报警", "there was no alarm"),
        &[
            ("编号", "No.", 6),
            ("优先级", "Priority", 10),
            ("内容", "What", 22),
            ("地点", "Where", 15),
            ("发生时间", "Raised", 12),
            ("次数", "Times", 6),
            ("确认", "Taken", 14),
            ("用时", "After", 8),
            ("状态", "State", 11),
            ("定性", "Result", 8),
            ("备注", "Note", 16),
        ],
    );
    section.rows = shift
        .alarms
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                words.text(&entry.priority.name()),
                words.text(&entry.what),
                words.place(entry.place.as_ref()),
                words.at(entry.raised_at),
                entry.came.to_string(),
                taken(words, entry),
                entry.taken_after_ms.map(|ms| words.text(&lasting(ms))).unwrap_or_default(),
                state(words, entry),
                result(words, entry),
                entry.note.clone(),
            ]
        })
        .collect();
    let n = shift.not_listed;
    section.note = (n > 0).then(|| {
        words.say(
            &format!("超过上限，另有{n}条只计入指标"),
            &format!("beyond the limit; {n} more are only in the figures"),
        )
    });
    section
}

/// What it turned out to be, and when somebody called for support.
fn result(words: &Words<'_>, entry: &Entry) -> String {
    let truth = entry.truth.map(|truth| words.text(&truth.name()));
    let support = entry.support_at.map(|at| {
        let at = words.at(at);
        words.say(&format!("{at} 请求支援"), &format!("help needed {at}"))
    });
    let parts: Vec<String> = [truth, support].into_iter().flatten().collect();
    parts.join(&words.say("；", "; "))
}

fn hazards(words: &Words<'_>, shift: &Shift, places: &BTreeMap<PlaceId, Place>) -> Section {
    let mut section = words.section(
        ("隐患", "Hazards"),
        ("没有", "none"),
        &[
            ("编号", "No.", 6),
            ("阶段", "Stage", 8),
            ("内容", "What", 28),
            ("地点", "Where", 18),
            ("发现", "Found", 18),
            ("最近处理", "Last step", 18),
            ("备注", "Note", 18),
        ],
    );
    let place = |hazard: &Hazard| {
        let id = hazard.place.as_ref()?;
        Some(places.get(id).map_or_else(|| Text::same(id.as_str()), |place| place.path.clone()))
    };
    section.rows = shift
        .hazards
        .iter()
        .map(|hazard| {
            let later =
                [&hazard.closed, &hazard.handled, &hazard.checked].into_iter().find_map(Option::as_ref);
            let last = later.unwrap_or(&hazard.found);
            let done =
                |handled: &crate::model::Handled| format!("{} {}", handled.by.as_str(), words.at(handled.at));
            vec![
                hazard.id.to_string(),
                words.text(&hazard.stage().name()),
                hazard.what.clone(),
                words.place(place(hazard).as_ref()),
                done(&hazard.found),
                later.map(done).unwrap_or_default(),
                last.note.clone(),
            ]
        })
        .collect();
    section
}

fn silent(words: &Words<'_>, shift: &Shift) -> Section {
    let mut section = words.section(
        ("未应答的设备", "Devices that do not answer"),
        ("全部应答", "all answer"),
        &[("设备", "Device", 22), ("地点", "Where", 22), ("原因", "Why", 40), ("起", "Since", 16)],
    );
    section.rows = shift
        .silent
        .iter()
        .map(|silent| {
            vec![
                silent.name.clone(),
                words.place(silent.place.as_ref()),
                words.text(&silent.fault.advice()),
                words.at(silent.since),
            ]
        })
        .collect();
    section
}

fn areas(words: &Words<'_>, shift: &Shift) -> Section {
    let mut section = words.section(
        ("防区", "Areas"),
        ("没有配置防区", "no area is configured"),
        &[
            ("防区", "Area", 26),
            ("状态", "Mode", 16),
            ("时间", "Since", 18),
            ("操作人", "By", 18),
            ("未关闭", "Open", 10),
            ("已旁路", "Passed over", 12),
        ],
    );
    section.rows = shift
        .areas
        .iter()
        .map(|area| {
            vec![
                area.name.clone(),
                words.text(&area.mode.name()),
                words.maybe_at(Some(area.since).filter(|since| since.plausible())),
                area.by.as_str().to_owned(),
                area.open.to_string(),
                area.bypassed.to_string(),
            ]
        })
        .collect();
    section
}

pub(super) fn judged(words: &Words<'_>, figures: &[Figure]) -> Section {
    let mut section = words.section(
        ("报警指标", "Alarm figures"),
        ("", ""),
        &[("指标", "Figure", 30), ("数值", "Value", 34), ("目标", "Target", 36), ("结论", "Holds", 10)],
    );
    let holds = |figure: &Figure| match figure.holds {
        Some(true) => words.say("达标", "yes"),
        Some(false) => words.say("未达标", "no"),
        None => String::new(),
    };
    let row = |figure: &Figure| {
        vec![words.text(&figure.name), words.text(&figure.value), words.text(&figure.target), holds(figure)]
    };
    section.rows = figures.iter().map(row).collect();
    section
}
