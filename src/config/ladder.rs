//! `[[ladder]]`: who is told of which alarms, and who next while nobody takes them.

use super::Channel;
use super::fields::finish;
use super::names::{Names, at};
use crate::alarm::{DayHours, Policy, Scope, Step, usual};
use crate::document::{Problems, Reader, Spot, one_of};
use crate::model::{AlarmClass, ChannelId, PlaceId, Priority, RuleId};
use jiff::civil::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A working example: the TOML of one ladder.
pub const EXAMPLE: &str = r#"[[ladder]]
id = "night"
priorities = ["critical"]      # none: all
classes = ["fire", "help"]     # none: all
places = ["east"]              # and all within them; none: everywhere
hours = "22:00-06:30"          # when the alarm is raised; none: always
remind_secs = 300              # again and again until somebody takes it; none: no reminders
over = true                    # also say when it is over

[[ladder.step]]                # at once
channels = ["guard-siren", ["guard-wecom", "guard-sms"]]   # both; of the inner list the first that works

[[ladder.step]]
after_secs = 60
channels = ["head-sms"]
"#;

/// Most ladders, and most steps of one.
const MOST: (usize, usize) = (64, 16);
/// Longest time to a step, and longest pause between reminders, seconds (one day).
const LONGEST_SECS: i64 = 86_400;
/// Shortest pause between reminders, seconds.
const SHORTEST_REMIND_SECS: i64 = 15;

/// The ladders that hold, and which of them nobody wrote.
#[derive(Debug, Clone, Default)]
pub struct Ladders {
    /// All; the first that is for an alarm holds.
    pub all: Vec<Policy>,
    /// The last so many of them hold because the school wrote none for such alarms.
    pub usual: usize,
}

/// What the ladders may name.
pub(super) struct Around<'a> {
    /// The ids of all channels, also of those that have a problem, which is told already.
    pub(super) channel_names: &'a Names,
    /// The good channels in the order in which they are written.
    pub(super) channels: &'a [Channel],
    /// The ids of all places.
    pub(super) places: &'a Names,
    /// The channels that responses use.
    pub(super) in_responses: BTreeSet<String>,
}

impl Around<'_> {
    fn is_for_drills(&self, id: &str) -> bool {
        self.channels.iter().any(|channel| channel.drill && channel.id.as_str() == id)
    }
}

/// Reads every ladder, and adds what holds where there is none.
pub(super) fn ladders(readers: Vec<Reader<'_>>, around: &Around<'_>, problems: &Problems) -> Ladders {
    let mut names = Names::of(("升级规则", "ladder"));
    let (mut all, mut used, mut everything) = (Vec::new(), BTreeSet::new(), None);
    let written = readers.len();
    for (count, reader) in readers.into_iter().enumerate() {
        if count == MOST.0 {
            let message = (format!("有 {written} 条升级规则"), format!("there are {written} ladders"));
            problems.at(&reader.here(), message, at_most(MOST.0));
        }
        if let Some(first) = &everything {
            let first = at(first);
            problems.at(
                &reader.here(),
                (
                    format!("永远轮不到这条升级规则：{first} 的那条已经包括所有报警"),
                    format!("no alarm ever comes to this ladder: the one at {first} is for every alarm"),
                ),
                (
                    "写到那条的前面：一个报警用第一条适用的",
                    "write it before that one: the first that is for an alarm holds",
                ),
            );
        }
        if let Some(policy) = ladder(&reader, &mut names, around, &mut used) {
            if Priority::ALL.iter().all(|priority| policy.scope.holds_all(*priority)) {
                everything.get_or_insert(reader.here());
            }
            all.push(policy);
        }
        finish(reader, None);
    }
    if written > 0 {
        // One for drills is used in them without being named.
        let elsewhere = |id: &str| around.is_for_drills(id) || around.in_responses.contains(id);
        let unused = around.channel_names.ids().filter(|id| !used.contains(*id) && !elsewhere(id));
        for id in unused {
            let spot = around.channel_names.spot(id).cloned();
            let message = (
                format!("渠道 '{id}' 不在任何升级规则的任何一级里"),
                format!("the channel '{id}' is in no step of any ladder"),
            );
            let advice = (
                "写进某个 [[ladder.step]] 的 `channels`，或删去这个渠道",
                "name it in `channels` of a [[ladder.step]], or remove the channel",
            );
            spot.iter().for_each(|spot| problems.at(spot, message.clone(), advice));
        }
    }
    let channels: Vec<(ChannelId, bool)> =
        around.channels.iter().filter(|of| !of.drill).map(|of| (of.id.clone(), of.is_local())).collect();
    let mut usual = usual(&channels);
    if written > 0 {
        // What the school wrote holds; but nothing critical is told to nobody.
        let covered = all.iter().any(|policy: &Policy| policy.scope.holds_all(Priority::Critical));
        usual.retain(|policy| !covered && policy.scope.holds_all(Priority::Critical));
    }
    let added = usual.len();
    all.extend(usual);
    Ladders { all, usual: added }
}

fn ladder(
    reader: &Reader<'_>,
    names: &mut Names,
    around: &Around<'_>,
    used: &mut BTreeSet<String>,
) -> Option<Policy> {
    let id = names.declare(reader, RuleId::new);
    let priorities = words(reader, "priorities", Priority::ALL, Priority::as_str);
    let classes = words(reader, "classes", AlarmClass::ALL, AlarmClass::as_str);
    let mut places = BTreeSet::new();
    for (text, spot) in reader.texts("places") {
        if around.places.has(&text) {
            places.extend(PlaceId::new(&text));
        } else {
            let (message, advice) = around.places.absent(&text);
            reader.problems().at(&spot, message, advice);
        }
    }
    let advice = (
        "写两个时刻，如 \"22:00-06:30\"；后一个可以在第二天",
        "write two times of day, such as \"22:00-06:30\"; the second may be on the next day",
    );
    let hours = reader.parsed_opt("hours", advice, day_hours);
    let remind = reader.integer_opt("remind_secs", SHORTEST_REMIND_SECS..=LONGEST_SECS);
    let over = reader.flag_opt("over").unwrap_or(false);
    let steps = steps(reader, around, used);
    let remind = remind.and_then(|secs| u64::try_from(secs).ok()).map(Duration::from_secs);
    let scope = Scope { priorities, classes, places, hours };
    Some(Policy { id: id?.to_string(), scope, steps: steps?, remind, over })
}

/// The advice to write no more than so many.
fn at_most(most: usize) -> (String, String) {
    (format!("最多写 {most} 个"), format!("write at most {most}"))
}

/// A list of known words.
fn words<T: Copy + Ord>(
    reader: &Reader<'_>,
    key: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    for (text, spot) in reader.texts(key) {
        if let Some(value) = all.iter().copied().find(|value| name(*value) == text) {
            found.insert(value);
        } else {
            let known: Vec<&str> = all.iter().map(|value| name(*value)).collect();
            let message = (format!("'{key}' 里不能有 \"{text}\""), format!("'{key}' cannot hold \"{text}\""));
            reader.problems().at(&spot, message, one_of(&text, &known));
        }
    }
    found
}

/// Reads `"22:00-06:30"`.
fn day_hours(text: &str) -> Result<DayHours, (&'static str, &'static str)> {
    let wrong = ("不是一段时间", "is not a span of hours");
    let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong);
    let (from, until) = text.split_once('-').ok_or(wrong)?;
    let (from, until) = (time(from)?, time(until)?);
    if from == until {
        Err(("开始和结束相同", "ends as it begins"))
    } else {
        Ok(DayHours { from, until })
    }
}

fn steps(reader: &Reader<'_>, around: &Around<'_>, used: &mut BTreeSet<String>) -> Option<Vec<Step>> {
    let tables = reader.tables("step");
    if tables.is_empty() {
        let message =
            ("这条升级规则没有级别：谁也不会被通知", "this ladder has no step: nobody would be told");
        let advice = (
            "加上 `[[ladder.step]]`，下面写 `channels = [\"…\"]`",
            "add `[[ladder.step]]` and below it `channels = [\"…\"]`",
        );
        reader.problems().at(&reader.here(), message, advice);
        return None;
    }
    if tables.len() > MOST.1 {
        let count = tables.len();
        let message = (format!("这条升级规则有 {count} 级"), format!("this ladder has {count} steps"));
        reader.problem("step", message, at_most(MOST.1));
    }
    let before = reader.problems().len();
    let mut steps: Vec<Step> = Vec::new();
    for (turn, table) in tables.into_iter().enumerate() {
        let after =
            table.integer_opt("after_secs", 0..=LONGEST_SECS).and_then(|secs| u64::try_from(secs).ok());
        let last = steps.last().map(|step| step.after.as_secs());
        match (after, last) {
            (Some(1..), None) if turn == 0 => table.problem(
                "after_secs",
                ("第一级是马上通知的", "the first step is told at once"),
                (
                    "删去这里的 `after_secs`；后面的级别才写",
                    "remove `after_secs` here; further steps have it",
                ),
            ),
            (None, _) if turn > 0 && !table.has("after_secs") => {
                let advice = (
                    "加上 `after_secs = …`：报警后多少秒",
                    "add `after_secs = …`: how long after the alarm, in seconds",
                );
                table.problems().at(&table.here(), ("缺少 'after_secs'", "'after_secs' is missing"), advice);
            }
            (Some(after), Some(last)) if after <= last => table.problem(
                "after_secs",
                (
                    format!("这一级在报警后 {after} 秒，前一级却在 {last} 秒"),
                    format!("this step comes {after} s after the alarm, but the one before it {last} s"),
                ),
                (
                    format!("写得比 {last} 大，或按先后排好各级"),
                    format!("write more than {last}, or put the steps in their order"),
                ),
            ),
            _ => {}
        }
        let groups = groups(&table, around, used);
        if turn == 0
            && !groups.is_empty()
            && groups.iter().flatten().all(|id| around.is_for_drills(id.as_str()))
        {
            table.problem(
                "channels",
                (
                    "这些渠道只用于演练：真的报警谁也不会被通知",
                    "these channels are for drills alone: nobody would be told of an alarm",
                ),
                (
                    "加一个没有 `drill = true` 的渠道；演练渠道不必写在这里",
                    "add a channel without `drill = true`; channels for drills need not be named",
                ),
            );
        }
        finish(table, None);
        steps.push(Step { after: Duration::from_secs(after.unwrap_or(0)), groups });
    }
    (reader.problems().len() == before).then_some(steps)
}

/// `channels`: each entry a channel, or a list of channels of which the first that works is enough.
fn groups(reader: &Reader<'_>, around: &Around<'_>, used: &mut BTreeSet<String>) -> Vec<Vec<ChannelId>> {
    let before = reader.problems().len();
    let written = reader.text_groups("channels");
    if written.is_empty() && reader.problems().len() == before {
        reader.problems().at(
            &reader.spot("channels"),
            ("这一级没有渠道：谁也不会被通知", "this step has no channel: nobody would be told"),
            (
                "写 `channels = [\"…\"]`，里面是渠道的编号",
                "write `channels = [\"…\"]` with the ids of channels",
            ),
        );
    }
    let mut seen: BTreeMap<String, Spot> = BTreeMap::new();
    let mut groups = Vec::new();
    for group in written {
        let mut channels = Vec::new();
        for (text, spot) in group {
            if !around.channel_names.has(&text) {
                let (message, advice) = around.channel_names.absent(&text);
                reader.problems().at(&spot, message, advice);
            } else if let Some(first) = seen.get(&text) {
                let message = (
                    format!("渠道 '{text}' 在这一级里有两次；第一次在 {}", at(first)),
                    format!("the channel '{text}' is in this step twice; first at {}", at(first)),
                );
                reader.problems().at(&spot, message, ("删去其中一个", "remove one of them"));
            } else {
                used.insert(text.clone());
                channels.extend(ChannelId::new(&text));
                seen.insert(text, spot);
            }
        }
        if !channels.is_empty() {
            groups.push(channels);
        }
    }
    groups
}

#[cfg(test)]
mod tests;
