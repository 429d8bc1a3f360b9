//! Codes in no list: an outage sets nothing aside, a bad record blocks nobody but its own device.

use super::*;

const HOUR: u64 = 3_600_000;

fn unlisted() -> Result<Reply, Lost> {
    Ok(Reply::new(200, r#"{"code":"E77","message":"?"}"#))
}

#[test]
fn a_code_in_no_list_is_tried_for_minutes_and_then_isolated() {
    let mut scene = Scene::new(DestinationKind::Shield, 8, 1);
    scene.coming = (1..=4).map(|n| (0, aggregate(n, "m"))).collect();
    scene.play(u64::MAX, |scene, seen| {
        if seen.uids.contains(&"gw-1:3".to_owned()) {
            return unlisted();
        }
        scene.take(&seen.uids);
        ok()
    });
    assert!(scene.ms > 250_000, "an outage of minutes sets nothing aside, {} ms", scene.ms);
    assert_eq!(scene.set_aside, [(3, "code E77 ?".to_owned())]);
    assert_eq!(scene.delivered.len(), 3);
}

#[test]
fn an_outage_of_days_sets_nothing_aside_and_is_not_hammered() {
    const DAYS: u64 = 60 * HOUR;
    let mut scene = Scene::new(DestinationKind::Shield, 30, 7);
    let mut all = vec![];
    for quarter in 0..DAYS / 900_000 {
        for n in 0..6 {
            let (seq, device) = (quarter * 6 + n + 1, format!("meter-{n}"));
            let item = if n == 5 { alarm(seq, "help-1") } else { aggregate(seq, &device) };
            all.push(item.clone());
            scene.coming.push_back((quarter * 900_000, item));
        }
    }
    scene.play(DAYS, |_, _| unlisted());
    assert!(scene.taken.is_empty() && scene.delivered.is_empty() && scene.set_aside.is_empty());
    assert_eq!(scene.pump.status().state, UplinkState::Retrying);
    // Lanes and suspects have a pause of 150 to 300 s each; finding suspects begins with short pauses a few times.
    assert!(scene.requests < 60 * 3 * 24 + 200, "{} requests", scene.requests);
    let suspects = scene.pump.suspects.pending.len();
    assert!((1..=6).contains(&suspects), "{suspects} suspects of 6 devices");
    let begin = scene.ms;
    scene.play(u64::MAX, |scene, seen| {
        scene.take(&seen.uids);
        ok()
    });
    assert!(scene.owed.is_empty() && scene.set_aside.is_empty());
    assert!(scene.times_taken.values().all(|n| *n == 1) && scene.taken.len() == all.len(), "everything once");
    assert!(scene.ms - begin < 400_000, "back within the longest pause, {} ms", scene.ms - begin);
    assert!(scene.pump.suspects.pending.is_empty());
    scene.assert_order(&all);
}

#[test]
fn a_bad_record_is_found_in_few_requests_once_the_platform_takes_another() {
    for size in [2u64, 3, 8, 64, 100] {
        for poison in (1..=size).step_by(if size > 8 { 9 } else { 1 }) {
            let mut scene = Scene::new(DestinationKind::Shield, 100, 1);
            scene.coming = (1..=size).map(|n| (0, aggregate(n, &format!("m{n}")))).collect();
            let uid = format!("gw-1:{poison}");
            let (mut requests, mut proof) = (0, None);
            scene.play(u64::MAX, |scene, seen| {
                requests += 1;
                if seen.uids.contains(&uid) {
                    return unlisted();
                }
                proof.get_or_insert(requests);
                scene.take(&seen.uids);
                ok()
            });
            let after = requests - proof.expect("the platform takes the others");
            let bound = 2 * size.next_power_of_two().ilog2() + 1 + SUSPECT_TRIES;
            assert!(after <= bound, "{after} > {bound} of {size}");
            // Until there is proof the suspect has a few tries, with pauses that double.
            assert!(requests <= UNKNOWN_TRIES + bound + 8, "{requests} of {size}");
            assert_eq!(scene.set_aside, [(poison, "code E77 ?".to_owned())]);
            assert_eq!(scene.delivered.len() as u64, size - 1);
        }
    }
}

#[test]
fn without_proof_a_record_is_kept_and_only_what_follows_it_from_its_device_waits() {
    // The suspect's device has more owed than is read at once; another device's record comes behind all of it.
    let mut scene = Scene::new(DestinationKind::Shield, 4, 1);
    scene.coming =
        (1..=50).map(|n| (0, aggregate(n, "bad"))).chain([(2 * HOUR, aggregate(51, "good"))]).collect();
    scene.coming.push_back((3 * HOUR, alarm(52, "bad")));
    let mut platform = |scene: &mut Scene, seen: &Seen| {
        if seen.uids.contains(&"gw-1:1".to_owned()) {
            return unlisted();
        }
        scene.take(&seen.uids);
        ok()
    };
    scene.play(2 * HOUR - 1, &mut platform);
    assert!(scene.set_aside.is_empty() && scene.taken.is_empty(), "{:?}", scene.taken);
    assert_eq!(scene.pump.status().state, UplinkState::Retrying);
    scene.play(3 * HOUR - 1, &mut platform);
    assert_eq!(scene.taken.first().map(String::as_str), Some("gw-1:51"));
    assert_eq!(scene.set_aside, [(1, "code E77 ?".to_owned())]);
    assert_eq!(scene.taken.len(), 50, "what followed it is free");
    scene.play(u64::MAX, &mut platform);
    assert!(scene.owed.is_empty());
}

#[test]
fn an_alarm_under_suspicion_keeps_neither_aggregates_nor_other_alarms_back() {
    let mut scene = Scene::new(DestinationKind::Eduyun, 4, 1);
    scene.coming = [(0, alarm(1, "a")), (0, aggregate(2, "a")), (HOUR, alarm(3, "b"))].into();
    let mut order = vec![];
    scene.play(u64::MAX, |_, seen| {
        let word = if seen.uids == ["gw-1:1"] { "E77" } else { "000000" };
        order.extend(seen.uids.iter().filter(|_| word == "000000").cloned());
        let token = json!({"accessToken": "T"});
        Ok(Reply::new(200, json!({"retCode": word, "tokenInfo": token}).to_string()))
    });
    assert_eq!(order, ["gw-1:2", "gw-1:3"]);
    assert_eq!(scene.set_aside.iter().map(|s| s.0).collect::<Vec<_>>(), [1]);
    assert!(scene.owed.is_empty());
}
