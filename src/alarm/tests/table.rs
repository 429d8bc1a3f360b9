//! A1: every state × every event against a table that was written from the standard and the house rules, not from the
//! code. The first row that fits holds.

use super::*;
use crate::model::Handled;
use crate::model::alarm::{Chatter, Confirmed, OutOfService, Shelf, Support, Suppressed};

/// Event; in which states (fields that are not named do not matter); which steps are taken, `-` for none and `!` for an
/// order that is refused; what changes. `cleared` of an alarm on a one-shot shelf is followed by `unshelved`, and any
/// step by `closed` where [`OVER`] says so.
const TABLE: &[(&str, &str, &str, &str)] = &[
    // What rules report.
    ("holds", "class=intrusion sup=1", "-", ""), // its area is not armed
    ("holds", "act=1", "-", ""),
    ("holds", "class=intrusion act=0 cht=1 ack=1", "recurred", "act=1 ack=0 rst=0 cnf=0"),
    ("holds", "act=0 cht=1", "-", "act=1"),                    // counted
    ("holds", "act=0", "recurred", "act=1 ack=0 rst=0 cnf=0"), // wants a new look and a new reset
    ("ended", "act=0", "-", ""),
    ("ended", "cht=1", "-", ""), // counts as active until it has settled
    ("ended", "act=1", "cleared", "act=0"),
    ("happened", "class=intrusion sup=1", "-", ""),
    ("happened", "class=intrusion cht=1 ack=1", "recurred", "ack=0 rst=0 cnf=0"),
    ("happened", "cht=1", "-", ""),
    ("happened", "", "recurred", "ack=0 rst=0 cnf=0"),
    // What people order.
    ("acknowledge", "ack=1", "!", ""),
    ("acknowledge", "ack=0", "acknowledged", "ack=1"),
    ("reset", "class=energy call=no", "!", ""), // a call for support makes it latch
    ("reset", "ack=0", "!", ""),
    ("reset", "act=1", "!", ""),
    ("reset", "rst=1", "!", ""),
    ("reset", "", "reset", "rst=1"),
    ("call-support", "ack=0", "acknowledged support_called", "ack=1 call=made"),
    ("call-support", "call=no", "support_called", "call=made rst=0"), // wants a new reset
    ("call-support", "", "-", ""),                                    // a second ago: the same call
    ("support-told", "call=made", "support_told", "call=told"),
    ("support-told", "", "-", ""),
    ("shelve", "class=help", "!", ""),
    ("shelve", "", "shelved", "shelf=timed"),
    ("shelve-once", "class=help", "!", ""),
    ("shelve-once", "act=0", "!", ""),
    ("shelve-once", "", "shelved", "shelf=once"),
    ("unshelve", "shelf=none", "!", ""),
    ("unshelve", "", "unshelved", "shelf=none"),
    ("take-out", "class=help", "!", ""),
    ("take-out", "", "out_of_service", "out=1"),
    ("put-back", "out=0", "!", ""),
    ("put-back", "out=1", "in_service", "out=0"),
    ("confirm", "ack=0", "!", ""),
    ("confirm", "ack=1", "confirmed", "cnf=1"),
    ("disarm", "sup=1", "!", ""), // the area is disarmed already
    ("disarm", "class=intrusion", "suppressed", "sup=1"),
    ("disarm", "", "-", ""),
    ("arm", "sup=0", "!", ""), // armed already
    ("arm", "sup=1", "unsuppressed", "sup=0"),
    // What comes with time and from elsewhere.
    ("cause-comes", "class=help", "-", ""),
    ("cause-comes", "inh=1", "-", ""), // it is there already
    ("cause-comes", "act=1", "inhibited", "inh=1"),
    ("cause-comes", "act=0", "-", ""),
    ("cause-goes", "inh=0", "-", ""),
    ("cause-goes", "act=1", "uninhibited", "inh=0 ack=0"), // announced in its own right
    ("cause-goes", "class=energy call=no ack=0", "-", ""), // over, and taken with its cause
    ("cause-goes", "", "uninhibited", "inh=0"),
    ("cause-taken", "inh=1 ack=0", "acknowledged", "ack=1"),
    ("cause-taken", "", "-", ""),
    ("shelf-ends", "shelf=none", "-", ""),
    ("shelf-ends", "", "unshelved", "shelf=none"),
    ("service-ends", "out=0", "-", ""),
    ("service-ends", "out=1", "in_service", "out=0"),
    ("quiet", "cht=0", "-", ""),
    ("quiet", "cht=1", "settled", "cht=0"),
    ("restart", "", "-", ""),
];

/// An alarm is over when all of one of these is so.
const OVER: &[&str] = &[
    "class=energy call=no act=0 ack=1 shelf=none out=0 cht=0",
    "class=energy act=0 ack=1 rst=1 shelf=none out=0 cht=0",
    "class=help act=0 ack=1 rst=1 shelf=none out=0 cht=0",
    "class=intrusion act=0 ack=1 rst=1 shelf=none out=0 cht=0",
];

const FIELDS: [(&str, &[&str]); 11] = [
    ("class", &["help", "intrusion", "energy"]),
    ("act", &["0", "1"]),
    ("ack", &["0", "1"]),
    ("rst", &["0", "1"]),
    ("shelf", &["none", "timed", "once"]),
    ("out", &["0", "1"]),
    ("sup", &["0", "1"]),
    ("inh", &["0", "1"]),
    ("cht", &["0", "1"]),
    ("cnf", &["0", "1"]),
    ("call", &["no", "made", "told"]),
];

/// What cannot be.
const IMPOSSIBLE: &[&str] = &[
    "class=energy call=no rst=1",
    "rst=1 act=1",
    "rst=1 ack=0",
    "cnf=1 ack=0",
    "class=help shelf=timed",
    "class=help shelf=once",
    "class=help out=1",
    "class=help inh=1",
    "class=help cht=1",
    "class=help sup=1",
    "class=energy sup=1",
    "act=0 shelf=once",
];

type State = BTreeMap<&'static str, &'static str>;

fn fits(state: &State, conditions: &str) -> bool {
    conditions.split_whitespace().all(|condition| {
        let (field, value) = condition.split_once('=').unwrap();
        state[field] == value
    })
}

fn states() -> Vec<State> {
    let mut all = vec![State::new()];
    for (field, values) in FIELDS {
        let more = all.iter().flat_map(|state| {
            values.iter().map(|value| {
                let mut state = state.clone();
                state.insert(field, value);
                state
            })
        });
        all = more.collect();
    }
    let possible = |state: &State| !IMPOSSIBLE.iter().chain(OVER).any(|conditions| fits(state, conditions));
    all.retain(possible);
    all
}

fn handled() -> Handled {
    Handled { by: Actor::named("guard").unwrap(), at: AT, note: "why".into() }
}

const SOON: i64 = 30_000;
const LATE: i64 = 3_600_000;

/// A book in which the alarm stands so; and its cause, where it has one.
fn made(state: &State, event: &str) -> AlarmBook {
    let is = |field: &str| state[field] == "1";
    let class = AlarmClass::from_word(state["class"]).unwrap();
    let until = |event_of: &str| AT.plus_ms(if event == event_of { SOON } else { LATE });
    let marks = Marks {
        shelved: (state["shelf"] != "none").then(|| Shelf {
            by: handled(),
            until: until("shelf-ends"),
            once: state["shelf"] == "once",
        }),
        suppressed: is("sup").then(|| Suppressed { by: "area.lab".into(), at: AT }),
        out_of_service: is("out").then(|| OutOfService { by: handled(), until: Some(until("service-ends")) }),
        inhibited_by: is("inh").then_some(AlarmId(1)),
        chattering: is("cht").then_some(Chatter { since: AT, count: 3 }),
        first: false,
        confirmed: is("cnf").then(|| Confirmed { truth: Truth::Real, by: handled() }),
        support: (state["call"] != "no")
            .then(|| Support { by: handled(), told_at: (state["call"] == "told").then_some(AT) }),
        drill: false,
    };
    let alarm = Alarm {
        id: AlarmId(2),
        key: key("r", "m1"),
        class,
        priority: Priority::High,
        device: Some(device("m1")),
        place: Some(place("lab")),
        what: Text::same("it"),
        raised_at: AT,
        active: is("act"),
        occurrences: 1,
        cleared_at: (!is("act")).then_some(AT),
        acknowledged: is("ack").then(handled),
        latched: class != AlarmClass::Energy || state["call"] != "no",
        reset: is("rst").then(handled),
        closed_at: None,
        marks,
    };
    let mut open = vec![alarm.clone()];
    if is("inh") {
        let marks = Marks::default();
        let (class, priority) = (AlarmClass::Equipment, Priority::High);
        let (key, device, place) = (key(BUS_RULE, BUS), None, None);
        let cause = Alarm { id: AlarmId(1), key, class, priority, device, place, marks, ..alarm };
        open.push(Alarm {
            active: true,
            cleared_at: None,
            acknowledged: None,
            latched: false,
            reset: None,
            ..cause
        });
    }
    let mode = if is("sup") { ArmMode::Disarmed } else { ArmMode::Armed };
    let before = Before { open, next_id: 3, areas: stands(mode), ..Before::default() };
    let mut book = AlarmBook::restore(before, setup());
    assert_eq!(book.start(now(0), |_| vec![device("m1")]), []);
    book
}

fn order(book: &mut AlarmBook, order: Order) -> Option<Vec<AlarmChange>> {
    book.order(secs(1), &command(order, "guard", "why")).ok().map(|(changes, _)| changes)
}

fn happens(book: &mut AlarmBook, event: &str, class: AlarmClass) -> Option<Vec<AlarmChange>> {
    let id = AlarmId(2);
    let mut report = |level| Some(book.apply(secs(1), &finding(class, "m1", level), &[device("m1")]));
    match event {
        "holds" => report(Level::Holds),
        "ended" => report(Level::Ended),
        "happened" => report(Level::Happened),
        "acknowledge" => order(book, Order::Acknowledge(id)),
        "reset" => order(book, Order::Reset(id)),
        "call-support" => order(book, Order::CallSupport(id)),
        "support-told" => order(book, Order::SupportTold { id, called: AT }),
        "shelve" => order(book, Order::Shelve { id, secs: 60, once: false }),
        "shelve-once" => order(book, Order::Shelve { id, secs: 60, once: true }),
        "unshelve" => order(book, Order::Unshelve(id)),
        "take-out" => order(book, Order::TakeOut { id, secs: None }),
        "put-back" => order(book, Order::PutBack(id)),
        "confirm" => order(book, Order::Confirm { id, truth: Truth::False }),
        "disarm" => order(book, Order::Arm { area: area_id(), mode: ArmMode::Disarmed, force: false }),
        "arm" => order(book, Order::Arm { area: area_id(), mode: ArmMode::Armed, force: true }),
        "cause-comes" => Some(book.apply(secs(1), &bus(Level::Holds), &[])),
        "cause-goes" => {
            let mut changes = book.apply(secs(1), &bus(Level::Ended), &[]);
            changes.extend(book.expire(secs(12)));
            Some(changes)
        }
        "cause-taken" => order(book, Order::Acknowledge(AlarmId(1))).or_else(|| Some(Vec::new())),
        "shelf-ends" | "service-ends" => Some(book.expire(secs(31))),
        "quiet" => Some(book.expire(secs(61))),
        "restart" => {
            let open: Vec<Alarm> = book.open().cloned().collect();
            let mode = book.areas()[0].mode;
            let before = Before { open, next_id: 3, areas: stands(mode), ..Before::default() };
            *book = AlarmBook::restore(before, setup());
            Some(book.start(secs(1), |_| vec![device("m1")]))
        }
        other => panic!("no such event: {other}"),
    }
}

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

fn seen(alarm: &Alarm) -> State {
    let marks = &alarm.marks;
    State::from([
        ("class", alarm.class.as_str()),
        ("act", flag(alarm.active)),
        ("ack", flag(alarm.acknowledged.is_some())),
        ("rst", flag(alarm.reset.is_some())),
        ("shelf", marks.shelved.as_ref().map_or("none", |shelf| if shelf.once { "once" } else { "timed" })),
        ("out", flag(marks.out_of_service.is_some())),
        ("sup", flag(marks.suppressed.is_some())),
        ("inh", flag(marks.inhibited_by.is_some())),
        ("cht", flag(marks.chattering.is_some())),
        ("cnf", flag(marks.confirmed.is_some())),
        (
            "call",
            match &marks.support {
                None => "no",
                Some(Support { told_at: None, .. }) => "made",
                Some(_) => "told",
            },
        ),
    ])
}

#[test]
fn a01_every_state_takes_every_event_as_the_table_says() {
    let events: BTreeSet<&str> = TABLE.iter().map(|(event, ..)| *event).collect();
    let (mut tried, mut used) = (0, BTreeSet::new());
    for state in states() {
        for event in &events {
            let row = TABLE.iter().position(|(of, when, ..)| of == event && fits(&state, when));
            let row = row.unwrap_or_else(|| panic!("the table says nothing of {event} in {state:?}"));
            used.insert(row);
            let (_, _, steps, after) = TABLE[row];
            let mut expected = state.clone();
            for change in after.split_whitespace() {
                let (field, value) = change.split_once('=').unwrap();
                expected.insert(field, value);
            }
            let mut wanted = steps.to_owned();
            if steps == "cleared" && expected["shelf"] == "once" {
                wanted.push_str(" unshelved");
                expected.insert("shelf", "none");
            }
            let over = !matches!(steps, "-" | "!") && OVER.iter().any(|over| fits(&expected, over));
            if over {
                wanted.push_str(" closed");
            }
            let mut book = made(&state, event);
            let class = AlarmClass::from_word(state["class"]).unwrap();
            let changes = happens(&mut book, event, class);
            let got = match &changes {
                None => "!".to_owned(),
                Some(changes) => {
                    let own: Vec<AlarmChange> =
                        changes.iter().filter(|c| c.alarm.id == AlarmId(2)).cloned().collect();
                    if own.is_empty() { "-".to_owned() } else { words(&own) }
                }
            };
            assert_eq!(got, wanted, "{event} in {state:?}");
            let alarm = book.open().find(|alarm| alarm.id == AlarmId(2)).cloned();
            assert_eq!(alarm.is_none(), over, "{event} in {state:?}");
            let last = changes.iter().flatten().rfind(|c| c.alarm.id == AlarmId(2));
            let alarm = alarm.or_else(|| last.map(|change| change.alarm.clone())).unwrap();
            assert_eq!(seen(&alarm), expected, "after {event} in {state:?}");
            tried += 1;
        }
    }
    assert_eq!(used.len(), TABLE.len(), "every row of the table is of use");
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn the_letter_of_a_state_is_that_of_the_standard() {
    for (conditions, letter) in [
        ("act=1 ack=0", 'B'),
        ("act=1 ack=1", 'C'),
        ("act=0 ack=0 class=energy call=no", 'D'),
        ("act=0 ack=0 class=intrusion", 'E'),
        ("act=0 ack=1 class=help", 'F'),
    ] {
        let quiet = "shelf=none out=0 sup=0 inh=0";
        let letters = |more: &str| -> BTreeSet<char> {
            let all = states().into_iter().filter(|s| fits(s, conditions) && fits(s, more));
            all.map(|s| made(&s, "").open().find(|a| a.id == AlarmId(2)).unwrap().isa_state()).collect()
        };
        assert_eq!(letters(quiet), BTreeSet::from([letter]), "{conditions}");
        let shelved = letters("shelf=timed out=0 sup=0 inh=0");
        assert!(shelved.is_subset(&BTreeSet::from(['G'])), "{conditions}: {shelved:?}");
        assert!(letters("out=0 sup=1").is_subset(&BTreeSet::from(['H'])), "{conditions}");
        assert!(letters("out=0 inh=1").is_subset(&BTreeSet::from(['H'])), "{conditions}");
        assert!(letters("out=1").is_subset(&BTreeSet::from(['I'])), "{conditions}");
    }
}
