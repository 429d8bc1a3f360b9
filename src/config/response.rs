//! `[[response]]`: lockdown, evacuation and their like, and what each switches and tells.

use super::fields::{finish, name_opt};
use super::names::{Names, at};
use super::{Channel, ChannelKind, Controls};
use crate::control::Spec;
use crate::document::{Problem, Reader, Spot, one_of};
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
    let (mut names, mut scopes) = (Names::of("response"), BTreeMap::new());
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
    let place = reader.parsed_opt("place", "write the id of a [[place]]", PlaceId::new);
    let place = place.filter(|place| around.place_names.check(reader, "place", place.as_str()));
    if let Some(kind) = kind {
        let scope = (kind, place.clone(), silent);
        if let Some(first) = scopes.get(&scope) {
            let message =
                format!("there are two responses '{kind}' for one place; the first is at {}", at(first));
            reader.problem("kind", message, "keep one of them, or give them different places");
        } else {
            scopes.insert(scope, reader.spot("kind"));
        }
    }
    let mut outputs: Vec<Output> = Vec::new();
    let tables = reader.tables("outputs");
    if tables.is_empty() || tables.len() > MAX_OUTPUTS {
        let message = format!("the response has {} outputs", tables.len());
        let advice = format!("write 1 to {MAX_OUTPUTS}: `outputs = [{{ control = \"door-1\", value = 1 }}]`");
        reader.problem("outputs", message, advice);
    }
    for table in tables {
        let found = output(&table, (kind, silent), around, cautions);
        if let Some(found) = found {
            if outputs.iter().any(|before| target(before) == target(&found)) {
                let key = if table.has("control") { "control" } else { "channel" };
                table.problem(key, "this output is written twice", "keep one of them");
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
                "an output is either a control or a channel",
                "write `control = \"…\"` and `value = …`, or `channel = \"…\"` and `text = { zh = \"…\", en = \"…\" }`",
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
    let id = table.parsed("control", "write the id of a [[control]]", ControlId::new)?;
    if !around.control_names.contains(id.as_str()) {
        let known: Vec<&str> = around.control_names.iter().map(String::as_str).collect();
        let advice = if known.is_empty() {
            format!("add a [[control]] with `id = \"{id}\"`")
        } else {
            one_of(id.as_str(), &known)
        };
        table.problem("control", format!("there is no control '{id}'"), advice);
        return None;
    }
    // One with a problem of its own is not judged.
    let spec = around.controls.all.iter().find(|spec| spec.id == id)?;
    let value = value?;
    let Some(value) = spec.allowed.find(value) else {
        let advice = format!("write one of those that are allowed ({}), or allow it", spec.allowed);
        table.problem("value", format!("'{id}' cannot be {value}"), advice);
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
            format!("'{id}' is an exit: software never brings it to {value}"),
            format!("write `value = {rest}`, which leaves the way out free, or remove this output"),
        );
    }
    if let Some(kind) = kind.filter(|kind| kind.closes() && spec.rest.is_none()) {
        table.problem(
            "control",
            format!("'{id}' has no value of rest, so '{kind}' could not give it back when there is fire"),
            "add `rest = 0`, or whatever value is off, to the [[control]]",
        );
    }
    let siren = around
        .channels
        .iter()
        .find(|channel| matches!(&channel.kind, ChannelKind::Control(control) if control.control == *id));
    if let Some(channel) = siren {
        table.problem(
            "control",
            format!("'{id}' tells people of alarms already, by the channel '{}'", channel.id),
            format!("write `channel = \"{}\"` and a text instead", channel.id),
        );
    }
}

/// What is allowed and hardly meant.
fn cautious(table: &Reader<'_>, spec: &Spec, value: f64, around: &Around<'_>) -> Vec<Problem> {
    let away = spec.rest.is_none_or(|rest| spec.allowed.find(rest) != Some(value));
    let mut found = Vec::new();
    let mut note = |message: String, advice: String| {
        found.push(Problem { spot: table.spot("control"), message: message.into(), advice: advice.into() });
    };
    if let Some(span) = spec.max_on.filter(|span| away && *span < SHORT) {
        let (secs, short) = (span.as_secs(), SHORT.as_secs());
        note(
            format!("'{}' goes back by itself after {secs} s: that is soon for a response", spec.id),
            format!(
                "write `max_on_secs = {short}` or more in the [[control]], if it may stay on for so long"
            ),
        );
    }
    if spec.dry_run {
        note(
            format!("'{}' is only tried, never switched", spec.id),
            "remove `dry_run` from the [[control]]".into(),
        );
    }
    if !around.controls.enabled {
        note(
            format!("control is off, so '{}' would not be switched", spec.id),
            "write `enabled = true` under [controls]".into(),
        );
    }
    found
}

fn tell(table: &Reader<'_>, silent: bool, around: &Around<'_>) -> Option<(String, Does)> {
    let text = table.table("text").and_then(|text| {
        let sentence = |key: &str| {
            text.parsed(key, "write a sentence of 1 to 200 characters on one line", |written| {
                let written = written.trim();
                let chars = written.chars().count();
                if (1..=MAX_TEXT).contains(&chars) && !written.chars().any(char::is_control) {
                    Ok(written.to_owned())
                } else {
                    Err("it is empty, too long, or has control characters")
                }
            })
        };
        let both = (sentence("zh"), sentence("en"));
        finish(text, None);
        Some(Text::new(both.0?, both.1?))
    });
    let id = table.parsed("channel", "write the id of a [[channel]]", ChannelId::new)?;
    if !around.channel_names.check(table, "channel", id.as_str()) {
        return None;
    }
    // One with a problem of its own is not judged.
    let channel = around.channels.iter().find(|channel| channel.id == id)?;
    if silent && channel.is_local() {
        table.problem(
            "channel",
            format!("'{id}' sounds or shows at the place itself, and the response is silent"),
            "name a channel that reaches people elsewhere, or remove `silent`",
        );
    }
    Some((channel.name.clone(), Does::Tell { channel: id, text: text? }))
}
