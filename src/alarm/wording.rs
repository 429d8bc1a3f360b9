//! What a message says: one alarm in full, or many counted by priority with the first of them named.

use super::flood::{Counts, Load, Waiting, rank};
use super::plan::Plan;
use crate::model::{Alarm, Message, Occasion, Priority, Text, Wall, drill};

/// Calls for support and critical alarms that a digest names of each, and others.
const NAMED: (usize, usize) = (10, 5);

/// The words of what is to be told now.
pub(super) fn message(load: &Load, plan: &Plan, at: Wall) -> Message {
    match load.told.as_slice() {
        [one] if load.uncounted == Counts::default() => single(load.number, one, plan, at),
        many => digest(load, many, plan, at),
    }
}

fn single(number: u64, one: &Waiting, plan: &Plan, at: Wall) -> Message {
    let Waiting { alarm, occasion } = one;
    let since = alarm.raised_at.in_zone(&plan.zone);
    let mut lines = vec![Text::new(format!("发生时间：{since}"), format!("since {since}"))];
    match occasion {
        Occasion::Reminder | Occasion::Escalated => {
            lines.push(Text::new("至今无人确认", "nobody has taken it yet"));
        }
        // Who it was is not told: messages leave the school.
        Occasion::Support => lines.push(Text::new(
            "值班人员已核实，需要支援，请立即前往",
            "the guard has seen that it is real and needs help: go there now",
        )),
        _ => {}
    }
    lines.push(Text::new(format!("报警编号：{}", alarm.id), format!("alarm {}", alarm.id)));
    Message {
        number,
        occasion: *occasion,
        priority: if one.is_call() { Priority::Critical } else { alarm.priority },
        class: Some(alarm.class),
        drill: alarm.marks.drill,
        title: title(alarm),
        place: path(alarm, plan),
        lines,
        at,
        alarms: vec![alarm.id],
    }
}

fn digest(load: &Load, many: &[Waiting], plan: &Plan, at: Wall) -> Message {
    let (over, open): (Vec<&Waiting>, Vec<&Waiting>) =
        many.iter().partition(|w| w.occasion == Occasion::Over);
    let (calls, open): (Vec<&Waiting>, Vec<&Waiting>) = open.into_iter().partition(|w| w.is_call());
    let mut counts = load.uncounted;
    for waiting in &open {
        if let Some(n) = counts.get_mut(rank(waiting.alarm.priority)) {
            *n = n.saturating_add(1);
        }
    }
    let mut lines = Vec::new();
    let named = |waiting: &&Waiting, lines: &mut Vec<Text>| {
        let Alarm { priority, id, .. } = &*waiting.alarm;
        let what = title(&waiting.alarm);
        let name = if waiting.is_call() { Text::new("请求支援", "help needed") } else { priority.name() };
        let place = path(&waiting.alarm, plan).unwrap_or_else(|| Text::same("-"));
        lines.push(Text::new(
            format!("[{}] {} {}（{id}）", name.zh, place.zh, what.zh),
            format!("[{}] {}: {} ({id})", name.en, place.en, what.en),
        ));
    };
    calls.iter().take(NAMED.0).for_each(|waiting| named(waiting, &mut lines));
    let critical = |waiting: &&&Waiting| waiting.alarm.priority == Priority::Critical;
    open.iter().filter(critical).take(NAMED.0).for_each(|waiting| named(waiting, &mut lines));
    open.iter()
        .filter(|waiting| !critical(waiting))
        .take(NAMED.1)
        .for_each(|waiting| named(waiting, &mut lines));
    let all = counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let listed = lines.len().saturating_sub(calls.len().min(NAMED.0));
    let more = all.saturating_sub(u64::try_from(listed).unwrap_or(u64::MAX));
    if more > 0 {
        lines.push(Text::new(
            format!("另有 {more} 条，请在值班页面查看"),
            format!("and {more} more: see the page"),
        ));
    }
    if !over.is_empty() {
        let ended = over.len();
        lines.push(Text::new(
            format!("另有 {ended} 条已结束"),
            format!("{ended} that were told before are over"),
        ));
    }
    let first = many.first().map(|waiting| &waiting.alarm);
    let same = |equal: &dyn Fn(&Alarm, &Alarm) -> bool| {
        load.uncounted == Counts::default()
            && many.windows(2).all(|pair| matches!(pair, [a, b] if equal(&a.alarm, &b.alarm)))
    };
    let class = first.filter(|_| same(&|a, b| a.class == b.class)).map(|alarm| alarm.class);
    let place = first.filter(|_| same(&|a, b| a.place == b.place)).and_then(|alarm| path(alarm, plan));
    let by_count = Priority::ALL.iter().copied().find(|p| counts.get(rank(*p)).is_some_and(|n| *n > 0));
    let by_call = calls.first().map(|_| Priority::Critical);
    Message {
        number: load.number,
        occasion: if calls.is_empty() { Occasion::Digest } else { Occasion::Support },
        priority: by_call.or(by_count).or(first.map(|alarm| alarm.priority)).unwrap_or(Priority::Low),
        class,
        drill: first.is_some_and(|alarm| alarm.marks.drill),
        title: counted(calls.len(), all, &counts),
        place,
        lines,
        at,
        alarms: many.iter().map(|waiting| waiting.alarm.id).collect(),
    }
}

/// What happened; a message is marked as a drill as a whole.
fn title(alarm: &Alarm) -> Text {
    if alarm.marks.drill { drill::unmarked(&alarm.what) } else { alarm.what.clone() }
}

fn counted(calls: usize, all: u64, counts: &Counts) -> Text {
    if calls > 0 {
        let Text { zh, en } = Text::new(format!("{calls} 处请求支援"), format!("help needed at {calls}"));
        return match all {
            0 => Text::new(zh, en),
            _ => {
                let rest = counted(0, all, counts);
                Text::new(format!("{zh}，{}", rest.zh), format!("{en}, {}", rest.en))
            }
        };
    }
    let there = Priority::ALL.iter().zip(counts).filter(|(_, n)| **n > 0);
    let (zh, en): (Vec<String>, Vec<String>) = there
        .map(|(priority, n)| (format!("{} {n}", priority.name().zh), format!("{n} {}", priority.name().en)))
        .unzip();
    if all == 0 {
        return Text::new("报警已结束", "alarms are over");
    }
    Text::new(
        format!("{all} 条报警未确认：{}", zh.join("，")),
        format!("{all} alarms not taken: {}", en.join(", ")),
    )
}

fn path(alarm: &Alarm, plan: &Plan) -> Option<Text> {
    let place = alarm.place.as_ref()?;
    Some(plan.places.get(place).map_or_else(|| Text::same(place.as_str()), |place| place.path.clone()))
}
