//! The step as a function: what goes in, what is committed.

use super::*;
use crate::calendar::Calendar;
use crate::document::{Document, Problems};
use crate::model::{
    Actor, AlarmClass, AlarmId, AlarmKey, AuditHead, ChangeKind, Command, Doubt, EventKind, Lane, MessageKey,
    Order, Phase, Place, PlaceId, PlaceKind, PointId, PointKind, Priority, Reading, RuleId, SubMeters, Text,
    Unit,
};
use crate::profile;
use crate::rules::{RULE_KINDS, Watched, always};
use std::collections::BTreeMap;
use std::time::Duration;

const AT: Wall = Wall(1_790_000_000_000);
const METER: &str = include_str!("../../device-profiles/energy-meter/eastron-sdm630/profile.toml");

fn now(secs: u64) -> Now {
    Now { mono: Mono(1_000 + secs * 1000), wall: AT.plus_ms(i64::try_from(secs).unwrap() * 1000) }
}

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn world() -> Arc<World> {
    let problems = Problems::new();
    let profile = Arc::new(profile::parse("meter", METER, &problems).unwrap());
    let place = Place {
        id: PlaceId::new("gate").unwrap(),
        kind: PlaceKind::Room,
        name: "校门".into(),
        parent: None,
        path: Text::same("校门"),
        counts: false,
        assembly: false,
        overnight: false,
        calendar: None,
    };
    let watched = |name: &str| Watched {
        name: name.into(),
        profile: Arc::clone(&profile),
        place: place.id.clone(),
        bus: BusId::new("mqtt").ok(),
        poll: Duration::from_secs(60),
        leads_to: None,
    };
    Arc::new(World {
        devices: BTreeMap::from([(id("m"), watched("表")), (id("b"), watched("按钮"))]),
        sub_meters: SubMeters::default(),
        places: BTreeMap::from([(place.id.clone(), place)]),
        calendar: Arc::new(Calendar::default_school(jiff::tz::TimeZone::UTC)),
        aggregate_secs: 60,
        calendars: BTreeMap::new(),
    })
}

fn pipeline(remembered: Remembered) -> Pipeline {
    let world = world();
    let destinations = ["province", "city"].map(|d| DestinationId::new(d).unwrap()).to_vec();
    let settings = Settings {
        gateway: id("gw"),
        aggregate_secs: 60,
        destinations,
        campus: campus::Settings::default(),
        alarms: alarm::Settings::default(),
        areas: Vec::new(),
    };
    let problems = Problems::new();
    let text = "devices = [\"m\"]\npoint = \"power_total\"\nabove = 5\nunit = \"kW\"";
    let document = Document::parse("narrow", text, &problems);
    let threshold = RULE_KINDS.iter().find(|kind| kind.name == "threshold").unwrap();
    let narrow = (threshold.parse)(&document.reader(&problems), &RuleId::new("narrow").unwrap(), &world);
    let engine = Engine::new(always(&world).into_iter().chain(narrow).collect());
    Pipeline::start(now(0), settings, world, engine, Remembered { next_alarm: 1, next_seq: 1, ..remembered })
}

fn delivery(key: Option<MessageKey>, inputs: Vec<Input>) -> Delivery {
    Delivery { bus: Some(BusId::new("mqtt").unwrap()), key, inputs }
}

fn seen(device: &str, body: Body, retained: bool) -> Input {
    Input::Observed(Observation { device: id(device), stamp: Stamp::new(None, AT), body, retained })
}

fn help(retained: bool) -> Input {
    seen("b", Body::Event(Event::bare(EventKind::Help, Phase::Moment)), retained)
}

fn order(order: Order) -> Delivery {
    let actor = Actor::named("guard").unwrap();
    Delivery {
        bus: None,
        key: None,
        inputs: vec![Input::Command(Command { order, actor, note: String::new() })],
    }
}

fn kinds(commit: &Commit) -> Vec<ChangeKind> {
    commit.alarm_changes.iter().map(|c| c.kind).collect()
}

#[test]
fn a_help_button_is_stored_alarms_and_is_owed_to_every_destination() {
    let commit = pipeline(Remembered::default()).step(now(1), [delivery(None, vec![help(false)])]);
    assert_eq!(commit.events.len(), 1);
    assert_eq!(kinds(&commit), [ChangeKind::Raised]);
    let owed: Vec<(&str, &str)> =
        commit.outbox.iter().map(|i| (i.destination.as_str(), i.uid.as_str())).collect();
    assert_eq!(owed, [("province", "gw:1"), ("city", "gw:2")]);
}

#[test]
fn a_retained_press_is_stored_and_alarms_nobody() {
    let commit = pipeline(Remembered::default()).step(now(1), [delivery(None, vec![help(true)])]);
    assert_eq!((commit.events.len(), commit.alarm_changes.len()), (1, 0));
}

#[test]
fn a_repeat_is_left_out_and_a_look_alike_is_not() {
    let mut p = pipeline(Remembered::default());
    let message =
        |fingerprint, redelivered| delivery(Some(MessageKey { fingerprint, redelivered }), vec![help(false)]);
    let first = p.step(now(1), [message(1, false), message(1, false), message(2, true)]);
    assert_eq!((first.events.len(), first.duplicates.len(), first.fingerprints.len()), (3, 0, 3));
    let again = p.step(now(2), [message(1, true)]);
    assert_eq!((again.events.len(), again.duplicates.len()), (0, 1));
    // The same after a restart.
    let remembered = Remembered { fingerprints: first.fingerprints, ..Remembered::default() };
    let again = pipeline(remembered).step(now(3), [message(2, true)]);
    assert_eq!((again.events.len(), again.duplicates.len()), (0, 1));
}

#[test]
fn a_press_that_looks_like_one_of_long_ago_is_no_repeat() {
    let mut p = pipeline(Remembered::default());
    let press = |redelivered| delivery(Some(MessageKey { fingerprint: 1, redelivered }), vec![help(false)]);
    assert_eq!(p.step(now(1), [press(false)]).events.len(), 1);
    assert_eq!(p.step(now(600), [press(true)]).events.len(), 0);
    assert_eq!(p.step(now(602), [press(true)]).events.len(), 1, "a duplicate is allowed, silence is not");
}

#[test]
fn an_order_is_answered_with_what_became_of_it() {
    let mut p = pipeline(Remembered::default());
    p.step(now(1), [delivery(None, vec![help(false)])]);
    let one = AlarmId(1);
    let commit = p.step(now(2), [order(Order::Reset(one)), order(Order::Acknowledge(one))]);
    assert_eq!(commit.orders.len(), 2);
    assert_eq!(commit.orders[0], Err(OrderRefused::NotAcknowledged(one)));
    assert!(commit.orders[1].as_ref().is_ok_and(|done| done.alarm().unwrap().acknowledged.is_some()));
    let commit = p.step(now(3), [order(Order::Reset(one))]);
    assert_eq!(kinds(&commit), [ChangeKind::Reset, ChangeKind::Closed]);
}

#[test]
fn a_step_of_a_ladder_is_written_down_and_goes_to_no_platform() {
    let mut p = pipeline(Remembered::default());
    assert_eq!(p.step(now(1), [delivery(None, vec![help(false)])]).outbox.len(), 2);
    let one = AlarmId(1);
    let commit = p.step(now(31), [order(Order::Escalate(one))]);
    assert_eq!(kinds(&commit), [ChangeKind::Escalated]);
    assert_eq!((commit.outbox, commit.orders.len()), (Vec::new(), 1));
    let commit = p.step(now(40), [order(Order::Acknowledge(one)), order(Order::Escalate(one))]);
    assert_eq!(kinds(&commit), [ChangeKind::Acknowledged]);
    assert!(matches!(commit.orders[1], Err(OrderRefused::AlreadyAcknowledged { .. })), "somebody was faster");
}

#[test]
fn the_head_of_the_audit_trail_is_owed_to_every_platform_and_noted() {
    let mut p = pipeline(Remembered::default());
    let head = AuditHead { at: now(1).wall, entries: 7, hash: "ab".repeat(32) };
    let commit = p.step(now(1), [delivery(None, vec![Input::AuditHead(head.clone())])]);
    let owed: Vec<_> = commit.outbox.iter().map(|item| (&item.record, item.record.lane())).collect();
    assert_eq!(owed, vec![(&Record::AuditHead(head), Lane::Alarm); 2]);
    assert!(commit.audit.iter().map(|entry| entry.action).eq([AUDIT_HEAD]));
}

#[test]
fn an_alarm_whose_rule_or_device_is_gone_does_not_stay_open_for_ever() {
    let alarm = |rule: &str, device: &str| Alarm {
        id: AlarmId(9),
        key: AlarmKey { rule: RuleId::new(rule).unwrap(), subject: device.into() },
        class: AlarmClass::Energy,
        priority: Priority::Low,
        device: Some(id(device)),
        place: None,
        what: Text::same("it"),
        raised_at: AT,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: crate::model::Marks::default(),
    };
    for (rule, device, expected) in [
        ("removed", "m", vec![ChangeKind::Cleared]),
        ("always.help", "removed", vec![ChangeKind::Cleared]),
        ("narrow", "b", vec![ChangeKind::Cleared]),
        ("narrow", "m", vec![]),
        ("always.help", "m", vec![]),
    ] {
        let remembered = Remembered { open_alarms: vec![alarm(rule, device)], ..Remembered::default() };
        assert_eq!(kinds(&pipeline(remembered).step(now(1), [])), expected, "{rule} {device}");
    }
}

#[test]
fn a_period_that_is_over_is_owed_by_a_tick_alone() {
    let mut p = pipeline(Remembered::default());
    let value = |v| {
        let point = PointId::new("power_total").unwrap();
        Body::Reading(Reading::new(point, v, Unit::Watt, PointKind::Gauge))
    };
    let doubted = match value(1e9) {
        Body::Reading(r) => Body::Reading(r.doubted(Doubt::OutOfRange)),
        other => other,
    };
    let inputs = vec![seen("m", value(1.0), false), seen("m", value(3.0), false), seen("m", doubted, false)];
    let commit = p.step(now(1), [delivery(None, inputs)]);
    assert_eq!((commit.readings.len(), commit.roll_ups.len()), (3, 0));
    let wait = p.next_deadline(now(1)).since(now(1).mono);
    assert!(wait <= Duration::from_secs(61), "{wait:?}");
    let tick = p.step(now(120), []);
    assert_eq!(tick.roll_ups.iter().map(|r| (r.count, r.sum)).collect::<Vec<_>>(), [(2, 4.0)]);
    assert_eq!(tick.outbox.len(), 2);
    assert!(p.step(now(121), []).is_empty());
}

#[test]
fn the_picture_shows_values_links_and_open_alarms() {
    let mut p = pipeline(Remembered::default());
    let fault = crate::model::Fault::Timeout;
    let inputs = vec![help(false), seen("m", Body::Link(Link::Down(fault)), false)];
    p.step(now(1), [delivery(None, inputs)]);
    let live = p.live(AT);
    assert_eq!(live.alarms.len(), 1);
    assert_eq!(live.devices[&id("m")].link.map(|(link, _)| link), Some(Link::Down(fault)));
    assert!(live.devices[&id("b")].events.contains_key(&EventKind::Help));
}

#[test]
fn m15_a_counter_that_begins_anew_is_doubted_once_and_then_told() {
    let mut p = pipeline(Remembered::default());
    let mut read = |secs: u64, value: f64| {
        let reading = Reading::new(
            PointId::new("energy_import").unwrap(),
            value,
            Unit::KilowattHour,
            PointKind::Counter,
        );
        let stamp = Stamp::new(None, now(secs).wall);
        let seen = Observation { device: id("m"), stamp, body: Body::Reading(reading), retained: false };
        let commit = p.step(now(secs), [delivery(None, vec![Input::Observed(seen)])]);
        let told = commit.events.first().map(|stored| (stored.event.kind, stored.event.code.clone()));
        (commit.readings[0].reading.quality, told)
    };
    let good = (crate::model::Quality::Good, None);
    assert_eq!(read(0, 1000.0), good);
    // One slip, and it goes on.
    let back = crate::model::Quality::Uncertain(Doubt::CounterWentBack);
    assert_eq!(read(60, 12.0), (back, None));
    assert_eq!(read(120, 1001.5), good);
    // Another meter.
    assert_eq!(read(180, 0.25), (back, None));
    let told = Some((EventKind::CountedAnew, Some("energy_import: 1001.5 -> 0.25 kWh".into())));
    assert_eq!(read(240, 0.5), (crate::model::Quality::Good, told));
    assert_eq!(read(300, 0.75), good);
}

#[test]
fn a_pass_is_known_by_the_table_of_persons_until_the_person_is_erased() {
    use crate::model::{
        AccessResult, Carrier, CredentialUse, Direction, PeopleChange, Person, PersonRef, Role, Service,
    };
    let who = PersonRef::from_digits(&"ab".repeat(16)).unwrap();
    let person =
        Person { role: Role::Staff, group: None, platform_id: None, valid_from: None, valid_until: None };
    let pass = || {
        let mut event = Event::bare(EventKind::Credential, Phase::Moment);
        event.credential = Some(CredentialUse {
            carrier: Carrier::Card,
            service: Service::Access,
            direction: Direction::In,
            result: AccessResult::Granted,
            reason: None,
            person: Some(who.clone()),
            known: None,
        });
        seen("b", Body::Event(event), false)
    };
    let about = Alarm {
        id: AlarmId(9),
        key: AlarmKey { rule: RuleId::new("narrow").unwrap(), subject: format!("b/{}", who.as_str()) },
        class: AlarmClass::Security,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::same("it"),
        raised_at: AT,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: crate::model::Marks::default(),
    };
    let known = |commit: &Commit| commit.events[0].event.credential.as_ref().unwrap().known.clone();
    let remembered = Remembered { open_alarms: vec![about], next_alarm: 10, ..Remembered::default() };
    let mut p = pipeline(remembered);
    let first = p.step(now(1), [delivery(None, vec![pass()])]);
    assert_eq!(known(&first), None, "nobody told");
    let put = PeopleChange::Put(vec![(who.clone(), person.clone())]);
    let commit = p.step(now(2), [delivery(None, vec![Input::People(put.clone()), pass()])]);
    assert_eq!(known(&commit).as_deref(), Some(&person));
    assert_eq!(commit.people, [(now(2).wall, put)]);
    assert!(!commit.is_empty());
    let erase = vec![Input::People(PeopleChange::Erase(who.clone())), pass()];
    let commit = p.step(now(3), [delivery(None, erase)]);
    assert_eq!(known(&commit), None);
    assert_eq!(kinds(&commit), [ChangeKind::Cleared]);
    assert_eq!(commit.alarm_changes[0].alarm.key.subject, "b/erased-9");
    assert!(!format!("{:?}", p.live(AT).alarms).contains(who.as_str()), "{:?}", p.live(AT).alarms);
}

#[test]
fn a_fire_that_is_open_holds_a_muster_open_and_orders_about_it_are_answered_in_turn() {
    use crate::model::{Called, MusterCommand, MusterOrder};
    let mut p = pipeline(Remembered::default());
    let fire =
        |phase| delivery(None, vec![seen("b", Body::Event(Event::bare(EventKind::Fire, phase)), false)]);
    let muster = |order| Delivery {
        bus: None,
        key: None,
        inputs: vec![Input::Muster(MusterCommand {
            order,
            actor: Actor::named("guard").unwrap(),
            note: String::new(),
        })],
    };
    let commit = p.step(now(0), [fire(Phase::Start)]);
    let actions = |commit: &Commit| commit.audit.iter().map(|audit| audit.action).collect::<Vec<_>>();
    assert_eq!(actions(&commit), ["muster_start"]);
    assert!(commit.muster.is_some_and(|row| row.contains("since")));
    assert!(p.live(AT).campus.muster.is_some());
    let commit = p.step(now(1), [muster(MusterOrder::Close), muster(MusterOrder::Start(Called::Drill))]);
    assert_eq!(commit.musters, [Err(campus::MusterRefused::FireAlarm), Ok(())]);
    let commit = p.step(now(2), [muster(MusterOrder::Close), fire(Phase::End)]);
    assert_eq!(commit.musters, [Ok(())]);
    assert!(p.live(AT).campus.muster.is_some(), "the alarm is latched");
    let id = p.live(AT).alarms[0].id;
    let commit = p.step(now(3), [order(Order::Acknowledge(id)), order(Order::Reset(id))]);
    assert_eq!((actions(&commit), commit.muster), (vec!["muster_close"], Some(String::new())));
    assert_eq!(p.step(now(4), [muster(MusterOrder::Close)]).musters, [Err(campus::MusterRefused::None)]);
}

#[test]
fn an_alarm_of_a_place_that_its_rule_judges_no_more_does_not_stay_open() {
    let alarm = |subject: &str| Alarm {
        id: AlarmId(9),
        key: AlarmKey { rule: RuleId::new("cover").unwrap(), subject: subject.into() },
        class: AlarmClass::Security,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::same("it"),
        raised_at: AT,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: crate::model::Marks::default(),
    };
    for (subject, over) in [("gate", 0), ("barn", 1)] {
        let remembered =
            Remembered { open_alarms: vec![alarm(subject)], next_alarm: 10, ..Remembered::default() };
        let (problems, world) = (Problems::new(), world());
        let document = Document::parse("cover", "devices = [\"m\"]", &problems);
        let kind = RULE_KINDS.iter().find(|kind| kind.name == "coverage_lost").unwrap();
        let rule = (kind.parse)(&document.reader(&problems), &RuleId::new("cover").unwrap(), &world);
        let settings = Settings {
            gateway: id("gw"),
            aggregate_secs: 60,
            destinations: Vec::new(),
            campus: campus::Settings::default(),
            alarms: alarm::Settings::default(),
            areas: Vec::new(),
        };
        let mut p =
            Pipeline::start(now(0), settings, world, Engine::new(rule.into_iter().collect()), remembered);
        assert_eq!(kinds(&p.step(now(1), [])).len(), over, "{subject}");
    }
}

fn budgeted() -> Pipeline {
    let (world, problems) = (world(), Problems::new());
    let text = "devices = [\"m\"]\npoint = \"power_total\"\nbudget = 0.15\nunit = \"kWh\"\nper = \"day\"\n\
                warn_percent = [100]\n";
    let document = Document::parse("budget", text, &problems);
    let budget = RULE_KINDS.iter().find(|kind| kind.name == "budget").unwrap();
    let rule = (budget.parse)(&document.reader(&problems), &RuleId::new("budget").unwrap(), &world);
    let settings = Settings {
        gateway: id("gw"),
        aggregate_secs: 60,
        destinations: vec![DestinationId::new("city").unwrap()],
        campus: campus::Settings::default(),
        alarms: alarm::Settings::default(),
        areas: Vec::new(),
    };
    let remembered = Remembered { next_alarm: 1, next_seq: 1, ..Remembered::default() };
    Pipeline::start(now(0), settings, world, Engine::new(rule.into_iter().collect()), remembered)
}

/// A minute of 6 kW that is over: 0.1 kWh.
fn minute(p: &mut Pipeline, secs: u64) -> Commit {
    let point = PointId::new("power_total").unwrap();
    let reading = Body::Reading(Reading::new(point, 6000.0, Unit::Watt, PointKind::Gauge));
    let stamp = Stamp::new(None, now(secs).wall);
    let seen = Observation { device: id("m"), stamp, body: reading, retained: false };
    p.step(now(secs), [delivery(None, vec![Input::Observed(seen)])]);
    p.step(now(secs + 65), [])
}

#[test]
fn what_a_rule_finds_in_a_closed_period_is_of_the_commit_that_closes_it() {
    let mut p = budgeted();
    assert_eq!(kinds(&minute(&mut p, 1)), []);
    let commit = minute(&mut p, 121);
    assert_eq!((commit.roll_ups.len(), kinds(&commit)), (1, vec![ChangeKind::Raised]));
    assert_eq!(commit.outbox.len(), 2, "both are owed");
}

#[test]
fn periods_of_before_the_start_are_known_and_say_nothing_themselves() {
    let closed = minute(&mut budgeted(), 1).roll_ups;
    let mut p = budgeted();
    let wanted: Vec<_> = p.recalls().into_keys().collect();
    assert_eq!(wanted, [(id("m"), PointId::new("power_total").unwrap())]);
    closed.iter().for_each(|period| p.recall(now(100), period));
    assert!(p.step(now(101), []).is_empty());
    assert_eq!(kinds(&minute(&mut p, 121)), [ChangeKind::Raised]);
}

#[test]
fn what_keeps_an_alarm_quiet_stays_in_the_school_and_ends_by_itself() {
    let mut p = pipeline(Remembered::default());
    p.report(Finding {
        key: AlarmKey { rule: RuleId::new("store.full").unwrap(), subject: "store".into() },
        level: Level::Holds,
        class: AlarmClass::Equipment,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::same("full"),
    });
    assert_eq!(p.step(now(1), []).outbox.len(), 2);
    let given = |order| {
        let actor = Actor::named("guard").unwrap();
        let inputs = vec![Input::Command(Command { order, actor, note: "a new disk comes".into() })];
        Delivery { bus: None, key: None, inputs }
    };
    let shelve = |id| given(Order::Shelve { id, secs: 30, once: false });
    let commit = p.step(now(2), [shelve(AlarmId(1))]);
    assert_eq!((kinds(&commit), commit.outbox.len()), (vec![ChangeKind::Shelved], 0));
    assert!(p.next_deadline(now(2)) <= now(32).mono);
    assert!(kinds(&p.step(now(31), [])).is_empty());
    let commit = p.step(now(32), []);
    assert_eq!((kinds(&commit), commit.outbox.len()), (vec![ChangeKind::Unshelved], 0));
    // Help cannot be, and who tried is written down.
    p.step(now(33), [delivery(None, vec![help(false)])]);
    let commit = p.step(now(34), [shelve(AlarmId(2))]);
    assert!(matches!(commit.orders[..], [Err(OrderRefused::Protected { .. })]));
    let audit = &commit.audit[0];
    assert_eq!((audit.actor.as_ref(), audit.action, audit.subject.as_ref()), ("guard", "refused", "alarm 2"));
    // A hazard is in the audit trail step by step.
    let what = "a hot plug".to_owned();
    let commit = p.step(now(35), [given(Order::FindHazard { alarm: Some(AlarmId(1)), place: None, what })]);
    assert_eq!((commit.hazards.len(), commit.audit[0].detail.as_str()), (1, "found: a new disk comes"));
}

/// A fire that is practised and one that is real: what each does beyond the alarm itself.
#[test]
fn a_drill_goes_to_no_platform_and_begins_no_muster_and_a_real_fire_in_it_does() {
    let place = PlaceId::new("gate").unwrap();
    let drill = || Order::DrillAlarm {
        class: AlarmClass::Fire,
        priority: Priority::Critical,
        place: place.clone(),
        what: None,
    };
    let given = |order: Order| {
        let (actor, note) = (Actor::named("guard").unwrap(), "why".to_owned());
        let command = Command { order, actor, note };
        Delivery { bus: None, key: None, inputs: vec![Input::Command(command)] }
    };
    let actions = |commit: &Commit| commit.audit.iter().map(|audit| audit.action).collect::<Vec<_>>();
    let mut p = pipeline(Remembered::default());
    let begun = p.step(now(0), [given(Order::StartDrill { secs: 60 })]);
    assert!(begun.drill.is_some() && actions(&begun) == ["drill_start"], "{begun:?}");
    let practised = p.step(now(1), [given(drill())]);
    assert_eq!(practised.alarm_changes.len(), 1);
    assert_eq!((practised.outbox.len(), practised.muster.as_ref()), (0, None));
    assert_eq!(actions(&practised), ["drill_alarm"]);
    assert!(p.live(AT).drill.is_some() && p.live(AT).campus.muster.is_none());
    // The power is cut and comes back: the drill goes on, and no rule says that its alarm has ended.
    let mut p = pipeline(Remembered {
        open_alarms: vec![practised.alarm_changes[0].alarm.clone()],
        drill: practised.drill,
        ..Remembered::default()
    });
    assert!(p.step(now(2), []).is_empty());
    let fire =
        delivery(None, vec![seen("b", Body::Event(Event::bare(EventKind::Fire, Phase::Start)), false)]);
    let real = p.step(now(3), [fire]);
    assert_eq!((real.alarm_changes.len(), real.outbox.len()), (1, 2), "to both platforms");
    assert!(!real.alarm_changes[0].alarm.marks.drill && actions(&real) == ["muster_start"]);
    // Its time is up.
    let over = p.step(now(60), []);
    let closed = |change: &AlarmChange| change.kind == ChangeKind::Closed && change.alarm.marks.drill;
    assert!(over.alarm_changes.len() == 1 && over.alarm_changes.iter().all(closed), "{over:?}");
    assert_eq!((over.outbox.len(), actions(&over)), (0, vec!["drill_stop"]));
    assert!(over.drill.is_some() && p.live(AT).drill.is_none());
    assert_eq!(p.live(AT).alarms.len(), 1, "the real one stays");
}
