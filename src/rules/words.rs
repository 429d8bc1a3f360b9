//! What a rule says, in words: every key that a kind of rule reads, with its name and its unit.

use super::pattern::Pattern;
use super::subject::{self, shown};
use super::{RuleKind, World};
use crate::calendar::MAIN;
use crate::document::Reader;
use crate::model::{Role, Text, Unit};

/// How a value is written, and what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Told elsewhere, or with another key.
    Apart,
    /// A number in the rule's unit.
    Amount,
    /// A number that has no unit, or one that is in the phrase.
    Number,
    Numbers,
    /// Whole seconds.
    Secs,
    /// As it is written.
    Plain,
    Plains,
    /// What an alarm says: `text` and `text_en`.
    Said,
    /// One of a few words, each with what it says.
    Word(&'static [(&'static str, &'static str, &'static str)]),
    /// Said if it is true.
    Flag,
    Point,
    Points,
    /// A kind of event, with `result` if that is there.
    Event,
    /// Ids of devices or places.
    Named,
    Roles,
    /// The name of a calendar, unless it is the main one.
    Calendar,
    Steps,
}

/// Where a phrase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// What is watched.
    Subject,
    /// What it must not be: behind the subject without a comma, if it is the first.
    Limit,
    /// Behind a comma.
    Rest,
}

/// A key, and how people are told what stands behind it.
#[derive(Debug)]
struct Key {
    name: &'static str,
    /// Of these kinds alone; an entry without any is of all others.
    kinds: &'static [&'static str],
    form: Form,
    zh: &'static str,
    en: &'static str,
    stand: Stand,
}

impl Key {
    const fn of(mut self, kinds: &'static [&'static str]) -> Self {
        self.kinds = kinds;
        self
    }
}

const fn apart(name: &'static str) -> Key {
    Key { name, kinds: &[], form: Form::Apart, zh: "", en: "", stand: Stand::Rest }
}

/// In `zh` and `en`, `{}` stands for the value.
const fn subject(name: &'static str, form: Form, zh: &'static str, en: &'static str) -> Key {
    Key { name, kinds: &[], form, zh, en, stand: Stand::Subject }
}

const fn limit(name: &'static str, form: Form, zh: &'static str, en: &'static str) -> Key {
    Key { name, kinds: &[], form, zh, en, stand: Stand::Limit }
}

const fn rest(name: &'static str, form: Form, zh: &'static str, en: &'static str) -> Key {
    Key { name, kinds: &[], form, zh, en, stand: Stand::Rest }
}

/// The steps of a sequence are read as if they were a kind.
const STEP: &str = "step";

const SCOPES: Form = Form::Word(&[
    ("device", "每台设备", "each device"),
    ("place", "每个地点", "each place"),
    ("room", "每个房间", "each room"),
    ("floor", "每层", "each floor"),
    ("building", "每栋楼", "each building"),
    ("campus", "每个校区", "each campus"),
]);
const TOGETHER: Form = Form::Word(&[
    ("device", "在同一台设备", "at one device"),
    ("place", "在同一地点", "in one place"),
    ("room", "在同一房间", "in one room"),
    ("floor", "在同一层", "on one floor"),
    ("building", "在同一栋楼", "in one building"),
    ("campus", "在同一校区", "on one campus"),
]);
const CYCLES: Form = Form::Word(&[
    ("day", "每天", "per day"),
    ("month", "每月", "per month"),
    ("term", "每学期", "per term"),
    ("school_year", "每学年", "per school year"),
]);
const ORDERS: Form =
    Form::Word(&[("strict", "按顺序", "in their order"), ("free", "不限顺序", "in any order")]);
const WINDOWS: Form = Form::Word(&[("hour", "每小时", "by the hour"), ("day", "每天", "by the day")]);
const PROJECTIONS: Form = Form::Word(&[
    ("none", "不预测", "no projection"),
    ("linear", "按已用量预测", "projected by what was used"),
    ("school_days", "按教学日和其余日预测", "projected by school days and others"),
]);
const TIMES: Form = Form::Word(&[
    ("teaching", "教学时间内", "in teaching time"),
    ("outside", "非教学时间", "outside teaching time"),
]);

/// What begins the sentence about a rule of a kind, where its keys alone do not say what it is about.
const LEADS: &[(&str, &str, &str)] = &[
    ("outside_hours", "非教学时间", "outside teaching time:"),
    ("silent", "没有消息", "not heard"),
    ("coverage_lost", "全都不在线", "none of them is there"),
    ("exam_watch", "考试期间没有应答或画面", "no answer or no picture in an examination"),
    ("door_forced", "门被打开而没有人刷卡通过", "opened, and nobody was let through"),
    ("anti_passback", "连续两次进入而没有出来", "in twice and never out between"),
    ("visitor_overstay", "访客到期没有离开", "a visitor stays too long"),
    ("curfew", "夜间刷卡或过时未归", "a credential at night, or somebody not back"),
    ("patrol", "巡更漏巡", "a checkpoint was missed"),
    ("night_base", "夜间平均", "at night, the mean of"),
    ("min_flow", "夜间最小", "at night, the least of"),
    ("power_factor", "功率因数", "power factor"),
    ("dormitory_load", "疑似大功率电热器具：", "a heating appliance, it seems:"),
];

/// Every key, in the order in which they are said.
const KEYS: &[Key] = &[
    apart("alarm_class"),
    apart("class"),
    apart("devices"),
    apart("id"),
    apart("kind"),
    apart("place"),
    apart("priority"),
    apart("result"),
    apart("steps"),
    apart("text_en"),
    apart("unit"),
    subject("text", Form::Said, "{}：", "{}:"),
    limit("when", Form::Plain, "{}", "{}").of(&["expression"]),
    subject("main", Form::Named, "{}与其分表", "{} and its sub-meters").of(&["balance"]),
    subject("point", Form::Point, "{}变化", "changes of {}").of(&["count"]),
    subject("point", Form::Point, "{}", "{}"),
    subject("points", Form::Points, "{}", "{}"),
    subject("event", Form::Event, "{}", "{}"),
    rest("code", Form::Plain, "代码 {}", "code {}"),
    subject("zone", Form::Named, "（{}）", "({})"),
    subject("step", Form::Amount, "功率突增 {}", "a step of {}").of(&["dormitory_load"]),
    subject("step", Form::Steps, "{}", "{}").of(&["sequence"]),
    limit("above_percent", Form::Number, "相差超过总表的 {} %", "differ by more than {} % of the main")
        .of(&["balance"]),
    limit("above_percent", Form::Number, "不平衡超过 {} %", "more than {} % out of balance"),
    rest("above", Form::Amount, "且超过 {}", "and by more than {}").of(&["balance"]),
    limit("above", Form::Amount, "累计高于 {}", "adds up to more than {}").of(&["sum"]),
    limit("above", Form::Amount, "高于 {}", "above {}"),
    limit("below", Form::Amount, "累计低于 {}", "adds up to less than {}").of(&["sum"]),
    limit("below", Form::Number, "低于 {}", "below {}").of(&["power_factor"]),
    limit("below", Form::Amount, "低于 {}", "below {}"),
    limit("rise", Form::Amount, "升高 {}", "rises by {}"),
    limit("fall", Form::Amount, "下降 {}", "falls by {}"),
    limit("equals", Form::Number, "等于 {}", "is {}"),
    limit("unchanged", Form::Flag, "数值不变", "does not change"),
    limit("count", Form::Number, "凭证被拒绝 {} 次", "{} credentials refused").of(&["repeated_denied"]),
    limit("count", Form::Number, "达到 {} 次", "{} times"),
    limit("contract", Form::Amount, "按 15 分钟计超过 {}", "beyond {} in 15 minutes"),
    limit("budget", Form::Amount, "预算 {}", "with a budget of {}"),
    limit("percent_of_mean", Form::Number, "高于可比夜晚平均的 {} %", "above {} % of comparable nights"),
    limit(
        "times",
        Form::Number,
        "超过可比日中位数的 {} 倍",
        "more than {} times the median of comparable days",
    )
    .of(&["deviation"]),
    limit(
        "deviations",
        Form::Number,
        "高出可比日 {} 个标准差",
        "{} standard deviations above comparable days",
    ),
    limit("times", Form::Number, " {} 次", "{}×").of(&[STEP]),
    limit("absent", Form::Flag, "没有发生", "must not happen").of(&[STEP]),
    rest("per", CYCLES, "{}", "{}").of(&["budget"]),
    rest("per", SCOPES, "{}", "{}"),
    rest("same", TOGETHER, "{}", "{}"),
    rest("within_secs", Form::Secs, "之前 {}内", "within {} before").of(&["door_forced"]),
    rest("within_secs", Form::Secs, "{}内突增", "within {}").of(&["dormitory_load"]),
    rest("within_secs", Form::Secs, "{}内", "within {}"),
    rest("window_secs", Form::Secs, "{}内", "within {}"),
    rest("window", WINDOWS, "{}", "{}"),
    rest("same_person", Form::Flag, "同一个人", "of one person"),
    rest("least_difference", Form::Amount, "且至少高出 {}", "and at least {} more"),
    rest("days", Form::Number, "与 {} 个可比日相比", "compared with {} days"),
    rest("nights", Form::Number, "与 {} 个可比夜晚相比", "compared with {} nights"),
    rest("same_weekday", Form::Flag, "只比相同的星期", "the same weekday only"),
    rest("heads", Form::Number, "人均（共 {} 人）", "per head of {}"),
    rest("area_m2", Form::Number, "每平方米（共 {} m²）", "per m² of {} m²"),
    rest("sum", Form::Flag, "合计", "all together"),
    rest("warn_percent", Form::Number, "预计达到 {} % 时预警", "warns of {} %").of(&["demand"]),
    rest("warn_percent", Form::Numbers, "到 {} % 时报警", "at {} %"),
    rest("projection", PROJECTIONS, "{}", "{}"),
    rest("factor", Form::Number, "功率因数至少 {}", "power factor {} or more"),
    rest("for_secs", Form::Secs, "保持 {}", "flat for {}").of(&["dormitory_load"]),
    rest("for_secs", Form::Secs, "持续 {}", "for {}"),
    rest("on_delay_secs", Form::Secs, "持续 {}", "for {}"),
    limit("after_secs", Form::Secs, "超过 {}", "for {}"),
    rest("times", Form::Number, "达到 {} 次", "{}×").of(&["dormitory_load"]),
    rest("in_secs", Form::Secs, "{}内", "in {}"),
    rest("when", TIMES, "{}", "{}").of(&["held"]),
    rest("only_outside_hours", Form::Flag, "只在非教学时间", "outside teaching time only"),
    rest("hours", Form::Plain, "{}", "{}"),
    rest("span_secs", Form::Secs, "按 {}平均", "the mean of {}"),
    rest("contacts", Form::Named, "门磁：{}", "contacts: {}"),
    rest("open_secs", Form::Secs, "门开时允许 {}", "{} while it is open"),
    rest("no_reading_secs", Form::Secs, "或 {}没有好的读数", "or no good reading for {}"),
    rest("stuck_secs", Form::Secs, "或读数 {}不变", "or the very same value for {}"),
    rest("readers", Form::Named, "读卡器：{}", "readers: {}"),
    rest("wait_secs", Form::Secs, "之后再等 {}", "and {} after").of(&["door_forced"]),
    rest("wait_secs", Form::Secs, "没有发生的再等 {}", "waits {} for what must not happen"),
    rest("checkpoints", Form::Named, "巡更点：{}", "checkpoints: {}"),
    rest("rounds", Form::Plains, "每天 {}", "daily {}"),
    rest("order", ORDERS, "{}", "{}"),
    rest("anybody", Form::Flag, "任何凭证都算", "any credential counts"),
    rest("roles", Form::Roles, "只看{}", "{} only"),
    rest("repeat_secs", Form::Secs, "{}内重复算一次", "again within {} is the same pass"),
    rest("forget_hours", Form::Number, "{} 小时后不再算", "forgotten after {} h"),
    rest("grace_secs", Form::Secs, "宽限 {}", "with a grace of {}"),
    rest("least", Form::Amount, "三相平均低于 {} 时不判断", "not judged below a mean of {}")
        .of(&["imbalance"]),
    rest("least", Form::Amount, "有功功率低于 {} 时不判断", "not judged below {}").of(&["power_factor"]),
    rest("point", Form::Point, "按{}", "by {}").of(&["balance", "dormitory_load", "power_factor"]),
    rest("load_point", Form::Point, "负荷按{}", "load by {}"),
    rest("factor_point", Form::Point, "功率因数按{}", "factor by {}"),
    rest("current_point", Form::Point, "电流按{}", "current by {}"),
    rest("voltage_point", Form::Point, "电压按{}", "voltage by {}"),
    rest("deadband", Form::Number, "回差 {}", "deadband {}").of(&["power_factor"]),
    rest("deadband", Form::Amount, "回差 {}", "deadband {}"),
    rest("deadband_percent", Form::Number, "回差 {} %", "deadband {} %"),
    rest("off_delay_secs", Form::Secs, "恢复 {}后结束", "ends when over for {}"),
    rest("end_below", Form::Number, "少于 {} 次时结束", "ends below {} times"),
    rest("calendar", Form::Calendar, "校历 {}", "calendar {}"),
];

/// Most names in a list; of others it is said how many there are.
const NAMED: usize = 4;

/// What a rule says of when it raises an alarm: its limits, without the devices that it watches, how urgent it is and
/// what is done then. Its reader must be one of which nothing is wrong.
#[must_use]
pub fn says(reader: &Reader<'_>, kind: &RuleKind, world: &World) -> Text {
    let lead = LEADS.iter().find(|(name, ..)| *name == kind.name);
    let lead = lead.map_or_else(|| Text::same(""), |(_, zh, en)| Text::new(*zh, *en));
    sentence(reader, kind.name, lead, world)
}

fn sentence(reader: &Reader<'_>, kind: &str, lead: Text, world: &World) -> Text {
    let mut said = lead;
    // Whether what comes next stands behind what is watched without a comma.
    let mut joins = true;
    let mut limited = false;
    for key in KEYS.iter().filter(|key| is_of(key, kind) && reader.has(key.name)) {
        let Some(value) = value(reader, key, world) else { continue };
        joins &= key.stand != Stand::Rest;
        let (zh, en) = match key.stand {
            _ if said.zh.is_empty() => ("", ""),
            Stand::Subject | Stand::Limit if joins => ("", " "),
            Stand::Limit if limited => ("，或", ", or "),
            _ => ("，", ", "),
        };
        said.zh = format!("{}{zh}{}", said.zh, key.zh.replace("{}", &value.zh));
        said.en = format!("{}{en}{}", said.en, key.en.replace("{}", &value.en));
        limited |= key.stand == Stand::Limit;
        joins &= !limited;
    }
    said
}

/// Whether this entry says the key of this kind.
fn is_of(key: &Key, kind: &str) -> bool {
    let own = |key: &Key| key.kinds.contains(&kind);
    own(key) || (key.kinds.is_empty() && !KEYS.iter().any(|other| other.name == key.name && own(other)))
}

/// The value of a key in words; `None` if there is nothing to say.
fn value(reader: &Reader<'_>, key: &Key, world: &World) -> Option<Text> {
    let name = key.name;
    let number = || reader.number_opt(name, f64::MIN..=f64::MAX);
    Some(match key.form {
        Form::Apart => return None,
        Form::Amount => Text::same(shown(number()?, unit(reader))),
        Form::Number => Text::same(number()?.to_string()),
        Form::Numbers => {
            listed(reader.numbers(name).into_iter().map(|(number, _)| Text::same(number.to_string())))
        }
        Form::Secs => span(reader.integer_opt(name, 0..=i64::MAX)?),
        Form::Plain => Text::same(reader.text_opt(name)?),
        Form::Calendar => Text::same(reader.text_opt(name).filter(|name| name != MAIN)?),
        Form::Plains => listed(reader.texts(name).into_iter().map(|(text, _)| Text::same(text))),
        Form::Said => {
            let zh = reader.text_opt(name)?;
            Text::new(zh.clone(), reader.text_opt("text_en").unwrap_or(zh))
        }
        Form::Word(words) => {
            let word = reader.text_opt(name)?;
            words.iter().find(|(known, ..)| *known == word).map(|(_, zh, en)| Text::new(*zh, *en))?
        }
        Form::Flag => reader.flag_opt(name)?.then(|| Text::same(""))?,
        Form::Point => point(reader, &reader.text_opt(name)?, world),
        Form::Points => listed(reader.texts(name).iter().map(|(id, _)| point(reader, id, world))),
        Form::Event => Pattern::parse(reader)?.name(),
        Form::Named => listed(reader.peek(name).into_iter().map(|id| named(id, world))),
        Form::Roles => {
            listed(reader.texts(name).iter().filter_map(|(role, _)| Role::from_word(role)).map(role))
        }
        Form::Steps => {
            let steps = reader.tables(name);
            let steps = steps.iter().map(|step| sentence(step, STEP, Text::same(""), world));
            let steps: Vec<Text> = steps.collect();
            join(&steps, "、", "; ")
        }
    })
}

/// The unit that the rule is written in.
fn unit(reader: &Reader<'_>) -> Unit {
    reader.text_opt("unit").and_then(|unit| Unit::from_symbol(&unit)).unwrap_or(Unit::One)
}

/// The name of a point by the profile of the first of the devices that has it.
fn point(reader: &Reader<'_>, id: &str, world: &World) -> Text {
    let main = reader.peek("main").into_iter().filter_map(|id| world.devices.get(id));
    let chosen = subject::chosen(reader, world).into_iter().map(|(_, watched)| watched);
    let found = chosen.chain(main).find_map(|watched| watched.profile.point(id));
    found.map_or_else(|| Text::same(id), |point| point.name.clone())
}

/// The name of a device, or the path of a place.
fn named(id: &str, world: &World) -> Text {
    let device = world.devices.get(id).map(|watched| Text::same(watched.name.as_str()));
    let place = || world.places.get(id).map(|place| place.path.clone());
    device.or_else(place).unwrap_or_else(|| Text::same(id))
}

fn role(role: Role) -> Text {
    let (zh, en) = match role {
        Role::Student => ("学生", "students"),
        Role::Staff => ("教职工", "staff"),
        Role::Guard => ("保安", "guards"),
        Role::Contractor => ("外来施工", "contractors"),
        Role::Visitor => ("访客", "visitors"),
        Role::Other => ("其他", "others"),
    };
    Text::new(zh, en)
}

fn join(texts: &[Text], zh: &str, en: &str) -> Text {
    let one =
        |each: fn(&Text) -> &str, between: &str| texts.iter().map(each).collect::<Vec<_>>().join(between);
    Text::new(one(|text| &text.zh, zh), one(|text| &text.en, en))
}

/// The first few of a list, and how many there are.
fn listed(texts: impl Iterator<Item = Text>) -> Text {
    let all: Vec<Text> = texts.collect();
    let Text { zh, en } = join(all.get(..NAMED).unwrap_or(&all), "、", ", ");
    match all.len().saturating_sub(NAMED) {
        0 => Text { zh, en },
        more => Text::new(format!("{zh} 等 {} 个", all.len()), format!("{en} and {more} more")),
    }
}

/// A span in the largest unit of which it is a whole number; a minute is 60 seconds.
fn span(secs: i64) -> Text {
    let units = [(86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")];
    let fits = |(unit, ..): &&(i64, &str, &str)| secs > 60 && secs % unit == 0;
    let (unit, zh, en) = units.iter().find(fits).copied().unwrap_or((1, "秒", "s"));
    let many = secs / unit;
    Text::new(format!("{many} {zh}"), format!("{many} {en}"))
}

#[cfg(test)]
mod tests;
