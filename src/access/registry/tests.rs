//! The registry, step by step and in random histories.

use super::*;

const NOON: Wall = Wall(1_790_000_000_000);
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$aGFzaA";

fn at(secs: u64) -> Now {
    Now { mono: Mono(secs * 1000), wall: NOON.plus_ms(i64::try_from(secs).unwrap() * 1000) }
}

fn who(name: &str, role: Role) -> Opening {
    Opening { name: Actor::named(name).unwrap(), role, kiosk: role == Role::Kiosk, foreign: false }
}

/// Two accounts, `admin` and `zhang`.
fn claimed() -> Registry {
    let mut registry = Registry::default();
    registry.set_claim("AAAA-BBBB-CCCC-DDDD-EEEE").unwrap();
    registry.claim("aaaa bbbb cccc dddd eeee", "Admin", HASH.into(), at(0)).unwrap();
    registry.add("zhang", Role::Guard, HASH.into(), at(0)).unwrap();
    registry
}

#[test]
fn the_code_makes_the_first_account_once() {
    let mut registry = Registry::default();
    assert_eq!(registry.claim("", "admin", HASH.into(), at(0)), Err(Denied::WrongCode), "there is none yet");
    assert_eq!(registry.add("zhang", Role::Guard, HASH.into(), at(0)), Err(Denied::LastAdmin));
    registry.set_claim("AAAA-BBBB-CCCC-DDDD-EEEE").unwrap();
    registry.set_claim("AAAA-BBBB-CCCC-DDDD-FFFF").unwrap();
    let old = registry.claim("AAAA-BBBB-CCCC-DDDD-EEEE", "admin", HASH.into(), at(0));
    assert_eq!(old, Err(Denied::WrongCode), "the newest counts");
    assert_eq!(registry.claim("AAAA-BBBB-CCCC-DDDD-FFFF", "x@y", HASH.into(), at(0)), Err(Denied::BadName));
    registry.claim("AAAA-BBBB-CCCC-DDDD-FFFF", "admin", HASH.into(), at(0)).unwrap();
    let again = registry.claim("AAAA-BBBB-CCCC-DDDD-FFFF", "mallory", HASH.into(), at(0));
    assert_eq!(again, Err(Denied::Claimed));
    assert_eq!(registry.set_claim("AAAA-BBBB-CCCC-DDDD-GGGG"), Err(Denied::Claimed));
    assert!(!registry.has_claim());
}

#[test]
fn names_are_one_whatever_the_size_of_their_letters_and_somebody_can_always_give_accounts() {
    let mut registry = claimed();
    assert_eq!(registry.add(" ZHANG ", Role::Viewer, HASH.into(), at(1)), Err(Denied::NameTaken));
    for name in ["", "  ", "gateway", "Local", "system", "api", "a@b"] {
        assert_eq!(registry.add(name, Role::Viewer, HASH.into(), at(1)), Err(Denied::BadName), "{name}");
    }
    let (viewer, disabled) = (
        Change { role: Some(Role::Viewer), ..Change::default() },
        Change { disabled: Some(true), ..Change::default() },
    );
    for change in [viewer, disabled.clone()] {
        assert_eq!(registry.change("admin", change), Err(Denied::LastAdmin));
    }
    assert_eq!(registry.remove("admin"), Err(Denied::LastAdmin));
    registry.change("zhang", Change { role: Some(Role::Admin), ..Change::default() }).unwrap();
    registry.change("admin", disabled.clone()).unwrap();
    assert_eq!(registry.change("zhang", disabled), Err(Denied::LastAdmin));
    assert_eq!(registry.remove("nobody"), Err(Denied::Unknown));
}

#[test]
fn a_session_is_over_when_quiet_or_old_and_a_screens_lasts() {
    let mut registry = claimed();
    let id = registry.open(who("zhang", Role::Guard), &[1; 32], at(0));
    assert!(registry.enter(&id, at(1_799)).is_some());
    assert!(registry.enter(&id, at(1_799 + 1_799)).is_some());
    assert!(registry.enter(&id, at(1_799 + 1_799 + 1_800)).is_none(), "quiet for half an hour");

    let id = registry.open(who("zhang", Role::Guard), &[2; 32], at(0));
    for secs in (0..12 * 3600).step_by(600) {
        assert!(registry.enter(&id, at(secs)).is_some(), "{secs}");
    }
    assert!(registry.enter(&id, at(12 * 3600)).is_none(), "half a day old");

    let day = 24 * 3600;
    let screen = registry.open(who("zhang", Role::Kiosk), &[3; 32], at(0));
    assert!(registry.enter(&screen, at(399 * day)).is_some());
    assert!(registry.enter(&screen, at(400 * day)).is_none());
}

#[test]
fn a_clock_that_is_set_back_makes_no_session_longer() {
    let mut registry = claimed();
    let id = registry.open(who("zhang", Role::Guard), &[1; 32], at(0));
    for secs in (0..12 * 3600).step_by(600) {
        let set_back = Now { wall: NOON.plus_ms(-1_000_000_000), ..at(secs) };
        assert!(registry.enter(&id, set_back).is_some(), "{secs}");
    }
    assert!(registry.enter(&id, Now { wall: NOON, ..at(12 * 3600) }).is_none());
}

#[test]
fn a_change_of_an_account_ends_its_sessions_and_no_other() {
    let changes = [
        Change { role: Some(Role::Viewer), ..Change::default() },
        Change { disabled: Some(true), ..Change::default() },
        Change { password: Some(HASH.into()), ..Change::default() },
    ];
    for change in changes {
        let mut registry = claimed();
        let (theirs, other) = (
            registry.open(who("zhang", Role::Guard), &[1; 32], at(0)),
            registry.open(who("admin", Role::Admin), &[2; 32], at(0)),
        );
        let digest = Digest::of(&theirs);
        assert!(registry.goes_on(&digest, at(1)));
        registry.change("Zhang", change).unwrap();
        assert!(registry.enter(&theirs, at(1)).is_none() && !registry.goes_on(&digest, at(1)));
        assert!(registry.enter(&other, at(1)).is_some());
    }
    let mut registry = claimed();
    let id = registry.open(who("zhang", Role::Guard), &[1; 32], at(0));
    registry.remove("zhang").unwrap();
    assert!(registry.enter(&id, at(1)).is_none());
    // Who comes by another's word is not who gets the account of that name.
    let foreign = Opening { foreign: true, ..who("li", Role::Viewer) };
    let id = registry.open(foreign, &[4; 32], at(0));
    registry.add("li", Role::Admin, HASH.into(), at(1)).unwrap();
    assert!(registry.enter(&id, at(2)).is_none());
}

#[test]
fn sessions_are_bounded_and_screens_go_last() {
    let mut registry = claimed();
    let screen = registry.open(who("zhang", Role::Kiosk), &[0; 32], at(0));
    let first = registry.open(who("zhang", Role::Guard), &[1; 32], at(1));
    for n in 2..60 {
        registry.open(who("zhang", Role::Guard), &[n; 32], at(u64::from(n)));
    }
    assert_eq!(registry.sessions(at(61)).count(), MAX_SESSIONS_EACH);
    assert!(registry.enter(&screen, at(61)).is_some() && registry.enter(&first, at(61)).is_none());
    for n in 0..u32::try_from(MAX_SESSIONS).unwrap() + 100 {
        let mut random = [9; 32];
        random[..4].copy_from_slice(&n.to_le_bytes());
        let foreign = Opening { foreign: true, ..who(&format!("user-{n}"), Role::Viewer) };
        registry.open(foreign, &random, at(62));
    }
    assert_eq!(registry.sessions(at(63)).count(), MAX_SESSIONS);
    assert!(registry.enter(&screen, at(63)).is_some());
}

#[test]
fn a_token_lets_in_until_it_ends_or_is_revoked() {
    let mut registry = claimed();
    let until = |secs| at(secs).wall;
    let text = registry.add_token("Scada", Role::Viewer, until(100), &[7; 32], at(0)).unwrap();
    let digest = Digest::of(&text);
    assert_eq!(registry.token_of(&digest, at(99)).unwrap().name.as_str(), "Scada");
    assert!(registry.token_of(&digest, at(100)).is_none());
    for (name, role, end, why) in [
        ("scada", Role::Viewer, 100, Denied::NameTaken),
        ("a@b", Role::Viewer, 100, Denied::BadName),
        ("x", Role::Kiosk, 100, Denied::KioskToken),
        ("x", Role::Viewer, 0, Denied::Expiry),
        ("x", Role::Viewer, 3 * 366 * 24 * 3600, Denied::Expiry),
    ] {
        assert_eq!(
            registry.add_token(name, role, until(end), &[8; 32], at(0)),
            Err(why),
            "{name} {role} {end}"
        );
    }
    registry.revoke("SCADA").unwrap();
    assert!(registry.token_of(&digest, at(1)).is_none());
    assert_eq!(registry.revoke("scada"), Err(Denied::Unknown));
}

#[test]
fn a_text_that_is_not_as_it_was_written_lets_nobody_in() {
    let text = claimed().text();
    assert_eq!(Registry::from_text(&text, at(0)).unwrap().text(), text);
    let whole = text.trim_end();
    for cut in 0..whole.len() {
        if let Some(part) = whole.get(..cut) {
            assert!(Registry::from_text(part, at(0)).is_err(), "{cut}");
        }
    }
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("\"admin\"", "\"superuser\""),
        ("\"role\": \"admin\"", "\"role\": \"viewer\""),
        ("\"zhang\": {", "\"li\": {"),
        ("\"claim\"", "\"claims\""),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Registry::from_text(&text.replacen(from, to, 1), at(0)).expect_err(from);
        assert!(!error.contains("argon2"), "{error}");
    }
}

/// A small generator: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn in_random_histories_nobody_is_in_who_should_not_be() {
    const NAMES: [&str; 6] = ["admin", "zhang", "Zhang", "li", "wang", "chen"];
    for seed in 1..=200 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed);
        let (mut registry, mut now, mut ids) = (claimed(), 0, Vec::new());
        for step in 0..200_u64 {
            now += dice.roll(2_000);
            let name = NAMES[usize::try_from(dice.roll(6)).unwrap()];
            let role = Role::ALL[usize::try_from(dice.roll(7)).unwrap()];
            match dice.roll(7) {
                0 => {
                    registry.add(name, role, HASH.into(), at(now)).ok();
                }
                1 => {
                    registry.remove(name).ok();
                }
                2 => {
                    registry.change(name, Change { role: Some(role), ..Change::default() }).ok();
                }
                3 => {
                    let disabled = Some(dice.roll(2) == 0);
                    registry.change(name, Change { disabled, ..Change::default() }).ok();
                }
                4 => {
                    registry =
                        Registry::from_text(&registry.text(), at(now)).expect("what was written is read")
                }
                _ => {
                    if let Some(account) = registry.account(name).filter(|account| !account.disabled).cloned()
                    {
                        let mut random = [0; 32];
                        random[..8].copy_from_slice(&(seed << 32 | step).to_le_bytes());
                        let opening = who(account.name.as_str(), account.role);
                        ids.push((registry.open(opening, &random, at(now)), now));
                    }
                }
            }
            assert!(registry.admins() >= 1, "seed {seed} step {step}");
            for (id, opened) in &ids {
                let Some((_, session)) = registry.clone().enter(id, at(now)) else { continue };
                let account = registry.account(session.name.as_str()).expect("an account");
                assert!(!account.disabled && account.role == session.role, "seed {seed} step {step}");
                let limit = if session.kiosk { KIOSK_LIMIT } else { SESSION_LIMIT };
                assert!(now - opened < limit.as_secs(), "seed {seed} step {step}");
            }
        }
    }
}
