//! Reports of a seeded store against written ones, and what holds of every report.

use crate::alarm::{AlarmBook, Before, Setup};
use crate::model::alarm::MAX_NOTE_CHARS;
use crate::model::*;
use crate::pipeline::Commit;
use crate::report::{text, *};
use crate::rules::{Finding, Level};
use crate::store::{Reader, Store};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::collections::BTreeMap;
use tempfile::tempdir;

/// 2026-09-01 08:00 in China.
const EIGHT: Wall = Wall(1_788_220_800_000);
const MINUTE: i64 = 60_000;

fn china() -> TimeZone {
    TimeZoneDatabase::bundled().get("Asia/Shanghai").unwrap()
}

fn at(minutes: i64) -> Wall {
    EIGHT.plus_ms(minutes * MINUTE)
}

fn places() -> BTreeMap<PlaceId, Place> {
    let place = |id: &str, zh: &str, en: &str| {
        let id = PlaceId::new(id).unwrap();
        let place = Place {
            id: id.clone(),
            kind: PlaceKind::Room,
            name: zh.to_owned(),
            parent: None,
            path: Text::new(zh, en),
            counts: false,
            assembly: false,
            overnight: false,
            calendar: None,
        };
        (id, place)
    };
    BTreeMap::from([
        place("lab", "实验楼 / 3层 / 化学准备室", "labs / 3 / chemistry"),
        place("gate", "南门", "south gate"),
    ])
}

fn head(from: Wall, to: Wall) -> Head {
    let gateway = DeviceId::new("gw-1").unwrap();
    Head { site: "寿县第一中学".into(), gateway, from, to, made_at: to.plus_ms(MINUTE), guards: 2 }
}

/// A store while a story is told to it.
struct Story {
    dir: tempfile::TempDir,
    store: Store,
    book: AlarmBook,
}

impl Story {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let before = Before { next_id: 1, next_hazard: 1, ..Before::default() };
        Self { dir, store, book: AlarmBook::restore(before, Setup::default()) }
    }

    fn now(&self, at: Wall) -> Now {
        Now { mono: Mono(u64::try_from(at.since(EIGHT) + 48 * 60 * MINUTE).unwrap()), wall: at }
    }

    fn keep(&mut self, alarm_changes: Vec<AlarmChange>) {
        let hazards = self.book.hazard_notes();
        self.store.commit(&[&Commit { alarm_changes, hazards, ..Commit::default() }]).unwrap();
    }

    fn told(
        &mut self,
        at: Wall,
        (class, priority): (AlarmClass, Priority),
        what: (&str, &str),
        level: Level,
    ) {
        let finding = Finding {
            key: AlarmKey { rule: RuleId::new(class.as_str()).unwrap(), subject: what.1.to_owned() },
            level,
            class,
            priority,
            device: None,
            place: PlaceId::new("lab").ok(),
            what: Text::new(what.0, what.1),
        };
        let changes = self.book.apply(self.now(at), &finding, &[]);
        assert!(!changes.is_empty(), "{what:?}");
        self.keep(changes);
    }

    fn ordered(&mut self, at: Wall, order: Order, note: &str) {
        let command = Command { order, actor: Actor::named("王老师").unwrap(), note: note.to_owned() };
        let (changes, _) = self.book.order(self.now(at), &command).unwrap();
        self.keep(changes);
    }

    fn shift(&self, from: Wall, to: Wall, mut rest: Rest) -> Shift {
        let (reader, places) = (Reader::open(self.dir.path()).unwrap(), places());
        let mut writing = Writing::new(head(from, to), &places);
        rest.hazards = reader.hazards_in((from, to)).unwrap();
        reader.lives((from, to), |alarm, steps| writing.alarm(alarm, steps)).unwrap();
        writing.finish(rest)
    }
}

/// A day: something stands, help was called, somebody came in, a meter was silent, one is being repaired, one practised.
fn day() -> Shift {
    use Level::{Ended, Holds};
    let mut story = Story::new();
    let warm = ("配电房温度偏高", "the switch room is warm");
    story.told(at(-26 * 60), (AlarmClass::Environment, Priority::Low), warm, Holds);
    let help = ("有人求助", "somebody calls for help");
    story.told(at(10), (AlarmClass::Help, Priority::Critical), help, Holds);
    story.ordered(at(10).plus_ms(25_000), Order::Acknowledge(AlarmId(2)), "已到现场");
    story.told(at(12), (AlarmClass::Help, Priority::Critical), help, Ended);
    story.ordered(at(12).plus_ms(1000), Order::CallSupport(AlarmId(2)), "需要两人");
    story.ordered(at(13), Order::Reset(AlarmId(2)), "");
    story.ordered(at(14), Order::Confirm { id: AlarmId(2), truth: Truth::Real }, "");
    story.told(
        at(60),
        (AlarmClass::Intrusion, Priority::Critical),
        ("窗户被打开", "a window was opened"),
        Holds,
    );
    let silent = ("电表无应答", "a meter does not answer");
    story.told(at(90), (AlarmClass::Equipment, Priority::Medium), silent, Holds);
    story.ordered(at(94), Order::Acknowledge(AlarmId(4)), "=HYPERLINK(\"http://x\")<b>");
    story.told(at(95), (AlarmClass::Equipment, Priority::Medium), silent, Ended);
    story.ordered(at(96), Order::Confirm { id: AlarmId(4), truth: Truth::False }, "");
    let leak = ("夜间用水偏高", "much water at night");
    story.told(at(120), (AlarmClass::Energy, Priority::High), leak, Holds);
    story.ordered(at(121), Order::TakeOut { id: AlarmId(5), secs: Some(7 * 24 * 3600) }, "送修");
    story.told(at(130), (AlarmClass::Fire, Priority::Critical), ("烟感报警", "smoke"), Holds);
    story.ordered(at(131), Order::Acknowledge(AlarmId(6)), "");
    story.ordered(at(131), Order::Confirm { id: AlarmId(6), truth: Truth::Drill }, "疏散演练");
    story.ordered(at(200), Order::Shelve { id: AlarmId(1), secs: 12 * 3600, once: true }, "等空调到货");
    let found =
        |what: &str| Order::FindHazard { alarm: None, place: PlaceId::new("gate").ok(), what: what.into() };
    story.ordered(at(300), found("围栏松动"), "东侧第三根");
    story.ordered(at(301), found("消防栓遮挡"), "");
    story.ordered(at(320), Order::StepHazard { id: HazardId(2), stage: Stage::Checked }, "堆放桌椅");
    let silent = Silent {
        device: DeviceId::new("cam-3").unwrap(),
        name: "南门球机".into(),
        place: Some(Text::new("南门", "south gate")),
        fault: Fault::Timeout,
        since: at(400),
    };
    let area = AreaLine {
        name: "实验楼".into(),
        mode: ArmMode::Partial,
        by: Actor::named("李老师").unwrap(),
        since: at(-600),
        open: 1,
        bypassed: 0,
    };
    let upload =
        |destination: &str, waiting, lag_secs| Upload { destination: destination.into(), waiting, lag_secs };
    let rest = Rest {
        silent: vec![silent],
        areas: vec![area],
        uploads: vec![upload("city", 0, 0), upload("province", 17, 3700)],
        ..Rest::default()
    };
    story.shift(EIGHT, at(12 * 60), rest)
}

fn golden(name: &str, said: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report").join(name);
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, said).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(said == wanted, "{name} differs: look, then BLESS=1\n{said}");
}

#[test]
fn a_day_is_reported_as_it_is_written() {
    let shift = day();
    for (lang, name) in [(Lang::Zh, "zh"), (Lang::En, "en")] {
        let document = shift_document(&shift, &places(), lang, &china());
        golden(&format!("shift.{name}.txt"), &text::text(&document));
        golden(&format!("shift.{name}.csv"), &csv::csv(&document));
        golden(&format!("shift.{name}.html"), &html::html(&document));
    }
    golden("shift.json", &shift.json());
    let figures = figures_document(&shift.head, &shift.kpi, Lang::Zh, &china());
    golden("figures.zh.csv", &csv::csv(&figures));
    // Once more over the same store: the same, to the hash.
    assert_eq!(day().hash(), shift.hash());
}

#[test]
fn who_took_what_and_what_is_left_is_in_it() {
    let shift = day();
    let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.id.0).collect::<Vec<_>>();
    assert_eq!(ids(&shift.open), [3], "the one that nobody took");
    assert_eq!(ids(&shift.alarms), [2, 3, 4, 5], "the drill is left out");
    let help = &shift.alarms[0];
    assert_eq!((help.taken_after_ms, help.state, help.truth), (Some(25_000), 'A', Some(Truth::Real)));
    assert_eq!(help.note, "已到现场");
    let quiet: Vec<_> = shift.quiet.iter().map(|quiet| (quiet.id.0, quiet.until)).collect();
    assert_eq!(quiet, [(1, Some(at(200 + 12 * 60))), (5, Some(at(121 + 7 * 24 * 60)))]);
    assert_eq!(shift.hazards.len(), 2);
    assert_eq!(shift.kpi.standing, [AlarmId(1)]);
    assert_eq!(shift.kpi.false_share, Some(0.5));
}

#[test]
fn the_hash_is_of_everything_and_a_report_of_the_past_knows_nothing_later() {
    let shift = day();
    let mut other = shift.clone();
    other.alarms[0].note.push('。');
    assert_ne!(other.hash(), shift.hash());
    assert!(shift.json().ends_with(&format!("\"sha256\":\"{}\"}}\n", shift.hash())));
    assert_eq!(shift.hash().len(), 64);
    // Before the night everything was still to come.
    let mut story = Story::new();
    story.told(at(-10), (AlarmClass::Fire, Priority::Critical), ("火警", "fire"), Level::Holds);
    story.ordered(at(5), Order::Acknowledge(AlarmId(1)), "later");
    let before = story.shift(at(-720), EIGHT, Rest::default());
    assert_eq!((before.open[0].state, before.open[0].taken_by.clone()), ('B', None));
    assert_eq!((before.open[0].note.as_str(), before.kpi.untaken), ("", 1));
    let after = story.shift(EIGHT, at(720), Rest::default());
    assert_eq!((after.open[0].state, after.open[0].taken_after_ms), ('C', Some(15 * MINUTE)));
    assert_eq!(after.alarms, [], "it came before");
}

#[test]
fn an_empty_shift_is_a_report_too() {
    let shift = Story::new().shift(EIGHT, at(720), Rest::default());
    for lang in [Lang::Zh, Lang::En] {
        let document = shift_document(&shift, &places(), lang, &china());
        let html = html::html(&document);
        assert!(html.contains(["没有未结束的报警", "no alarm is open"][usize::from(lang == Lang::En)]));
        assert!(pdf::pdf(&document).starts_with(b"%PDF-1.7"));
        assert!(document.sections.iter().all(|s| s.rows.iter().all(|row| row.len() == s.columns.len())));
    }
}

#[test]
fn of_two_thousand_alarms_five_hundred_are_printed_and_all_are_in_the_csv() {
    let mut shift = day();
    let one = shift.alarms[0].clone();
    let note = "长".repeat(MAX_NOTE_CHARS);
    shift.alarms = (1..=2_000).map(|id| Entry { id: AlarmId(id), ..one.clone() }).collect();
    shift.open = vec![Entry { note: note.clone(), ..one }];
    let document = shift_document(&shift, &places(), Lang::Zh, &china());
    let rows = |text: &str| text.matches("有人求助").count();
    let (page, table) = (html::html(&document), csv::csv(&document));
    assert_eq!((rows(&page), rows(&text::text(&document)), rows(&table)), (501, 501, 2_001));
    assert!(page.contains("另有1500条未列出"));
    assert!(page.contains(&note) && table.contains(&note));
}

#[test]
fn a_page_has_no_script_and_nothing_from_elsewhere_and_its_policy_is_that_of_its_style() {
    let page = html::html(&shift_document(&day(), &places(), Lang::Zh, &china()));
    for never in ["<script", "src=", "href=", "url(", "@import", "<b>", " style="] {
        assert!(!page.contains(never), "{never}");
    }
    assert!(page.contains("=HYPERLINK(&quot;http://x&quot;)&lt;b&gt;"));
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    use base64::Engine;
    use sha2::Digest;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(html::policy().contains(&format!("'sha256-{hash}'")) && page.contains(&html::policy()));
}
