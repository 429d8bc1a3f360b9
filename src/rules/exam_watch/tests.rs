//! A device is lost in an examination, before one, is never heard, gives no picture; the examination ends.

use crate::calendar::Calendar;
use crate::document::{Document, Problems};
use crate::model::{EventKind, Fault, Link, Phase};
use crate::rules::World;
use crate::rules::testing::{Player, local, parse, world, zone};
use std::sync::Arc;

const EXAM: &str = "[calendar]\n[[calendar.exam]]\nname = \"final\"\nfirst = \"2026-10-09\"\nlast = \"2026-10-09\"\n\
                    periods = [\"14:00-16:00\"]\n";

fn at(start: &str) -> Player {
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", EXAM, &problems);
    let root = document.reader(&problems);
    let calendar = Calendar::parse(&root.table("calendar").expect("a table"), &zone()).expect("a good one");
    let world = World { calendar: Arc::new(calendar), ..world() };
    let text = "[[rule]]\nid = \"r\"\nkind = \"exam_watch\"\ndevices = [\"cam1\"]\n";
    Player::new(parse(text, &world).expect("a good rule"), local(start))
}

const LOST: Link = Link::Down(Fault::Timeout);

#[test]
fn a_device_lost_in_an_examination_is_told_within_half_a_minute() {
    let mut player = at("2026-10-09T14:30");
    assert_eq!(player.link("cam1", Link::Up).said(), ["cam1 ended"]);
    player.link("cam1", LOST).wait(19);
    assert!(player.said().is_empty());
    player.wait(1);
    assert!(
        player.findings[0].what.zh.starts_with("大门 摄像机: 考试期间设备离线；"),
        "{:?}",
        player.findings
    );
    assert_eq!(player.said(), ["cam1 holds"]);
    assert_eq!(player.link("cam1", Link::Up).said(), ["cam1 ended"]);
    player.link("cam1", LOST).wait(10).link("cam1", Link::Up).wait(60);
    assert!(player.said().is_empty(), "it was back in time");
}

#[test]
fn lost_before_is_told_when_it_begins_and_ends_with_it() {
    let mut player = at("2026-10-09T13:00");
    player.link("cam1", LOST).wait(3600 + 19);
    assert_eq!(player.said(), ["cam1 ended"]);
    assert_eq!(player.wait(1).said(), ["cam1 holds"]);
    assert_eq!(player.wait(2 * 3600).said(), ["cam1 ended"]);
    assert!(player.link("cam1", LOST).wait(3600).said().is_empty());
}

#[test]
fn never_heard_of_since_the_start_and_no_picture() {
    let mut player = at("2026-10-09T14:30");
    assert_eq!(player.wait(20).said(), ["cam1 holds"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Moment).said(), ["cam1 ended"]);
    player.event("cam1", EventKind::VideoLoss, Phase::Start).wait(20);
    assert_eq!(player.findings[0].what.en, "大门 摄像机: no picture during an examination");
    player.said();
    assert_eq!(player.event("cam1", EventKind::VideoLoss, Phase::End).said(), ["cam1 ended"]);
    assert_eq!(player.restart().wait(20).said(), ["cam1 holds"], "a restart asks anew");
}
