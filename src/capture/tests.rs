//! Which cameras are asked for which alarm, and what is left out.

use super::*;
use crate::model::{Actor, AlarmClass, AlarmKey, Handled, PlaceKind, RuleId, Text, Wall};
use crate::profile::{self};
use crate::runtime::ManualClock;
use std::collections::BTreeSet as Set;

fn camera(id: &str, place: &str, views: &[&str]) -> Camera {
    const GENERIC: &str = include_str!("../../device-profiles/camera/onvif-generic/profile.toml");
    let profile = profile::parse("profile.toml", GENERIC, &crate::document::Problems::new()).unwrap();
    let device = Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::new(profile),
        bus: crate::model::BusId::new("cameras").unwrap(),
        address: "http://127.0.0.1:9/onvif/device_service".into(),
        place: PlaceId::new(place).unwrap(),
        poll: Duration::from_secs(60),
        alarmed: Set::new(),
        item: None,
    };
    let settings =
        Onvif { login: None, timeout: Duration::from_secs(5), probe_every: Duration::from_secs(300) };
    Camera { device, settings, views: views.iter().map(|id| PlaceId::new(id).unwrap()).collect() }
}

fn places() -> BTreeMap<PlaceId, Place> {
    let place = |(id, parent): (&str, Option<&str>)| {
        let id = PlaceId::new(id).unwrap();
        let parent = parent.map(|parent| PlaceId::new(parent).unwrap());
        let (name, path, kind) = (id.to_string(), Text::same(id.as_str()), PlaceKind::Room);
        let place = Place {
            id: id.clone(),
            kind,
            name,
            parent,
            path,
            counts: false,
            assembly: false,
            overnight: false,
            calendar: None,
        };
        (id, place)
    };
    // Two places that name each other as parents are a slip that must not hang anything.
    let all =
        [("campus", None), ("b1", Some("campus")), ("r101", Some("b1")), ("a", Some("b")), ("b", Some("a"))];
    all.into_iter().map(place).collect()
}

fn alarm(id: u64, place: Option<&str>, device: Option<&str>) -> Alarm {
    Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("rule").unwrap(), subject: id.to_string() },
        class: AlarmClass::Security,
        priority: Priority::High,
        device: device.map(|id| DeviceId::new(id).unwrap()),
        place: place.map(|id| PlaceId::new(id).unwrap()),
        what: Text::same("what"),
        raised_at: Wall(1_790_000_000_000),
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: Default::default(),
    }
}

fn capture(cameras: Vec<Camera>, live: watch::Receiver<Arc<Live>>) -> Capture {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Wall(1_790_000_000_000)));
    let shelf = Shelf::new(std::path::Path::new("/nowhere"), 30, 1);
    Capture::new(cameras, Arc::new(places()), shelf, (clock, Arc::default()), live)
}

#[test]
fn the_cameras_of_the_place_are_asked_or_of_the_nearest_around_it() {
    let (_live, seen) = watch::channel(Arc::default());
    let cameras = vec![
        camera("yard", "campus", &[]),
        camera("hall", "b1", &["r101"]),
        camera("door", "r101", &[]),
        camera("stairs", "b1", &[]),
    ];
    let capture = capture(cameras, seen);
    let asked = |place, device| {
        let ids = capture.cameras_of(&alarm(1, place, device));
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(asked(Some("r101"), None), "door hall");
    assert_eq!(asked(Some("b1"), Some("meter")), "hall stairs");
    assert_eq!(asked(Some("campus"), None), "yard");
    assert_eq!(asked(Some("r101"), Some("yard")), "yard", "a camera that is tampered with shows itself");
    assert_eq!(asked(None, None), "");
    assert_eq!(asked(Some("a"), None), "", "a circle of places ends");
}

#[test]
fn each_return_of_a_cause_is_a_picture_up_to_a_limit_and_the_least_urgent_are_left_out() {
    let (live, seen) = watch::channel(Arc::default());
    let mut capture = capture(vec![camera("yard", "campus", &[])], seen);
    let show = |alarms: Vec<Alarm>| live.send_replace(Arc::new(Live { alarms, ..Live::default() }));
    show(vec![alarm(1, Some("campus"), None)]);
    let mut before = capture.first_look();
    let mut waiting = BTreeSet::new();
    capture.look(&mut before, &mut waiting);
    assert!(waiting.is_empty(), "what was open at the start had its picture");

    for occurrences in 1..=20 {
        let handled = Handled { by: Actor::gateway(), at: Wall(0), note: String::new() };
        show(vec![Alarm { occurrences, acknowledged: Some(handled), ..alarm(2, Some("campus"), None) }]);
        waiting.clear();
        capture.look(&mut before, &mut waiting);
        assert_eq!(waiting.len(), usize::from(occurrences <= PER_ALARM), "{occurrences}");
        capture.look(&mut before, &mut waiting);
        assert_eq!(waiting.len(), usize::from(occurrences <= PER_ALARM), "seen twice, taken once");
    }

    waiting.clear();
    let mut flood: Vec<Alarm> = (10..2010).map(|id| alarm(id, Some("campus"), None)).collect();
    flood.push(Alarm { priority: Priority::Critical, ..alarm(5000, Some("campus"), None) });
    show(flood);
    capture.look(&mut before, &mut waiting);
    assert_eq!(waiting.len(), WAITING);
    assert_eq!(waiting.first().map(|job| job.alarm), Some(AlarmId(5000)), "the critical one comes first");
    assert_eq!(capture.tally.pictures.of(&"left_out").get(), 2001 - 256);
}
