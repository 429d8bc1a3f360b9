//! `budget`: what is consumed in a day, month, term or school year against what is allowed.

use super::hours::{self, RECHECK};
use super::periods::{self, DAY, Day, Days, LEAST_COMPARED, Metered, Stretch};
use super::subject::{self, Header, Subject};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::calendar::Cycle;
use crate::document::Reader;
use crate::model::{
    AlarmClass, AlarmKey, DeviceId, Mono, Now, Observation, Place, PointId, Priority, RollUp, RuleId, Text,
    Unit, Wall,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A projection is made when so much of the time is over.
const LEAST_ELAPSED: f64 = 0.1;
/// Stretches of a meter that a late value can still change, at most.
const RECENT: usize = 16;
const MOST_SHARES: usize = 8;
const MOST_HEADS: f64 = 1e6;

pub(super) const KIND: RuleKind = RuleKind {
    name: "budget",
    doc: "What is consumed in a day, a month, a term or a school year (from September on) reaches a share of its \
          budget, or is going to exceed it: by the line through what was used so far, or by the mean of teaching days \
          and of other days so far. One budget for each device, or one for all together, where a meter within another \
          one of them is not added again; for a head or a square metre \
          if their number is written. Shares below 100 % and projections are alarms of low priority. All of them end \
          when the next day (month …) begins. Growth after a silence is spread over the silence; what a gauge did not \
          measure counts as nothing.",
    example: r#"devices = ["e1", "e2"]
point = "energy_total"         # energy, active power, volume or flow
budget = 0.4
unit = "kWh"                   # of energy or volume
per = "day"                    # day, month, term or school_year
heads = 1200                   # or area_m2 = 5400: the budget is for each; without, it is for all
sum = true                     # all devices together; each by itself unless told otherwise
warn_percent = [80, 100]       # [80, 100] unless told otherwise
projection = "linear"          # none, linear or school_days; none unless told otherwise
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # energy unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Projection {
    None,
    Linear,
    SchoolDays,
}

/// What is reported by itself: a share in percent, or the projection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mark {
    Percent(f64),
    Projected,
}

/// Whose budget it is.
#[derive(Debug)]
enum Whose {
    Device(Subject),
    All(Option<Place>),
}

#[derive(Debug)]
struct Meter {
    metered: Metered,
    account: usize,
    /// The last stretches, as they were counted.
    recent: BTreeMap<Wall, Stretch>,
}

#[derive(Debug)]
struct Account {
    whose: Whose,
    /// What was consumed on each day, by its midnight.
    days: BTreeMap<Wall, f64>,
    /// From and up to when something is known.
    known: Option<(Wall, Wall)>,
    /// What was last said of each mark; nothing since the start.
    said: Vec<Option<bool>>,
}

/// What is allowed, and how it is shown.
#[derive(Debug)]
struct Allowed {
    /// In kilowatt-hours or cubic metres, of all heads or square metres.
    amount: f64,
    /// One kilowatt-hour or cubic metre in `unit`.
    factor: f64,
    unit: Unit,
    /// Heads or square metres, and what one is called.
    each: Option<(f64, Text)>,
}

#[derive(Debug)]
struct Budget {
    header: Header,
    allowed: Allowed,
    per: Cycle,
    projection: Projection,
    marks: Vec<Mark>,
    days: Days,
    meters: BTreeMap<DeviceId, Meter>,
    accounts: Vec<Account>,
    /// The cycle that is running, and its days.
    cycle: Option<(Wall, Wall)>,
    plan: Vec<Day>,
    look: Option<Mono>,
}

impl Rule for Budget {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.meters.keys().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        let marks =
            |account: &Account| self.marks.iter().any(|mark| self.subject(&account.whose, *mark) == subject);
        self.accounts.iter().any(marks)
    }

    fn start(&mut self, now: Now) {
        for meter in self.meters.values_mut() {
            meter.metered.start();
            meter.recent.clear();
        }
        for account in &mut self.accounts {
            account.days.clear();
            account.known = None;
            account.said.fill(None);
        }
        self.cycle = None;
        self.plan.clear();
        self.look = Some(now.mono);
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.meters.values().map(|meter| &meter.metered))
    }

    fn looks_back(&self) -> Duration {
        match self.per {
            Cycle::Day => 2 * DAY,
            Cycle::Month => 33 * DAY,
            Cycle::Term => 250 * DAY,
            Cycle::SchoolYear => 367 * DAY,
        }
    }

    fn recall(&mut self, now: Now, period: &RollUp) {
        self.take(now, period);
    }

    fn close(&mut self, now: Now, period: &RollUp, out: &mut Vec<Finding>) {
        self.turn(now, out);
        if let Some(account) = self.take(now, period) {
            self.judge(account, out);
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.look
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.look.is_some_and(|at| at <= now.mono) {
            self.turn(now, out);
            let begins = self.cycle.and_then(|(_, end)| u64::try_from(end.since(now.wall)).ok());
            let pause = begins.map_or(RECHECK, |ms| Duration::from_millis(ms.max(1)).min(RECHECK));
            self.look = Some(now.mono.plus(pause));
        }
    }
}

impl Budget {
    /// Begins anew when the next day, month or year has begun. While our clock is not set, nothing begins or ends.
    fn turn(&mut self, now: Now, out: &mut Vec<Finding>) {
        let cycle = self.days.calendar.cycle(self.per, now.wall);
        if !now.wall.plausible() || (cycle == self.cycle && cycle.is_some()) {
            return;
        }
        let first = self.cycle.is_none();
        self.cycle = cycle;
        self.plan.clear();
        if let Some((start, end)) = cycle {
            let mut at = start;
            while let Some(day) = self.days.at(at).filter(|day| at < end && day.end > at) {
                self.plan.push(day);
                at = day.end;
            }
        }
        // What is older counts no more; what is later was of a clock that was ahead.
        let (from, to) = cycle.unwrap_or((now.wall, now.wall));
        for account in &mut self.accounts {
            account.days.retain(|day, _| from <= *day && *day < to);
        }
        if !first {
            (0..self.accounts.len()).for_each(|account| self.judge(account, out));
        }
    }

    /// Counts a period; the account it belongs to.
    fn take(&mut self, now: Now, period: &RollUp) -> Option<usize> {
        let meter = self.meters.get_mut(&period.device)?;
        let stretch = meter.metered.take(now, period)?;
        let account = self.accounts.get_mut(meter.account)?;
        if let Some(before) = meter.recent.insert(stretch.start, stretch) {
            spread(&mut self.days, &mut account.days, &before, -1.0);
        }
        spread(&mut self.days, &mut account.days, &stretch, 1.0);
        // What is later than now is of a clock that was ahead.
        let past = |at: Wall| at <= now.wall || !now.wall.plausible();
        meter.recent.retain(|start, _| past(*start));
        while meter.recent.len() > RECENT {
            meter.recent.pop_first();
        }
        let (from, to) = account.known.filter(|(_, to)| past(*to)).unwrap_or((stretch.start, stretch.end));
        account.known = Some((from.min(stretch.start), to.max(stretch.end)));
        let kept = now.wall.plus_ms(periods::ms(DAY).saturating_mul(-400));
        while account.days.first_key_value().is_some_and(|(day, _)| *day < kept && now.wall.plausible()) {
            account.days.pop_first();
        }
        Some(meter.account)
    }

    fn judge(&mut self, account: usize, out: &mut Vec<Finding>) {
        let Some(of) = self.accounts.get(account) else { return };
        let used = self.used(of);
        let projected = self.projected(of, used);
        let mut findings = Vec::new();
        for (turn, mark) in self.marks.iter().enumerate() {
            let holds = match (mark, self.cycle) {
                (_, None) => Some(false),
                (Mark::Percent(percent), _) => Some(used >= percent / 100.0 * self.allowed.amount),
                (Mark::Projected, _) => projected.map(|projected| projected > self.allowed.amount),
            };
            let holds = holds.filter(|holds| of.said.get(turn) != Some(&Some(*holds)));
            if let Some(holds) = holds {
                findings.push((turn, holds, self.finding(of, *mark, holds, (used, projected))));
            }
        }
        if let Some(of) = self.accounts.get_mut(account) {
            for (turn, holds, finding) in findings {
                if let Some(said) = of.said.get_mut(turn) {
                    *said = Some(holds);
                }
                out.push(finding);
            }
        }
    }

    fn used(&self, account: &Account) -> f64 {
        let Some((start, end)) = self.cycle else { return 0.0 };
        account.days.range(start..end).map(|(_, amount)| amount).sum()
    }

    /// What will have been used when the cycle ends; `None` as long as too little is known.
    fn projected(&self, account: &Account, used: f64) -> Option<f64> {
        let ((start, end), (from, to)) = (self.cycle?, account.known?);
        let (from, to) = (from.max(start), to.min(end));
        let known = periods::hours(to.since(from));
        if known < LEAST_ELAPSED * periods::hours(end.since(start)) {
            return None;
        }
        match self.projection {
            Projection::None => None,
            Projection::Linear => Some(used + used / known * periods::hours(end.since(to))),
            Projection::SchoolDays => Some(used + self.rest(account, from, to)?),
        }
    }

    /// What the rest of the cycle will take, if each of its days takes what such days took so far.
    fn rest(&self, account: &Account, from: Wall, to: Wall) -> Option<f64> {
        let taken = |teaching: Option<bool>| -> Vec<f64> {
            let whole = self.plan.iter().filter(|day| from <= day.start && day.end <= to);
            let alike = whole.filter(|day| teaching.is_none_or(|teaching| day.teaching == teaching));
            alike.map(|day| account.days.get(&day.start).copied().unwrap_or(0.0)).collect()
        };
        let all = taken(None);
        let usual = periods::mean(&all).filter(|_| all.len() >= LEAST_COMPARED)?;
        let [other, teaching] =
            [false, true].map(|teaching| periods::mean(&taken(Some(teaching))).unwrap_or(usual));
        let rest = self.plan.iter().filter(|day| day.end > to).map(|day| {
            let left =
                periods::hours(day.end.since(day.start.max(to))) / periods::hours(day.end.since(day.start));
            left * if day.teaching { teaching } else { other }
        });
        Some(rest.sum())
    }

    fn subject(&self, whose: &Whose, mark: Mark) -> String {
        let of = match whose {
            Whose::Device(subject) => subject.device.as_str(),
            Whose::All(_) => self.header.rule.as_str(),
        };
        match mark {
            Mark::Percent(percent) => format!("{of}:{percent}"),
            Mark::Projected => format!("{of}:projected"),
        }
    }

    fn finding(
        &self,
        account: &Account,
        mark: Mark,
        holds: bool,
        (used, projected): (f64, Option<f64>),
    ) -> Finding {
        let priority = match mark {
            Mark::Percent(percent) if percent >= 100.0 => self.header.priority,
            Mark::Percent(_) | Mark::Projected => Priority::Low,
        };
        let (device, place) = match &account.whose {
            Whose::Device(subject) => (Some(subject.device.clone()), subject.place().cloned()),
            Whose::All(place) => (None, place.as_ref().map(|place| place.id.clone())),
        };
        let what = self.words(mark, holds, (used, projected));
        let what = match &account.whose {
            Whose::Device(subject) => subject.says(what.zh, what.en),
            Whose::All(Some(place)) => Text::new(
                format!("{}: {}", place.path.zh, what.zh),
                format!("{}: {}", place.path.en, what.en),
            ),
            Whose::All(None) => what,
        };
        Finding {
            key: AlarmKey { rule: self.header.rule.clone(), subject: self.subject(&account.whose, mark) },
            level: if holds { Level::Holds } else { Level::Ended },
            class: self.header.class,
            priority,
            device,
            place,
            what,
        }
    }

    fn words(&self, mark: Mark, holds: bool, (used, projected): (f64, Option<f64>)) -> Text {
        let (zh, en) = match self.per {
            Cycle::Day => ("当日", "today"),
            Cycle::Month => ("本月", "this month"),
            Cycle::Term => ("本学期", "this term"),
            Cycle::SchoolYear => ("本学年", "this school year"),
        };
        let since = self.cycle.map(|(start, _)| self.days.calendar.day_name(start)).unwrap_or_default();
        let (used, budget) = (self.allowed.shown(used), self.allowed.shown(self.allowed.amount));
        let said = |zh_what: String, en_what: String| {
            Text::new(format!("{zh}（{since} 起）{zh_what}"), format!("{en} (since {since}): {en_what}"))
        };
        let projected = projected.map(|projected| self.allowed.shown(projected));
        match (mark, holds) {
            (Mark::Percent(percent), true) => said(
                format!("用量 {}，达到预算 {} 的 {percent}%", used.zh, budget.zh),
                format!("{} used, {percent}% of the budget of {} reached", used.en, budget.en),
            ),
            (Mark::Percent(percent), false) => said(
                format!("用量 {}，未达到预算 {} 的 {percent}%", used.zh, budget.zh),
                format!("{} used, less than {percent}% of the budget of {}", used.en, budget.en),
            ),
            (Mark::Projected, true) => {
                let projected = projected.unwrap_or_else(|| Text::same(""));
                said(
                    format!("用量 {}，预计将达 {}，超出预算 {}", used.zh, projected.zh, budget.zh),
                    format!("{} used, going to be {}, budget {}", used.en, projected.en, budget.en),
                )
            }
            (Mark::Projected, false) => said(
                format!("用量 {}，预计不超出预算 {}", used.zh, budget.zh),
                format!("{} used, not going to exceed the budget of {}", used.en, budget.en),
            ),
        }
    }
}

impl Allowed {
    fn shown(&self, amount: f64) -> Text {
        let all = periods::shown(amount * self.factor, self.unit);
        match &self.each {
            None => Text::same(&all),
            Some((many, each)) => {
                let one = periods::shown(amount * self.factor / many, self.unit);
                Text::new(format!("{all}（{} {one}）", each.zh), format!("{all} ({one} {})", each.en))
            }
        }
    }
}

/// Adds (or takes away) a stretch, to each day by its share of the time.
fn spread(calendar: &mut Days, days: &mut BTreeMap<Wall, f64>, stretch: &Stretch, sign: f64) {
    let mut at = stretch.start;
    while at < stretch.end
        && let Some(day) = calendar.at(at).filter(|day| day.end > at)
    {
        let end = day.end.min(stretch.end);
        let amount = stretch.amount * periods::hours(end.since(at)) / stretch.hours();
        *days.entry(day.start).or_insert(0.0) += sign * amount;
        at = end;
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let mut meters = periods::metered(reader, world);
    let allowed = allowed(reader, &meters);
    let cycles = [
        ("day", Cycle::Day),
        ("month", Cycle::Month),
        ("term", Cycle::Term),
        ("school_year", Cycle::SchoolYear),
    ];
    let per = reader.word("per", &cycles);
    let calendar = hours::calendar(reader, world);
    if per == Some(Cycle::Term) && !calendar.has_terms() {
        reader.problem(
            "per",
            ("校历里没有学期", "the calendar has no terms"),
            (
                "加上 [[calendar.term]]，或写 per = \"month\"",
                "add [[calendar.term]], or write per = \"month\"",
            ),
        );
    }
    let together = reader.flag_opt("sum").unwrap_or(false);
    if together {
        meters = periods::counted_once(meters, world);
    }
    let projections =
        [("none", Projection::None), ("linear", Projection::Linear), ("school_days", Projection::SchoolDays)];
    let projection = reader.word_opt("projection", &projections).unwrap_or(Projection::None);
    if projection == Projection::SchoolDays && per == Some(Cycle::Day) {
        reader.problem(
            "projection",
            ("一天不由教学日组成", "a day is not made of school days"),
            ("写 projection = \"linear\"", "write projection = \"linear\""),
        );
    }
    let mut marks = shares(reader);
    if projection != Projection::None {
        marks.push(Mark::Projected);
    }
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Medium);
    let (allowed, per) = (allowed?, per?);
    let said = vec![None; marks.len()];
    let account = |whose| Account { whose, days: BTreeMap::new(), known: None, said: said.clone() };
    let mut accounts = Vec::new();
    if together {
        let place = reader.text_opt("place").and_then(|place| world.places.get(place.as_str()).cloned());
        accounts.push(account(Whose::All(place)));
    }
    let mut by_device = BTreeMap::new();
    for metered in meters {
        if !together {
            accounts.push(account(Whose::Device(metered.subject.clone())));
        }
        let meter = Meter { account: accounts.len() - 1, recent: BTreeMap::new(), metered };
        by_device.insert(meter.metered.subject.device.clone(), meter);
    }
    let rule = Budget {
        header,
        allowed,
        per,
        projection,
        marks,
        days: Days::new(calendar),
        meters: by_device,
        accounts,
        cycle: None,
        plan: Vec::new(),
        look: None,
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// Reads `budget`, `unit`, `heads` and `area_m2`.
fn allowed(reader: &Reader<'_>, meters: &[Metered]) -> Option<Allowed> {
    let budget = reader.number("budget", 1e-6..=1e12);
    let unit = subject::unit(reader);
    let heads = reader.number_opt("heads", 1.0..=MOST_HEADS);
    let area = reader.number_opt("area_m2", 1.0..=1e9);
    if reader.has("heads") && reader.has("area_m2") {
        reader.problem(
            "area_m2",
            ("预算既按人均又按每平方米", "the budget is both for a head and for a square metre"),
            ("只留一个", "keep one of the two"),
        );
    }
    let each = heads
        .map(|heads| (heads, Text::new("人均", "a head")))
        .or(area.map(|area| (area, Text::new("每平方米", "a square metre"))));
    let unit = unit?;
    let mut factor = None;
    for meter in meters {
        let fits = meter.medium.amount_unit().convert(1.0, unit);
        if fits.is_none() {
            reader.problem(
                "unit",
                (
                    format!("以 {unit} 为单位的预算与所测的量不符"),
                    format!("a budget in {unit} does not fit what is measured"),
                ),
                (
                    format!("写与 {} 同类的单位", meter.medium.amount_unit()),
                    format!("write a unit of the quantity of {}", meter.medium.amount_unit()),
                ),
            );
        }
        factor = factor.or(fits);
    }
    let many = each.as_ref().map_or(1.0, |(many, _)| *many);
    let factor = factor?;
    Some(Allowed { amount: budget? * many / factor, factor, unit, each })
}

/// Reads `warn_percent`.
fn shares(reader: &Reader<'_>) -> Vec<Mark> {
    if !reader.has("warn_percent") {
        return vec![Mark::Percent(80.0), Mark::Percent(100.0)];
    }
    let written = reader.numbers("warn_percent");
    let mut marks: Vec<Mark> = Vec::new();
    for (percent, spot) in &written {
        if !(1.0..=1000.0).contains(percent) || marks.contains(&Mark::Percent(*percent)) {
            reader.problems().at(
                spot,
                (format!("{percent} 不是合适的比例"), format!("{percent} is no share")),
                ("每个只写一次，1 到 1000（%）", "write each once, from 1 to 1000 percent"),
            );
        }
        marks.push(Mark::Percent(*percent));
    }
    if marks.is_empty() || marks.len() > MOST_SHARES {
        reader.problem(
            "warn_percent",
            (format!("写了 {} 个比例", marks.len()), format!("there are {} shares", marks.len())),
            (
                format!("写 1 到 {MOST_SHARES} 个：[80, 100]"),
                format!("write 1 to {MOST_SHARES} of them: [80, 100]"),
            ),
        );
    }
    marks
}

#[cfg(test)]
mod tests;
