//! `[[response]]`: lockdown, evacuation and their like, and what each switches and tells.

use super::control::{CONTROL, told};
use super::fields::{finish, id_of, name_opt};
use super::names::{Names, absent, at};
use super::{Channel, ChannelKind, Controls};
use crate::control::Spec;
use crate::document::{Problem, Reader, Spot};
use crate::model::{ChannelId, ControlId, PlaceId, ResponseId, ResponseKind, Text};
use crate::response::{Does, MAX_OUTPUTS, Output, Response, SHORT};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Any number a register can hold.
const ANY: std::ops::RangeInclusive<f64> = -1e9..=1e9;
/// Longest text that a channel is given, characters.
const MAX_TEXT: usize = 200;

/// What a response may refer to.
pub(super) struct Around<'a> {
    pub(super) place_names: &'a Names,
    pub(super) controls: &'a Controls,
    /// Every control that is written, well or badly.
    pub(super) control_names: &'a BTreeSet<String>,
    pub(super) channel_names: &'a Names,
    pub(super) channels: &'a [Channel],
}

/// Every `[[response]]`, and what is allowed and hardly meant.
pub(super) fn responses(readers: Vec<Reader<'_>>, around: &Around<'_>) -> (Vec<Arc<Response>>, Vec<Problem>) {
    let (mut names, mut scopes) = (Names::of(("应急响应", "response")), BTreeMap::new());
    let (mut all, mut cautions) = (Vec::new(), Vec::new());
    for reader in readers {
        all.extend(response(&reader, (&mut names, &mut scopes), around, &mut cautions).map(Arc::new));
        finish(reader, None);
    }
    (all, cautions)
}

/// The ids of the channels that are written in responses, well or badly.
pub(super) fn channels(readers: &[Reader<'_>]) -> BTreeSet<String> {
    let outputs = readers.iter().flat_map(|reader| reader.tables("outputs"));
    outputs.flat_map(|table| table.peek("channel")).map(ToOwned::to_owned).collect()
}

/// While there is fire, what a lockdown switches on goes to rest only; what an evacuation does, too, is left to it.
pub(super) fn inert_in_fire(controls: &mut Controls, responses: &[Arc<Response>]) {
    let used = |closes: bool| -> BTreeSet<&ControlId> {
        let specs = responses.iter().filter(|response| response.kind.closes() == closes);
        specs.flat_map(|response| &response.outputs).filter_map(|output| output.does.away()).collect()
    };
    let (closing, leading_out) = (used(true), used(false));
    for spec in &mut controls.all {
        if closing.contains(&spec.id) && !leading_out.contains(&spec.id) {
            Arc::make_mut(spec).inert_in_fire = true;
        }
    }
}

type Scopes = BTreeMap<(ResponseKind, Option<PlaceId>, bool), Spot>;

fn response(
    reader: &Reader<'_>,
    (names, scopes): (&mut Names, &mut Scopes),
    around: &Around<'_>,
    cautions: &mut Vec<Problem>,
) -> Option<Response> {
    let before = reader.problems().len();
    let id = names.declare(reader, ResponseId::new);
    let words: Vec<(&str, ResponseKind)> =
        ResponseKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let kind = reader.word("kind", &words);
    let name = name_opt(reader, "name");
    let silent = reader.flag_opt("silent").unwrap_or(false);
    let place = reader.parsed_opt("place", id_of("place"), PlaceId::new);
    let place = place.filter(|place| around.place_names.check(reader, "place", place.as_str()));
    if let Some(kind) = kind {
        let scope = (kind, place.clone(), silent);
        if let Some(first) = scopes.get(&scope) {
            let first = at(first);
            let message = (
                format!("同一地点有两个 '{kind}' 应急响应；第一个在 {first}"),
                format!("there are two responses '{kind}' for one place; the first is at {first}"),
            );
            let advice = ("留下一个，或各写不同的地点", "keep one of them, or give them different places");
            reader.problem("kind", message, advice);
        } else {
            scopes.insert(scope, reader.spot("kind"));
        }
    }
    let mut outputs: Vec<Output> = Vec::new();
    let tables = reader.tables("outputs");
    if tables.is_empty() || tables.len() > MAX_OUTPUTS {
        let count = tables.len();
        let message = (format!("这个应急响应有 {count} 个输出"), format!("the response has {count} outputs"));
        let advice = (
            format!("写 1 到 {MAX_OUTPUTS} 个：`outputs = [{{ control = \"door-1\", value = 1 }}]`"),
            format!("write 1 to {MAX_OUTPUTS}: `outputs = [{{ control = \"door-1\", value = 1 }}]`"),
        );
        reader.problem("outputs", message, advice);
    }
    for table in tables {
        let found = output(&table, (kind, silent), around, cautions);
        if let Some(found) = found {
            if outputs.iter().any(|before| target(before) == target(&found)) {
                let key = if table.has("control") { "control" } else { "channel" };
                let message = ("这个输出写了两次", "this output is written twice");
                table.problem(key, message, ("留下一个", "keep one of them"));
            }
            outputs.push(found);
        }
        finish(table, None);
    }
    let (id, kind) = (id?, kind?);
    let name = name.map_or_else(|| kind.name(), Text::same);
    (reader.problems().len() == before).then_some(Response { id, kind, name, place, silent, outputs })
}

fn target(output: &Output) -> (bool, &str) {
    match &output.does {
        Does::Switch { control, .. } => (true, control.as_str()),
        Does::Tell { channel, .. } => (false, channel.as_str()),
    }
}

fn output(
    table: &Reader<'_>,
    (kind, silent): (Option<ResponseKind>, bool),
    around: &Around<'_>,
    cautions: &mut Vec<Problem>,
) -> Option<Output> {
    let drills = table.flag_opt("drills").unwrap_or(false);
    let (name, does) = match (table.has("control"), table.has("channel")) {
        (true, false) => switch(table, kind, around, cautions)?,
        (false, true) => tell(table, silent, around)?,
        _ => {
            let _read = ["control", "value", "channel", "text"].map(|key| table.has(key));
            table.problem(
                "control",
                ("一个输出要么是控制点，要么是渠道", "an output is either a control or a channel"),
                (
                    "写 `control = \"…\"` 和 `value = …`，或 `channel = \"…\"` 和 `text = { zh = \"…\", en = \"…\" }`",
                    "write `control = \"…\"` and `value = …`, or `channel = \"…\"` and `text = { zh = \"…\", en = \"…\" }`",
                ),
            );
            return None;
        }
    };
    Some(Output { name, does, drills })
}

fn switch(
    table: &Reader<'_>,
    kind: Option<ResponseKind>,
    around: &Around<'_>,
    cautions: &mut Vec<Problem>,
) -> Option<(String, Does)> {
    let value = table.number("value", ANY);
    let id = table.parsed("control", id_of("control"), ControlId::new)?;
    if !around.control_names.contains(id.as_str()) {
        let known = around.control_names.iter().map(String::as_str);
        let (message, advice) = absent(CONTROL, id.as_str(), known);
        table.problem("control", message, advice);
        return None;
    }
    // One with a problem of its own is not judged.
    let spec = around.controls.all.iter().find(|spec| spec.id == id)?;
    let value = value?;
    let Some(value) = spec.allowed.find(value) else {
        let allowed = told(&spec.allowed);
        let advice = (
            format!("写允许的值（{}），或允许这个值", allowed.zh),
            format!("write one of those that are allowed ({}), or allow it", allowed.en),
        );
        let message = (format!("'{id}' 不能是 {value}"), format!("'{id}' cannot be {value}"));
        table.problem("value", message, advice);
        return None;
    };
    check(table, spec, value, (kind, around));
    cautions.extend(cautious(table, spec, value, around));
    Some((spec.name.clone(), Does::Switch { control: id, value, rest: spec.rest }))
}

/// What would lock somebody in, or silence a siren.
fn check(table: &Reader<'_>, spec: &Spec, value: f64, (kind, around): (Option<ResponseKind>, &Around<'_>)) {
    let id = &spec.id;
    if let Some(rest) = spec.rest.filter(|rest| spec.exit && spec.allowed.find(*rest) != Some(value)) {
        table.problem(
            "value",
            (
                format!("'{id}' 是疏散门：软件不会把它置为 {value}"),
                format!("'{id}' is an exit: software never brings it to {value}"),
            ),
            (
                format!("写 `value = {rest}`，让人出得去，或删去这个输出"),
                format!("write `value = {rest}`, which leaves the way out free, or remove this output"),
            ),
        );
    }
    if let Some(kind) = kind.filter(|kind| kind.closes() && spec.rest.is_none()) {
        table.problem(
            "control",
            (
                format!("'{id}' 没有 `rest`，着火时 '{kind}' 无法恢复它"),
                format!("'{id}' has no value of rest, so '{kind}' could not give it back when there is fire"),
            ),
            (
                "在 [[control]] 里加上 `rest = 0`，或别的表示关的值",
                "add `rest = 0`, or whatever value is off, to the [[control]]",
            ),
        );
    }
    let siren = around
        .channels
        .iter()
        .find(|channel| matches!(&channel.kind, ChannelKind::Control(control) if control.control == *id));
    if let Some(channel) = siren {
        table.problem(
            "control",
            (
                format!("'{id}' 已由渠道 '{}' 用来报警", channel.id),
                format!("'{id}' tells people of alarms already, by the channel '{}'", channel.id),
            ),
            (
                format!("改写 `channel = \"{}\"` 和一段文字", channel.id),
                format!("write `channel = \"{}\"` and a text instead", channel.id),
            ),
        );
    }
}

/// What is allowed and hardly meant.
fn cautious(table: &Reader<'_>, spec: &Spec, value: f64, around: &Around<'_>) -> Vec<Problem> {
    let away = spec.rest.is_none_or(|rest| spec.allowed.find(rest) != Some(value));
    let mut found = Vec::new();
    let mut note =
        |message: Text, advice: Text| found.push(Problem { spot: table.spot("control"), message, advice });
    if let Some(span) = spec.max_on.filter(|span| away && *span < SHORT) {
        let (secs, short) = (span.as_secs(), SHORT.as_secs());
        note(
            Text::new(
                format!("'{}' 过 {secs} 秒就自己恢复：对应急响应来说太快", spec.id),
                format!("'{}' goes back by itself after {secs} s: that is soon for a response", spec.id),
            ),
            Text::new(
                format!("如果可以开这么久，在 [[control]] 里写 `max_on_secs = {short}` 或更长"),
                format!(
                    "write `max_on_secs = {short}` or more in the [[control]], if it may stay on for so long"
                ),
            ),
        );
    }
    if spec.dry_run {
        note(
            Text::new(
                format!("'{}' 只试不动，不会真的开关", spec.id),
                format!("'{}' is only tried, never switched", spec.id),
            ),
            Text::new("从 [[control]] 里删去 `dry_run`", "remove `dry_run` from the [[control]]"),
        );
    }
    if !around.controls.enabled {
        note(
            Text::new(
                format!("没有启用控制，'{}' 不会动作", spec.id),
                format!("control is off, so '{}' would not be switched", spec.id),
            ),
            Text::new("在 [controls] 下写 `enabled = true`", "write `enabled = true` under [controls]"),
        );
    }
    found
}

fn tell(table: &Reader<'_>, silent: bool, around: &Around<'_>) -> Option<(String, Does)> {
    let text = table.table("text").and_then(|text| {
        let sentence = |key: &str| {
            let advice =
                ("写 1 到 200 个字的一句话，只写一行", "write a sentence of 1 to 200 characters on one line");
            text.parsed(key, advice, |written| {
                let written = written.trim();
                let chars = written.chars().count();
                if (1..=MAX_TEXT).contains(&chars) && !written.chars().any(char::is_control) {
                    Ok(written.to_owned())
                } else {
                    Err(("是空的、太长，或有控制字符", "it is empty, too long, or has control characters"))
                }
            })
        };
        let both = (sentence("zh"), sentence("en"));
        finish(text, None);
        Some(Text::new(both.0?, both.1?))
    });
    let id = table.parsed("channel", id_of("channel"), ChannelId::new)?;
    if !around.channel_names.check(table, "channel", id.as_str()) {
        return None;
    }
    // One with a problem of its own is not judged.
    let channel = around.channels.iter().find(|channel| channel.id == id)?;
    if silent && channel.is_local() {
        table.problem(
            "channel",
            (
                format!("'{id}' 在现场发声或显示，而这个应急响应是无声的"),
                format!("'{id}' sounds or shows at the place itself, and the response is silent"),
            ),
            (
                "写通知别处人员的渠道，或删去 `silent`",
                "name a channel that reaches people elsewhere, or remove `silent`",
            ),
        );
    }
    Some((channel.name.clone(), Does::Tell { channel: id, text: text? }))
}
