//! Kettles, heaters and what is none: air conditioners, computers, a crowd of small loads; restarts, silences, clocks;
//! a series of appliances of which it is known which they were.

use crate::model::{Fault, Link, Wall};
use crate::rules::Level;
use crate::rules::testing::{Dice, Player, one_slip};

const RULE: &str = "devices = [\"d1\"]\nstep = 800\nunit = \"W\"\n";

/// What a room takes, W and var.
#[derive(Clone, Copy)]
struct Room(f64, f64);

impl Room {
    fn with(self, active: f64, factor: f64) -> Self {
        Self(self.0 + active, self.1 + active * (1.0 / (factor * factor) - 1.0).sqrt())
    }
}

const LIGHTS: Room = Room(100.0, 30.0);

/// So many polls of 10 s.
fn polls(player: &mut Player, room: Room, count: usize) -> &mut Player {
    for _ in 0..count {
        player
            .reads("d1", "power_total", room.0)
            .reads("d1", "power_factor", room.0 / room.0.hypot(room.1))
            .wait(10);
    }
    player
}

fn quiet() -> Player {
    let mut player = Player::of("dormitory_load", RULE);
    polls(&mut player, LIGHTS, 3);
    assert_eq!(player.said(), ["d1 ended"], "what was open before the start cannot be on");
    player
}

#[test]
fn a_kettle_is_told_with_its_room_and_ends_when_it_is_off() {
    let mut player = quiet();
    let kettle = LIGHTS.with(1500.0, 1.0);
    assert!(polls(&mut player, kettle, 2).said().is_empty(), "not 20 s yet");
    polls(&mut player, kettle, 1);
    assert_eq!(
        player.findings[0].what.zh,
        "3号宿舍 / 301 宿舍电表: 疑似使用大功率电热器具：功率突增 1500 W，功率因数 1.00，已持续 20 秒"
    );
    assert_eq!(player.said(), ["d1 holds"]);
    assert!(polls(&mut player, kettle.with(300.0, 0.6), 20).said().is_empty());
    assert_eq!(polls(&mut player, LIGHTS, 1).said(), ["d1 ended"]);
}

#[test]
fn a_kettle_beside_computers_and_one_read_in_its_rise_are_told() {
    let mut player = quiet();
    let computers = LIGHTS.with(400.0, 0.6);
    assert!(polls(&mut player, computers, 5).said().is_empty());
    assert_eq!(
        polls(&mut player, computers.with(1200.0, 1.0), 3).said(),
        ["d1 holds"],
        "the factor in all is 0.94"
    );
    let mut player = quiet();
    polls(&mut player, LIGHTS.with(900.0, 1.0), 1);
    assert_eq!(polls(&mut player, LIGHTS.with(1800.0, 1.0), 2).said(), ["d1 holds"]);
}

#[test]
fn an_air_conditioner_does_not_accuse() {
    let mut player = quiet();
    // Inrush that falls off, even with a good factor.
    polls(&mut player, LIGHTS.with(2600.0, 0.99), 1);
    assert!(polls(&mut player, LIGHTS.with(1000.0, 0.99), 30).said().is_empty());
    // A compressor whose inrush fell between two polls: its factor tells.
    let mut player = quiet();
    assert!(polls(&mut player, LIGHTS.with(1100.0, 0.88), 30).said().is_empty());
    // An inverter that rises slowly.
    let mut player = quiet();
    for watts in (0..1500).step_by(200) {
        polls(&mut player, LIGHTS.with(f64::from(watts) + 1.0, 0.99), 1);
    }
    assert!(polls(&mut player, LIGHTS.with(1500.0, 0.99), 30).said().is_empty());
}

#[test]
fn what_is_short_or_small_is_none() {
    let mut player = quiet();
    polls(&mut player, LIGHTS.with(1500.0, 1.0), 2);
    assert!(polls(&mut player, LIGHTS, 9).said().is_empty());
    polls(&mut player, LIGHTS.with(799.0, 1.0), 9);
    assert!(player.said().is_empty());
}

#[test]
fn so_many_of_them_in_a_time_make_an_alarm() {
    let mut player = Player::of("dormitory_load", &format!("{RULE}times = 3\nin_secs = 600\n"));
    polls(&mut player, LIGHTS, 3);
    player.findings.clear();
    let boil = |player: &mut Player, pause: usize| {
        polls(player, LIGHTS.with(1500.0, 1.0), 4);
        polls(player, LIGHTS, pause);
        player.said()
    };
    assert!(boil(&mut player, 5).is_empty());
    assert!(boil(&mut player, 60).is_empty());
    assert!(boil(&mut player, 5).is_empty(), "the first two are too long ago");
    assert!(boil(&mut player, 5).is_empty());
    assert_eq!(boil(&mut player, 5), ["d1 holds", "d1 ended"]);
}

#[test]
fn current_and_voltage_give_the_factor_as_well() {
    let rule = format!("{RULE}current_point = \"current_a\"\nvoltage_point = \"voltage_a\"\n");
    for (current, said) in [(7.0, vec!["d1 holds"]), (9.0, vec![])] {
        let mut player = Player::of("dormitory_load", &rule);
        let mut reads = |watts: f64, amperes: f64, count: usize| {
            for _ in 0..count {
                player.reads("d1", "power_total", watts).reads("d1", "current_a", amperes);
                player.reads("d1", "voltage_a", 220.0).wait(10);
            }
        };
        reads(0.0, 0.0, 3);
        reads(1540.0, current, 3);
        assert_eq!(player.said()[1..], said);
    }
}

#[test]
fn silence_restart_and_clock() {
    let mut player = quiet();
    player.link("d1", Link::Down(Fault::Timeout)).wait(600);
    assert!(polls(&mut player, LIGHTS.with(1500.0, 1.0), 9).said().is_empty(), "nobody saw the step");
    let mut player = quiet();
    player.wait(60);
    assert!(polls(&mut player, LIGHTS.with(1500.0, 1.0), 9).said().is_empty(), "nor this one");
    let mut player = quiet();
    player.set_wall(Wall(3));
    assert_eq!(polls(&mut player, LIGHTS.with(1500.0, 1.0), 3).said(), ["d1 holds"]);
    player.restart();
    assert!(polls(&mut player, LIGHTS.with(1500.0, 1.0), 9).said().is_empty(), "it may be on still");
    assert_eq!(polls(&mut player, LIGHTS, 1).said(), ["d1 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("dormitory_load", &RULE.replace("\"W\"", "\"A\""), &["a step in A is no active power"]);
    one_slip("dormitory_load", &RULE.replace("d1", "e1"), &["no point 'power_factor'"]);
    one_slip(
        "dormitory_load",
        &format!("{RULE}current_point = \"current_a\"\n"),
        &["one of current and voltage"],
    );
    one_slip(
        "dormitory_load",
        &format!("{RULE}factor_point = \"current_a\"\n"),
        &["'current_a' is measured in A"],
    );
    one_slip("dormitory_load", &format!("{RULE}within_secs = 2\n"), &["every 10 s", "write 10 or more"]);
}

fn number(dice: &mut Dice, sides: u64) -> f64 {
    f64::from(u32::try_from(dice.roll(sides)).expect("small"))
}

/// Appliances come and go one after the other; the heating ones that stay for three polls and no other are told.
#[test]
fn tells_exactly_the_appliances_that_heat() {
    let mut told = 0;
    for seed in 0..60 {
        let mut dice = Dice::seeded(seed);
        let mut player = quiet();
        for turn in 0..20 {
            let base = LIGHTS.with(1.0 + number(&mut dice, 500), 0.6 + number(&mut dice, 30) / 100.0);
            polls(&mut player, base, 4);
            let watts = 850.0 + number(&mut dice, 1500);
            let lasting = 1 + usize::try_from(dice.roll(6)).expect("small");
            let expected: Vec<&str> = match dice.roll(4) {
                0 => {
                    polls(&mut player, base.with(watts, 0.995), lasting);
                    if lasting >= 3 { vec!["d1 holds", "d1 ended"] } else { vec![] }
                }
                1 => {
                    polls(&mut player, base.with(3.0 * watts, 0.99), 1);
                    polls(&mut player, base.with(watts / 2.0, 0.99), lasting);
                    vec![]
                }
                2 => {
                    polls(&mut player, base.with(watts, 0.9), lasting);
                    vec![]
                }
                _ => {
                    polls(&mut player, base.with(700.0, 1.0), lasting);
                    vec![]
                }
            };
            polls(&mut player, base, 4);
            assert!(player.findings.iter().all(|finding| finding.level != Level::Happened));
            assert_eq!(player.said(), expected, "seed {seed}, turn {turn}");
            told += expected.len();
        }
    }
    assert!(told > 100, "{told}");
}
