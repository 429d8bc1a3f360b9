//! Drills on the ladder: by which channels, and that what is real is told as ever.

use super::*;

fn of_drill(id: u64, priority: Priority) -> Alarm {
    let mut alarm = alarm(id, priority);
    alarm.marks.drill = true;
    alarm.what = Text::new(format!("【演练】第 {id} 件事"), format!("[DRILL] thing {id}"));
    alarm
}

/// These channels, of which those that begin with `d` are for drills.
fn with_drills(channels: &[&str], policies: Vec<Policy>) -> Plan {
    let mut made = plan(channels);
    for (id, route) in &mut made.routes {
        route.drill = id.as_str().starts_with('d');
    }
    Plan { policies, ..made }.with_drills()
}

#[test]
fn a_drill_is_told_by_the_channels_that_are_for_it_in_the_steps_of_the_ladder() {
    let all = [(0, "d1"), (0, "d2")];
    // The steps of the ladder; who is told of a drill and when; and who of what is real.
    type Steps<'a> = &'a [(u64, &'a [&'a [&'a str]])];
    type Told<'a> = &'a [(u64, &'a str)];
    let cases: [(Steps<'_>, Told<'_>, Told<'_>); 5] = [
        (&[(0, &[&["a"]]), (30, &[&["b"]])], &all, &[(0, "a"), (30_000, "b")]),
        (&[(0, &[&["a"], &["d1"]]), (30, &[&["b"]])], &[(0, "d1")], &[(0, "a"), (30_000, "b")]),
        (
            &[(0, &[&["a", "d1"]]), (30, &[&["d2"]]), (60, &[&["b"]])],
            &[(0, "d1"), (30_000, "d2")],
            &[(0, "a"), (60_000, "b")],
        ),
        // What is left first is told at once.
        (&[(0, &[&["a"]]), (30, &[&["b"], &["d2"]])], &[(0, "d2")], &[(0, "a"), (30_000, "b")]),
        (&[], &all, &[]),
    ];
    for (steps, drill, real) in cases {
        let policies = if steps.is_empty() { Vec::new() } else { vec![policy(steps)] };
        for (alarm, wanted) in
            [(of_drill(1, Priority::Critical), drill), (alarm(1, Priority::Critical), real)]
        {
            let mut scene = Scene::new(with_drills(&["a", "b", "d1", "d2"], policies.clone()), accepts);
            scene.take(ChangeKind::Raised, &alarm);
            scene.until(100_000);
            let told: Vec<(u64, &str)> = scene.told.iter().map(|(at, id, _)| (*at, id.as_str())).collect();
            assert_eq!(told, wanted, "{steps:?}");
            assert!(scene.told.iter().all(|(.., message)| message.drill == alarm.marks.drill));
            assert!(scene.told.iter().all(|(.., message)| message.title.zh == "第 1 件事"), "marked once");
        }
        // Where no channel is for drills nobody is told of them.
        let mut scene = Scene::new(Plan { policies, ..plan(&["a", "b"]) }.with_drills(), accepts);
        scene.take(ChangeKind::Raised, &of_drill(1, Priority::Critical));
        scene.until(100_000);
        assert!(scene.told.is_empty() && scene.ladder.next_deadline(scene.now).is_none());
    }
}

#[test]
fn when_a_drill_is_over_nobody_hears_more_of_it() {
    let ladder = Policy {
        over: true,
        remind: Some(Duration::from_secs(40)),
        ..policy(&[(0, &[&["a"], &["d1"]]), (30, &[&["d2"]])])
    };
    for answers in [accepts as Script, |_, _| (20, failed())] {
        let mut scene = Scene::new(with_drills(&["a", "d1", "d2"], vec![ladder.clone()]), answers);
        (1..20).for_each(|id| scene.take(ChangeKind::Raised, &of_drill(id, Priority::ALL[0])));
        scene.until(100_010);
        let before = scene.told.len();
        assert!(before > 4);
        (1..20).for_each(|id| {
            let closed = Alarm { closed_at: Some(EVENING), active: false, ..of_drill(id, Priority::ALL[0]) };
            scene.take(ChangeKind::Closed, &closed);
        });
        scene.until(10_000_000);
        assert_eq!(scene.told.len(), before);
        assert_eq!(scene.ladder.waiting().map(|(_, n)| n).sum::<u64>(), 0);
    }
}

/// A drill with a flood of alarms, and what is real among them: to the millisecond as if there were no drill.
#[test]
fn a_real_alarm_breaks_through_a_drill_as_if_there_were_none() {
    let log = |drill: bool| {
        let made = with_drills(
            &["a", "b", "d1", "d2"],
            vec![Policy {
                remind: Some(Duration::from_secs(100)),
                over: true,
                ..policy(&[(0, &[&["a", "b"]]), (45, &[&["b"], &["d2"]])])
            }],
        );
        // One channel fails now and then, so that pauses and turns are in it too.
        let script: Script =
            |id, ms| if id == "a" && ms % 7 > 4 { (700, failed()) } else { (40, Verdict::Accepted) };
        let mut scene = Scene::new(made, script);
        for id in 0..3000_u64 {
            scene.until(id * 100);
            if drill {
                scene.take(
                    ChangeKind::Raised,
                    &of_drill(10_000 + id, Priority::ALL[usize::try_from(id % 4).unwrap()]),
                );
            }
            let priority = |id: u64| Priority::ALL[usize::try_from(id % 4).unwrap()];
            match id % 37 {
                3 => scene.raise(id, priority(id)),
                // Most of them are taken after two seconds.
                23 if id % 3 > 0 => scene.acknowledge(id - 20, priority(id - 20)),
                _ => {}
            }
        }
        scene.until(600_000);
        assert_eq!(scene.told.iter().any(|(.., message)| message.drill), drill);
        let real = scene.told.into_iter().filter(|(.., message)| !message.drill);
        real.map(|(at, id, message)| (at, id, Message { number: 0, ..message })).collect::<Vec<_>>()
    };
    let alone = log(false);
    assert!(alone.len() > 30);
    assert_eq!(log(true), alone);
}

#[test]
fn what_is_real_is_told_first() {
    let mut scene = Scene::new(with_drills(&["d1", "z"], vec![policy(&[(0, &[&["z"]])])]), accepts);
    for alarm in [of_drill(1, Priority::Critical), alarm(2, Priority::Low)] {
        scene.ladder.take(scene.now, &change(ChangeKind::Raised, &alarm));
    }
    scene.act();
    let told: Vec<&str> = scene.told.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(told, ["z", "d1"]);
}

#[test]
fn drills_take_no_room_from_what_is_real() {
    let mut scene = Scene::new(with_drills(&["a", "d1"], vec![policy(&[(0, &[&["a"]])])]), accepts);
    let most = u64::try_from(MAX_FOLLOWED).unwrap();
    let raise =
        |scene: &mut Scene, alarm: &Alarm| scene.ladder.take(scene.now, &change(ChangeKind::Raised, alarm));
    (0..100).for_each(|id| raise(&mut scene, &of_drill(most + 1000 + id, Priority::Low)));
    (0..most).for_each(|id| raise(&mut scene, &alarm(id, Priority::Low)));
    assert_eq!(scene.ladder.counts().only_counted, 0);
    raise(&mut scene, &alarm(most, Priority::Low));
    raise(&mut scene, &of_drill(most + 2000, Priority::Low));
    assert_eq!(scene.ladder.counts().only_counted, 1, "only what is real is counted");
    (0..100).for_each(|id| {
        let closed = Alarm { closed_at: Some(EVENING), ..of_drill(most + 1000 + id, Priority::Low) };
        scene.ladder.take(scene.now, &change(ChangeKind::Closed, &closed));
    });
    raise(&mut scene, &alarm(most + 1, Priority::Low));
    assert_eq!(scene.ladder.counts().only_counted, 2);
}
