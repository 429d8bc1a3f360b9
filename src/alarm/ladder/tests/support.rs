//! Calls for support: who is told at once, whatever was told before, until each group has it.

use super::*;
use crate::model::alarm::Support;

/// The alarm as it stands when somebody has called, at a second.
fn called(alarm: Alarm, at: u64) -> Alarm {
    let by = |note: &str| Handled { by: Actor::named("guard").unwrap(), at: now(at).wall, note: note.into() };
    let marks = crate::model::Marks {
        support: Some(Support { by: by("two more"), told_at: None }),
        ..alarm.marks.clone()
    };
    Alarm { acknowledged: Some(by("")), latched: true, marks, ..alarm }
}

fn ladder() -> Policy {
    Policy {
        remind: Some(Duration::from_secs(100)),
        ..policy(&[(0, &[&["guard"]]), (30, &[&["head", "deputy"]]), (90, &[&["office"], &["guard"]])])
    }
}

fn made(policies: Vec<Policy>) -> Plan {
    Plan { policies, ..plan(&["deputy", "guard", "head", "office"]) }
}

impl Scene {
    /// What the book says when a person calls: with what was not taken, that it is taken.
    fn call(&mut self, alarm: &Alarm) {
        let called = called(alarm.clone(), self.now.mono.0);
        if alarm.acknowledged.is_none() {
            let taken = Alarm { marks: alarm.marks.clone(), ..called.clone() };
            self.ladder.take(self.now, &change(ChangeKind::Acknowledged, &taken));
        }
        self.take(ChangeKind::SupportCalled, &called);
    }

    fn support_told(&self) -> Vec<&Deed> {
        self.others.iter().filter(|deed| matches!(deed, Deed::SupportTold { .. })).collect()
    }
}

#[test]
fn a_call_tells_every_group_of_every_step_at_once_and_then_nobody_any_more() {
    use Occasion::{Raised, Support};
    let all = [(0, "guard", Support), (0, "head", Support), (0, "office", Support)];
    // By nobody, by the person that calls and by another one the alarm was taken; it is of each priority.
    for priority in Priority::ALL {
        for taken_at in [None, Some(40), Some(1000)] {
            let mut scene = Scene::new(made(vec![ladder()]), accepts);
            scene.raise(1, *priority);
            scene.until(20);
            let mut alarm = alarm(1, *priority);
            if let Some(at) = taken_at {
                scene.until(at);
                scene.acknowledge(1, *priority);
                alarm.acknowledged = called(alarm.clone(), at).acknowledged;
            }
            // Out of the calm that other messages keep.
            scene.until(15_000);
            scene.call(&alarm);
            scene.until(2_000_000);
            let mut told = scene.log();
            assert_eq!(told.remove(0), (0, "guard", Raised));
            let of_call: Vec<_> = told.iter().map(|(at, who, why)| (at - 15_000, *who, *why)).collect();
            assert_eq!(of_call, all, "{priority}, taken at {taken_at:?}");
            let written = Deed::SupportTold { alarm: AlarmId(1), called: now(15_000).wall };
            assert_eq!(scene.others, [written], "no step was begun");
            assert_eq!(scene.ladder.next_deadline(scene.now), None);
            assert!(scene.ladder.cases.is_empty());
        }
    }
}

#[test]
fn it_says_what_is_asked_where_and_nothing_of_who() {
    let mut scene = Scene::new(made(vec![ladder()]), accepts);
    scene.call(&alarm(7, Priority::Low));
    let (_, _, message) = &scene.told[0];
    assert_eq!((message.occasion.word(), message.priority), ("support", Priority::Critical));
    assert_eq!(
        (message.title.zh.as_str(), message.place.clone()),
        ("第 7 件事", Some(Text::same("path of lab")))
    );
    let lines: Vec<&str> = message.lines.iter().map(|line| line.zh.as_str()).collect();
    assert_eq!(lines[1], "值班人员已核实，需要支援，请立即前往");
    for line in message.lines.iter().chain([&message.title]) {
        assert!(!line.zh.contains("guard") && !line.zh.contains("two more"), "{line:?}");
    }
}

#[test]
fn each_group_has_the_next_of_its_channels_asked_until_one_accepts() {
    use Occasion::Support;
    // `head` fails at once, `office` for a minute.
    let script: Script = |channel, at| match channel {
        "head" => (20, failed()),
        "office" if at < 60_000 => (20, failed()),
        _ => (20, Verdict::Accepted),
    };
    let mut scene = Scene::new(made(vec![ladder()]), script);
    scene.call(&alarm(1, Priority::Medium));
    scene.until(50_000);
    assert!(scene.log().contains(&(20, "deputy", Support)), "{:?}", scene.log());
    assert_eq!(
        scene.log().iter().filter(|(_, who, _)| *who == "guard").count(),
        1,
        "two groups, one message"
    );
    assert!(scene.support_told().is_empty(), "the office has not heard of it");
    scene.until(3_600_000);
    assert_eq!(scene.support_told().len(), 1);
    let last = scene.log().iter().map(|(at, ..)| *at).max();
    assert!(last.is_some_and(|at| at < 120_000), "whoever failed before does not hear of it late: {last:?}");
    // One that hangs: after five seconds the next has its turn, as of something critical.
    let hangs: Script =
        |channel, _| if channel == "head" { (60_000, failed()) } else { (20, Verdict::Accepted) };
    let mut scene = Scene::new(made(vec![ladder()]), hangs);
    scene.call(&alarm(1, Priority::Low));
    scene.until(30_000);
    assert!(scene.log().contains(&(5000, "deputy", Support)), "{:?}", scene.log());
}

#[test]
fn what_was_on_its_way_when_somebody_called_does_not_stand_in_for_the_call() {
    let slow: Script = |_, _| (3000, Verdict::Accepted);
    let mut scene = Scene::new(made(vec![ladder()]), slow);
    scene.raise(1, Priority::Critical);
    scene.until(1000);
    scene.call(&alarm(1, Priority::Critical));
    scene.until(3000);
    assert!(scene.support_told().is_empty(), "the guard has heard of the alarm only");
    scene.until(20_000);
    let guard: Vec<Occasion> =
        scene.log().iter().filter(|(_, who, _)| *who == "guard").map(|(.., why)| *why).collect();
    assert_eq!((guard, scene.support_told().len()), (vec![Occasion::Raised, Occasion::Support], 1));
}

#[test]
fn a_second_call_is_told_again_to_all() {
    let mut scene = Scene::new(made(vec![ladder()]), accepts);
    let alarm = alarm(1, Priority::High);
    scene.call(&alarm);
    scene.until(60_000);
    scene.call(&called(alarm, 0));
    scene.until(200_000);
    let at: Vec<u64> = scene.log().iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [0, 0, 0, 60_000, 60_000, 60_000]);
    assert_eq!(scene.support_told().len(), 2);
}

#[test]
fn nothing_but_the_end_of_the_alarm_ends_a_call() {
    let down: Script = |_, at| if at < 100_000 { (20, failed()) } else { (20, Verdict::Accepted) };
    for (kind, told) in [
        (ChangeKind::Cleared, true),
        (ChangeKind::Shelved, true),
        (ChangeKind::Confirmed, true),
        (ChangeKind::Recurred, true),
        (ChangeKind::Closed, false),
    ] {
        let mut scene = Scene::new(made(vec![ladder()]), down);
        let one = alarm(1, Priority::Low);
        scene.call(&one);
        scene.until(30_000);
        let mut next = called(one, 0);
        match kind {
            ChangeKind::Cleared => next.active = false,
            ChangeKind::Shelved => {
                let by = next.acknowledged.clone().unwrap();
                next.marks.shelved = Some(crate::model::alarm::Shelf { by, until: EVENING, once: false });
            }
            ChangeKind::Recurred => next.acknowledged = None,
            ChangeKind::Closed => next.closed_at = Some(now(30_000).wall),
            _ => {}
        }
        scene.take(kind, &next);
        scene.until(1_000_000);
        let support = scene.accepted.iter().filter(|(.., message)| message.occasion == Occasion::Support);
        let who: BTreeSet<&str> = support.map(|(_, who, _)| who.as_str()).collect();
        assert_eq!(who.len() >= 3, told, "after {kind} {who:?} have heard");
        assert_eq!(scene.support_told().len(), usize::from(told), "{kind}");
        let reminded = scene.accepted.iter().any(|(.., message)| message.occasion == Occasion::Reminder);
        assert_eq!(reminded, kind == ChangeKind::Recurred, "what came back waits for somebody again");
    }
}

#[test]
fn a_call_goes_ahead_of_a_flood_and_is_named_where_all_goes_together() {
    let mut made = made(vec![policy(&[(0, &[&["guard"]])])]);
    made.routes.insert(channel("guard"), route(20, 60));
    let mut scene = Scene::new(made, accepts);
    for id in 1..=2000 {
        let priority = if id <= 40 { Priority::Critical } else { Priority::Low };
        scene.ladder.take(scene.now, &change(ChangeKind::Raised, &alarm(id, priority)));
    }
    scene.act();
    scene.until(5000);
    scene.call(&alarm(1500, Priority::Low));
    scene.until(16_000);
    let later = scene.told.iter().filter(|(at, ..)| *at >= 5000);
    let calls: Vec<_> = later.filter(|(.., message)| message.alarms.contains(&AlarmId(1500))).collect();
    let [(5000, _, message)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((message.occasion, message.priority), (Occasion::Support, Priority::Critical));
    assert_eq!(scene.support_told().len(), 1);
    // Five more within the minute use up what a channel takes: then all goes together, and at once.
    for id in 1..=5 {
        scene.call(&alarm(id, Priority::Low));
        scene.until(16_000 + 1000 * id);
    }
    scene.raise(3000, Priority::Critical);
    scene.call(&alarm(6, Priority::Low));
    let (at, _, message) = scene.told.last().unwrap();
    assert_eq!((*at, message.occasion), (21_000, Occasion::Support));
    assert!(message.alarms.contains(&AlarmId(3000)), "{message:?}");
    assert!(message.title.zh.starts_with("1 处请求支援，"), "{}", message.title.zh);
    assert!(message.lines[0].zh.starts_with("[请求支援] path of lab 第 6 件事"), "{:?}", message.lines);
}

#[test]
fn beyond_ten_thousand_alarms_a_call_is_told_all_the_same() {
    let mut scene = Scene::new(made(vec![policy(&[(0, &[&["guard"]])])]), accepts);
    for id in 1..=u64::try_from(MAX_FOLLOWED).unwrap() + 1 {
        scene.ladder.take(scene.now, &change(ChangeKind::Raised, &alarm(id, Priority::Low)));
    }
    let beyond = alarm(u64::try_from(MAX_FOLLOWED).unwrap() + 1, Priority::Low);
    assert_eq!(scene.ladder.counts().only_counted, 1);
    scene.call(&beyond);
    scene.until(60_000);
    assert_eq!(scene.support_told().len(), 1);
}

#[test]
fn quiet_hours_do_not_hold_a_call_back() {
    let mut made = made(vec![ladder()]);
    let night = DayHours { from: time(22, 0, 0, 0), until: time(6, 0, 0, 0) };
    made.routes.values_mut().for_each(|route| route.quiet = Some(night));
    let mut scene = Scene::new(made, accepts);
    scene.raise(1, Priority::Low);
    scene.until(10_000);
    assert_eq!(scene.told.len(), 0);
    scene.call(&alarm(1, Priority::Low));
    scene.until(20_000);
    assert_eq!(scene.log().iter().map(|(at, ..)| *at).collect::<Vec<_>>(), [10_000; 3]);
}

#[test]
fn a_call_goes_where_its_alarm_may_go() {
    // What is silent goes nowhere where it would be heard, and a group of which nobody may hear of it is not waited for.
    let mut made = made(vec![policy(&[(0, &[&["guard"], &["head", "office"]])])]);
    for id in ["guard", "head"] {
        made.routes.insert(channel(id), Route { local: true, ..route(20, 60) });
    }
    let mut scene = Scene::new(made, accepts);
    let mut duress = alarm(1, Priority::Critical);
    duress.key.rule = RuleId::new(crate::model::alarm::DURESS_RULE).unwrap();
    scene.call(&duress);
    scene.until(60_000);
    assert_eq!(scene.log(), [(0, "office", Occasion::Support)]);
    assert_eq!(scene.support_told().len(), 1);
    // In a drill it goes where alarms of drills go.
    let mut made = plan(&["a", "d"]);
    made.routes.insert(channel("d"), Route { drill: true, ..route(20, 60) });
    let policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(Plan { policies, ..made }.with_drills(), accepts);
    let mut drill = alarm(1, Priority::Critical);
    drill.marks.drill = true;
    scene.call(&drill);
    scene.until(60_000);
    assert_eq!(scene.log(), [(0, "d", Occasion::Support)]);
    assert!(scene.told[0].2.drill);
    // Where nobody is told of anything, nobody was told.
    let mut scene = Scene::new(plan(&["a"]), accepts);
    scene.call(&alarm(1, Priority::Critical));
    scene.until(60_000);
    assert!(scene.told.is_empty() && scene.support_told().is_empty() && scene.ladder.cases.is_empty());
}

#[test]
fn a_call_that_not_everybody_had_is_told_again_after_a_restart() {
    for taken in [true, false] {
        let mut alarm = called(alarm(1, Priority::High), 0);
        if !taken {
            // It came back after the call.
            alarm.acknowledged = None;
        }
        let climbed = [Climbed { alarm, step: 1, at: now(0).wall }];
        let ladder = Ladder::restore(made(vec![ladder()]), climbed, now(0));
        let mut scene = Scene::of(ladder, accepts);
        scene.act();
        scene.until(1000);
        assert_eq!(
            scene.log().iter().map(|(at, _, why)| (*at, *why)).collect::<Vec<_>>(),
            [(0, Occasion::Support); 3]
        );
        assert_eq!(scene.support_told(), [&Deed::SupportTold { alarm: AlarmId(1), called: now(0).wall }]);
        scene.until(500_000);
        assert_eq!(scene.log().len() > 3, !taken, "what nobody took goes on");
    }
}
