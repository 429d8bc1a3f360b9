//! Every entry of the table has a working example, and the reference in `docs/notify.md` is made of the table.

use super::testing::means;
use super::{NOTIFIER_KINDS, notifier};
use crate::config::{Attached, Channel, ProfileSet, Sources, Unreadable, parse};
use crate::document::Problems;
use std::collections::BTreeSet;
use std::path::Path;

const CANARY: &str = "canary-4711";

const HEAD: &str = r#"
[site]
gateway = "gw-1"
name = "示例小学"
[controls]
enabled = true
[[place]]
id = "gate"
kind = "room"
name = "校门"
[[bus]]
id = "relay"
kind = "modbus-tcp"
host = "192.168.1.20"
[[device]]
id = "relay"
profile = "test-relay"
bus = "relay"
address = 1
place = "gate"
[[control]]
id = "siren"
device = "relay"
point = "siren"
allow = [0, 1]
rest = 0
max_on_secs = 60
"#;

const RELAY: &str = r#"
id = "test-relay"
class = "relay"
vendor = "Test"
model = "Relay"
name_zh = "继电器"
name_en = "relay"
source = "this test"
confirmed = true
protocol = "modbus"
[[point]]
id = "siren"
name_zh = "警号"
name_en = "siren"
table = "coil"
address = 0
type = "bit"
kind = "state"
unit = "1"
write = "single"
"#;

fn example(kind: &super::NotifierKind) -> String {
    format!("[[channel]]\nid = \"my-channel\"\nkind = \"{}\"\n{}", kind.name, kind.example)
}

fn read(_: &Path, _: Attached) -> Result<String, Unreadable> {
    Ok(format!("{CANARY}\n"))
}

fn channels(text: &str) -> Vec<Channel> {
    let problems = Problems::new();
    let profiles = ProfileSet::parse(&[("relay".into(), RELAY.into())], &problems);
    let files = [("gateway.toml".to_owned(), format!("{HEAD}{text}"))];
    let sources = Sources {
        files: &files,
        base: Path::new(""),
        profiles: &profiles,
        read: &read,
        plan: crate::config::read_plan,
        rules: None,
    };
    let config = parse(&sources, &problems);
    let problems = problems.into_sorted();
    config.unwrap_or_else(|| panic!("{problems:#?}")).channels
}

#[tokio::test]
async fn every_example_works_and_every_name_is_used_once_and_nothing_shows_a_secret() {
    let mut names = BTreeSet::new();
    for kind in NOTIFIER_KINDS {
        assert!(names.insert(kind.name), "{} is there twice", kind.name);
        assert!(kind.doc.ends_with('.') && !kind.doc.contains('\n'), "{}", kind.name);
        let channels = channels(&example(kind));
        assert_eq!((channels.len(), channels[0].id.as_str()), (1, "my-channel"));
        assert_eq!(channels[0].kind.word(), kind.name);
        let made = notifier(&channels[0], &means()).unwrap();
        assert!(made.rate().messages > 0 && !made.rate().per.is_zero());
        for shown in [format!("{:?}", channels[0]), format!("{made:?}")] {
            assert!(!shown.contains(CANARY) && !shown.contains("138001"), "{}: {shown}", kind.name);
            assert!(!shown.contains("office@"), "{}: {shown}", kind.name);
        }
    }
}

const BEGIN: &str =
    "<!-- Made from the table of kinds; `BLESS=1 cargo test --lib notify::` writes it anew. -->\n";
const END: &str = "<!-- end of what is made -->\n";

fn reference() -> String {
    let sections = NOTIFIER_KINDS
        .iter()
        .map(|kind| format!("\n### `{}`\n\n{}\n\n```toml\n{}```\n", kind.name, kind.doc, example(kind)));
    sections.collect::<String>() + "\n"
}

#[test]
fn the_manual_has_every_kind() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notify.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the reference begins");
    let (written, after) = rest.split_once(END).expect("where it ends");
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
    } else {
        assert!(
            written == reference(),
            "docs/notify.md is behind the table: run BLESS=1 cargo test --lib notify::"
        );
    }
}
