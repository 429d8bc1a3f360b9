//! Help and fire are raised whatever the clock, the profile or the configuration says.

use crate::model::{AlarmClass, Body, Event, EventKind, Phase, Priority, Stamp, Wall};
use crate::rules::testing::{Player, world};

#[test]
fn help_and_fire_of_any_device() {
    let mut player = Player::always(&world());
    player.event("help1", EventKind::Help, Phase::Moment).event("m1", EventKind::Fire, Phase::Start);
    player.event("stranger", EventKind::Help, Phase::Start).event("stranger", EventKind::Help, Phase::End);
    let all: Vec<_> = player
        .findings
        .iter()
        .map(|f| (f.key.rule.as_str(), f.class, f.priority, f.what.zh.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            ("always.help", AlarmClass::Help, Priority::Critical, "1号楼 / 2层 / 201 求助按钮: 紧急求助"),
            ("always.fire", AlarmClass::Fire, Priority::Critical, "1号楼 / 2层 / 201 1号电表: 火警"),
            ("always.help", AlarmClass::Help, Priority::Critical, "stranger: 紧急求助"),
            ("always.help", AlarmClass::Help, Priority::Critical, "stranger: 求助信号已解除"),
        ]
    );
    assert_eq!(player.said(), ["help1 happened", "m1 holds", "stranger holds", "stranger ended"]);
}

#[test]
fn a_retained_state_holds_and_a_retained_moment_does_not_happen_again() {
    let mut player = Player::always(&world());
    assert!(player.retained_event("help1", EventKind::Help, Phase::Moment).said().is_empty());
    assert!(player.retained_event("m1", EventKind::Fire, Phase::Moment).said().is_empty());
    assert_eq!(player.retained_event("m1", EventKind::Fire, Phase::Start).said(), ["m1 holds"]);
}

#[test]
fn duress_is_a_silent_call_for_help_and_smoke_a_fire() {
    let mut player = Player::always(&world());
    player.event("card1", EventKind::Duress, Phase::Moment).event("stranger", EventKind::Smoke, Phase::Start);
    let all: Vec<_> = player
        .findings
        .iter()
        .map(|f| (f.key.rule.as_str(), f.class, f.priority, f.what.zh.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            (
                "always.duress",
                AlarmClass::Help,
                Priority::Critical,
                "大门 读卡器: 胁迫求助（静默：现场不得声响）"
            ),
            ("always.smoke", AlarmClass::Fire, Priority::Critical, "stranger: 烟雾报警"),
        ]
    );
    assert_eq!(player.said(), ["card1 happened", "stranger holds"]);
}

#[test]
fn no_clock_stops_it() {
    for (ours, device) in [(0, 0), (1_790_000_000_000, 0), (1_790_000_000_000, 4_070_908_800_000)] {
        let mut player = Player::always(&world());
        player.set_wall(Wall(ours));
        let mut seen = player.observation("help1", Body::Event(Event::bare(EventKind::Help, Phase::Moment)));
        seen.stamp = Stamp::new(Some(Wall(device)), Wall(ours));
        assert_eq!(player.see(&seen).said(), ["help1 happened"], "{ours} {device}");
    }
}
