//! The figures of a span with what is wanted of each, and whether that holds (EEMUA 191, ISA-18.2, EN 50518).

use crate::alarm::kpi::{FLOOD_BEGINS, FLOOD_ENDS, Kpi, Prompt};
use crate::model::{Priority, Text, Truth};
use serde::Serialize;

/// Announced per guard and ten minutes: acceptable.
const ACCEPTABLE: f64 = 1.0;
/// The most that can be managed.
const MANAGEABLE: f64 = 2.0;
/// Share of time in a flood that is still good.
const FLOOD_SHARE: f64 = 0.01;
/// Fewer than so many alarms may stand.
const STANDING: usize = 5;
/// Share of the ten busiest that is still good.
const TOP_SHARE: f64 = 0.05;
/// With fewer announced, ten of them are more than that whatever they are.
const TOP_FROM: u32 = 200;
/// Share of high and critical, and of critical alone, that is still good.
const URGENT_SHARES: [f64; 2] = [0.05, 0.01];
/// With fewer announced, one critical alarm is more than that.
const MIX_FROM: u32 = 100;
/// Share that is taken within the first bound, and within the second.
const PROMPT_SHARES: [f64; 2] = [0.8, 0.985];

/// One figure as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: Text,
    /// How it stands.
    pub value: Text,
    /// What is wanted; empty where nothing is.
    pub target: Text,
    /// Whether that holds; `None` where nothing is wanted or too little happened to tell.
    pub holds: Option<bool>,
}

/// Percent, to a tenth.
fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

/// A span of time in words: `3分20秒`, `3 min 20 s`.
pub(super) fn lasting(ms: i64) -> Text {
    let secs = ms.max(0) / 1000;
    let (days, hours, minutes, secs) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => Text::new(format!("{secs}秒"), format!("{secs} s")),
        (0, 0, _) => Text::new(format!("{minutes}分{secs}秒"), format!("{minutes} min {secs} s")),
        (0, ..) => Text::new(format!("{hours}小时{minutes}分"), format!("{hours} h {minutes} min")),
        _ => Text::new(format!("{days}天{hours}小时"), format!("{days} d {hours} h")),
    }
}

fn figure(name: (&str, &str), value: Text, target: (&str, &str), holds: Option<bool>) -> Figure {
    Figure { name: Text::new(name.0, name.1), value, target: Text::new(target.0, target.1), holds }
}

/// Every figure with its target.
#[must_use]
pub fn figures(kpi: &Kpi) -> Vec<Figure> {
    let mut figures = load(kpi);
    figures.extend(kpi.taken.iter().map(|(priority, taken)| {
        let (zh, en) = (priority.name().zh, priority.name().en);
        let (half, most) = (lasting(taken.p50_ms), lasting(taken.p95_ms));
        Figure {
            name: Text::new(format!("确认用时（{zh}）"), format!("time to acknowledge ({en})")),
            value: Text::new(
                format!("{}条；半数在{}内，95%在{}内", taken.count, half.zh, most.zh),
                format!("{}; half within {}, 95% within {}", taken.count, half.en, most.en),
            ),
            target: Text::same(""),
            holds: None,
        }
    }));
    figures.push(prompt(("求助、火警及时确认", "help and fire acknowledged in time"), kpi.life, [30, 60]));
    figures.push(prompt(
        ("其他紧急、高级报警及时确认", "other critical and high alarms acknowledged in time"),
        kpi.others,
        [90, 180],
    ));
    figures.extend(outcome(kpi));
    figures
}

fn load(kpi: &Kpi) -> Vec<Figure> {
    let floods = kpi.floods.len();
    let urgent = |priorities: &[Priority]| {
        let of = priorities.iter().filter_map(|priority| kpi.by_priority.get(priority)).sum();
        share(of, kpi.announced)
    };
    let (urgent, critical) = (urgent(&[Priority::Critical, Priority::High]), urgent(&[Priority::Critical]));
    let by_priority = |lang: fn(&Text) -> &str| {
        let parts = kpi.by_priority.iter().map(|(priority, n)| format!("{} {n}", lang(&priority.name())));
        parts.collect::<Vec<_>>()
    };
    let mix = urgent <= URGENT_SHARES[0] && critical <= URGENT_SHARES[1];
    vec![
        figure(("提示的报警", "alarms announced"), Text::same(kpi.announced.to_string()), ("", ""), None),
        Figure {
            name: Text::new("每人每10分钟", "per guard and 10 minutes"),
            value: Text::same(format!("{:.2}", kpi.per_guard)),
            target: Text::new(
                format!("不超过{ACCEPTABLE}（最多{MANAGEABLE}）"),
                format!("{ACCEPTABLE} at most ({MANAGEABLE} can be managed)"),
            ),
            holds: Some(kpi.per_guard <= ACCEPTABLE),
        },
        Figure {
            name: Text::new("10分钟内最多", "most within 10 minutes"),
            value: Text::same(kpi.most.to_string()),
            target: Text::new(format!("不超过{FLOOD_BEGINS}"), format!("{FLOOD_BEGINS} at most")),
            holds: Some(usize::try_from(kpi.most).unwrap_or(usize::MAX) <= FLOOD_BEGINS),
        },
        Figure {
            name: Text::new("报警泛滥", "floods"),
            value: Text::new(
                format!("{floods}次，占{}时间", percent(kpi.flood_share)),
                format!("{floods}, {} of the time", percent(kpi.flood_share)),
            ),
            target: Text::new(
                format!("少于1%（10分钟超过{FLOOD_BEGINS}条起，少于{FLOOD_ENDS}条止）"),
                format!(
                    "below 1% (from more than {FLOOD_BEGINS} in 10 minutes until fewer than {FLOOD_ENDS})"
                ),
            ),
            holds: Some(kpi.flood_share < FLOOD_SHARE),
        },
        figure(
            ("反复报警", "alarms that came and went"),
            Text::same(kpi.chattering.to_string()),
            ("0", "0"),
            Some(kpi.chattering == 0),
        ),
        Figure {
            name: Text::new("持续超过24小时", "there for more than 24 hours"),
            value: Text::same(kpi.standing.len().to_string()),
            target: Text::new(format!("少于{STANDING}"), format!("fewer than {STANDING}")),
            holds: Some(kpi.standing.len() < STANDING),
        },
        Figure {
            name: Text::new("最频繁的10项占比", "share of the 10 busiest"),
            value: Text::same(percent(kpi.top_share)),
            target: Text::new(
                format!("少于5%（{TOP_FROM}条起评）"),
                format!("below 5% (judged from {TOP_FROM} on)"),
            ),
            holds: (kpi.announced >= TOP_FROM).then_some(kpi.top_share < TOP_SHARE),
        },
        Figure {
            name: Text::new("按优先级", "by priority"),
            value: Text::new(
                by_priority(|text| &text.zh).join("，"),
                by_priority(|text| &text.en).join(", "),
            ),
            target: Text::new(
                format!("低、中、高约80/15/5，紧急少于1%（{MIX_FROM}条起评）"),
                format!("low, medium, high about 80/15/5, critical below 1% (judged from {MIX_FROM} on)"),
            ),
            holds: (kpi.announced >= MIX_FROM).then_some(mix),
        },
    ]
}

fn prompt(name: (&str, &str), prompt: Prompt, secs: [i64; 2]) -> Figure {
    let [first, second] = secs;
    let shares = [share(prompt.first, prompt.count), share(prompt.second, prompt.count)];
    let [one, two] = shares.map(percent);
    let value = match prompt.count {
        0 => Text::same(""),
        n => Text::new(
            format!("{n}条；{first}秒内{one}，{second}秒内{two}"),
            format!("{n}; {one} within {first} s, {two} within {second} s"),
        ),
    };
    Figure {
        name: Text::new(name.0, name.1),
        value,
        target: Text::new(
            format!("{first}秒内80%，{second}秒内98.5%"),
            format!("80% within {first} s, 98.5% within {second} s"),
        ),
        holds: (prompt.count > 0).then(|| shares.iter().zip(PROMPT_SHARES).all(|(is, wanted)| *is >= wanted)),
    }
}

fn outcome(kpi: &Kpi) -> Vec<Figure> {
    let known: u32 = kpi.confirmed.values().sum();
    let of = |truth| kpi.confirmed.get(&truth).copied().unwrap_or(0);
    let [real, wrong, nuisance] = [Truth::Real, Truth::False, Truth::Nuisance].map(of);
    let value = kpi.false_share.map_or(Text::same(""), |share| {
        Text::new(
            format!("{}（定性{known}条：真实{real}，误报{wrong}，无需处理{nuisance}）", percent(share)),
            format!("{} (of {known} known: {real} real, {wrong} false, {nuisance} nuisance)", percent(share)),
        )
    });
    let number = |n: usize| Text::same(n.to_string());
    vec![
        figure(("误报率", "share of false alarms"), value, ("", ""), None),
        figure(
            ("尚未确认", "announced and not taken"),
            Text::same(kpi.untaken.to_string()),
            ("0", "0"),
            Some(kpi.untaken == 0),
        ),
        figure(("搁置", "shelved"), number(kpi.shelved.len()), ("", ""), None),
        figure(("停用", "out of service"), number(kpi.out_of_service.len()), ("", ""), None),
        figure(
            ("归入另一条报警", "put down to another alarm"),
            Text::same(kpi.inhibited.to_string()),
            ("", ""),
            None,
        ),
    ]
}
