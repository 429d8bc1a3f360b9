//! What good ladders mean, and that each slip is told with what to write instead.

use super::*;
use crate::config::{ChannelKind, Languages, Sound};
use crate::document::Document;

const WHERE: &str = r#"
[[place]]
id = "east"
[[channel]]
id = "guard-siren"
[[channel]]
id = "guard-wecom"
[[channel]]
id = "guard-sms"
[[channel]]
id = "head-sms"
"#;

fn known(id: &str) -> Channel {
    Channel {
        id: ChannelId::new(id).unwrap(),
        name: id.into(),
        languages: Languages::default(),
        quiet: None,
        max_per_minute: None,
        drill: id.starts_with("drill"),
        kind: ChannelKind::Sound(Sound { device: "default".into(), files: BTreeMap::new() }),
    }
}

fn read(text: &str) -> (Ladders, Vec<String>) {
    let problems = Problems::new();
    let whole = format!("{text}{WHERE}");
    let document = Document::parse("gateway.toml", &whole, &problems);
    let root = document.reader(&problems);
    let (mut places, mut names) = (Names::of(("地点", "place")), Names::of(("渠道", "channel")));
    for place in root.tables("place") {
        names_of(&mut places, &place);
    }
    let mut channels = Vec::new();
    for channel in root.tables("channel") {
        names_of(&mut names, &channel);
        channels.push(known(&channel.text("id").unwrap()));
    }
    let around =
        Around { channel_names: &names, channels: &channels, places: &places, in_responses: BTreeSet::new() };
    let ladders = ladders(root.tables("ladder"), &around, &problems);
    let told = problems
        .into_sorted()
        .into_iter()
        .map(|p| format!("{}: {} -> {}", p.spot.line, p.message.en, p.advice.en));
    (ladders, told.collect())
}

fn names_of(names: &mut Names, reader: &Reader<'_>) {
    names.declare(reader, RuleId::new).unwrap();
}

#[test]
fn the_example_means_what_it_says() {
    let (ladders, told) = read(EXAMPLE);
    assert_eq!(told, Vec::<String>::new());
    let night = &ladders.all[0];
    assert_eq!(
        (night.id.as_str(), night.remind, night.over),
        ("night", Some(Duration::from_secs(300)), true)
    );
    assert_eq!(night.scope.priorities, [Priority::Critical].into());
    assert_eq!(night.scope.classes, [AlarmClass::Fire, AlarmClass::Help].into());
    let hours = night.scope.hours.unwrap();
    assert_eq!((hours.from.to_string(), hours.until.to_string()), ("22:00:00".into(), "06:30:00".into()));
    let [first, second] = night.steps.as_slice() else { panic!("{:?}", night.steps) };
    let id = |id: &str| ChannelId::new(id).unwrap();
    assert_eq!(first.groups, [vec![id("guard-siren")], vec![id("guard-wecom"), id("guard-sms")]]);
    assert_eq!((second.after, &second.groups), (Duration::from_secs(60), &vec![vec![id("head-sms")]]));
    let added: Vec<&str> = ladders.all.iter().skip(1).map(|policy| policy.id.as_str()).collect();
    assert_eq!((added, ladders.usual), (vec!["default-critical"], 1), "nothing critical is told to nobody");
}

#[test]
fn without_a_ladder_the_usual_one_holds() {
    let (ladders, told) = read("");
    assert_eq!(told, Vec::<String>::new());
    assert_eq!((ladders.usual, ladders.all.len()), (3, 3));
}

#[test]
fn a_ladder_for_all_that_is_critical_needs_no_other() {
    let all = "channels = [\"guard-siren\", \"guard-wecom\", \"guard-sms\", \"head-sms\"]";
    let (ladders, told) = read(&format!("[[ladder]]\nid = \"a\"\n[[ladder.step]]\n{all}\n"));
    assert_eq!(told, Vec::<String>::new());
    assert_eq!((ladders.usual, ladders.all.len()), (0, 1));
}

#[test]
fn each_slip_is_told_with_what_to_write_instead() {
    let all = "\"guard-siren\", \"guard-wecom\", \"guard-sms\", \"head-sms\"";
    let mut wrong = Vec::new();
    for (ladder, expected) in [
        ("id = \"a\"", "this ladder has no step"),
        ("id = \"a\"\n[[ladder.step]]\nchannels = []", "this step has no channel"),
        ("id = \"a\"\n[[ladder.step]]\nchannels = [[]]", "this step has no channel"),
        ("id = \"a\"\n[[ladder.step]]\nchannels = [1, ALL]", "is a whole number"),
        (
            "id = \"a\"\n[[ladder.step]]\nchannels = [\"guard-wecon\", ALL]",
            "there is no channel 'guard-wecon' -> did you mean 'guard-wecom'?",
        ),
        ("id = \"a\"\n[[ladder.step]]\nchannels = [ALL, [\"head-sms\"]]", "is in this step twice"),
        ("id = \"a\"\n[[ladder.step]]\nafter_secs = 5\nchannels = [ALL]", "the first step is told at once"),
        (
            "id = \"a\"\n[[ladder.step]]\nchannels = [ALL]\n[[ladder.step]]\nchannels = [ALL]",
            "'after_secs' is missing",
        ),
        (
            "id = \"a\"\n[[ladder.step]]\nchannels = [ALL]\n[[ladder.step]]\nafter_secs = 60\nchannels = [ALL]\n[[ladder.step]]\nafter_secs = 60\nchannels = [ALL]",
            "this step comes 60 s after the alarm, but the one before it 60 s",
        ),
        (
            "id = \"a\"\n[[ladder.step]]\nchannels = [\"guard-siren\", \"guard-sms\", \"head-sms\"]",
            "the channel 'guard-wecom' is in no step of any ladder",
        ),
        (
            "id = \"a\"\npriorities = [\"urgent\"]\n[[ladder.step]]\nchannels = [ALL]",
            "'priorities' cannot hold \"urgent\"",
        ),
        ("id = \"a\"\nplaces = [\"west\"]\n[[ladder.step]]\nchannels = [ALL]", "there is no place 'west'"),
        ("id = \"a\"\nhours = \"22-6\"\n[[ladder.step]]\nchannels = [ALL]", "is not a span of hours"),
        ("id = \"a\"\nhours = \"22:00-22:00\"\n[[ladder.step]]\nchannels = [ALL]", "ends as it begins"),
        (
            "id = \"a\"\nremind_secs = 5\n[[ladder.step]]\nchannels = [ALL]",
            "'ladder.remind_secs' is out of range",
        ),
        ("id = \"a\"\nremind = 5\n[[ladder.step]]\nchannels = [ALL]", "remind"),
        (
            "id = \"a\"\n[[ladder.step]]\nchannels = [ALL]\n[[ladder]]\nid = \"b\"\nclasses = [\"fire\"]\n[[ladder.step]]\nchannels = [ALL]",
            "no alarm ever comes to this ladder",
        ),
    ] {
        let text = format!("[[ladder]]\n{}\n", ladder.replace("ALL", all));
        let (_, told) = read(&text);
        // What is broken leaves channels unused; that follows, and is no slip of its own here.
        let told: Vec<&String> = told
            .iter()
            .filter(|told| expected.contains("in no step of any") || !told.contains("in no step of any"))
            .collect();
        if told.len() != 1 || !told[0].contains(expected) {
            wrong.push(format!("{ladder}\nexpected: {expected}\ntold: {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn channels_for_drills_need_not_be_named_and_are_told_nothing_else() {
    let drill = "[[channel]]\nid = \"drill-hook\"\n";
    let (ladders, told) = read(drill);
    assert_eq!(told, Vec::<String>::new());
    let named = |policy: &Policy| {
        let groups = policy.steps.iter().flat_map(|step| &step.groups);
        groups.flatten().any(|id| id.as_str() == "drill-hook")
    };
    assert!(ladders.usual == 3 && !ladders.all.iter().any(named), "{ladders:?}");
    let all = "\"guard-siren\", \"guard-wecom\", \"guard-sms\", \"head-sms\"";
    for (steps, slip) in [
        (format!("[[ladder.step]]\nchannels = [{all}]"), None),
        (format!("[[ladder.step]]\nchannels = [{all}, \"drill-hook\"]"), None),
        (
            format!(
                "[[ladder.step]]\nchannels = [{all}]\n[[ladder.step]]\nafter_secs = 9\nchannels = [\"drill-hook\"]"
            ),
            None,
        ),
        (
            format!(
                "[[ladder.step]]\nchannels = [\"drill-hook\"]\n[[ladder.step]]\nafter_secs = 9\nchannels = [{all}]"
            ),
            Some("these channels are for drills alone"),
        ),
    ] {
        let (_, told) = read(&format!("[[ladder]]\nid = \"a\"\n{steps}\n{drill}"));
        assert_eq!(told.len(), usize::from(slip.is_some()), "{told:?}");
        assert!(slip.is_none_or(|slip| told[0].contains(slip)), "{told:?}");
    }
}
