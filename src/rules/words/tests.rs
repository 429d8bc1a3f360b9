//! Every key that a kind of rules reads has words, and rules are said as people say them.

use super::super::RULE_KINDS;
use super::super::testing::{slips, world};
use super::*;
use crate::document::{Document, Problems};
use std::collections::BTreeSet;

/// What a rule of a kind says.
fn said(kind: &str, body: &str) -> Text {
    let problems = Problems::new();
    let text = format!("[[rule]]\nid = \"r\"\nkind = \"{kind}\"\n{body}");
    let document = Document::parse("gateway.toml", &text, &problems);
    let kind = RULE_KINDS.iter().find(|known| known.name == kind).expect("a kind");
    let said = says(&document.reader(&problems).tables("rule")[0], kind, &world());
    assert!(problems.is_empty(), "{:#?}", problems.into_sorted());
    said
}

/// The keys that are read of a rule, as the advice for one that is not known lists them.
fn asked(kind: &str, body: &str) -> BTreeSet<String> {
    let told = slips(kind, body);
    let told: Vec<&String> = told.iter().filter(|told| told.contains("'qqqqqqqqqq'")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (_, known) = told[0].split_once("write one of: ").expect("no key is near it");
    assert!(!known.contains(" more"), "all of them are listed: {known}");
    known.split(", ").map(ToOwned::to_owned).collect()
}

/// Bodies that make the kinds read keys which their examples do not have.
const BESIDES: [(&str, &str); 3] = [
    ("held", "devices = [\"t1\"]\npoint = \"temperature\"\nunchanged = true\nfor_secs = 600\n"),
    ("count", "devices = [\"t1\"]\npoint = \"temperature\"\ncount = 3\nwindow_secs = 600\n"),
    (
        "dormitory_load",
        "devices = [\"d1\"]\nstep = 800\nunit = \"W\"\ncurrent_point = \"current_a\"\nvoltage_point = \"voltage_a\"\n",
    ),
];

#[test]
fn every_key_that_a_kind_reads_has_words_and_no_other_has() {
    let examples = RULE_KINDS.iter().map(|kind| (kind.name, kind.example));
    let mut used = BTreeSet::new();
    let mut check = |kind: &str, keys: BTreeSet<String>| {
        for name in keys {
            let found: Vec<usize> =
                (0..KEYS.len()).filter(|at| KEYS[*at].name == name && is_of(&KEYS[*at], kind)).collect();
            assert_eq!(found.len(), 1, "'{name}' of '{kind}' is in the table once");
            used.extend(found);
        }
    };
    for (kind, body) in examples.chain(BESIDES) {
        check(kind, asked(kind, &format!("qqqqqqqqqq = 1\n{body}")));
    }
    let step = "same = \"building\"\nwithin_secs = 30\n[[rule.step]]\nevent = \"contact\"\ntimes = 2\n[[rule.step]]\nevent = \"motion\"\nqqqqqqqqqq = 1\n";
    check(STEP, asked("sequence", step));
    // The configuration reads these itself.
    let elsewhere = ["id", "kind", "steps"];
    let stale =
        KEYS.iter().enumerate().filter(|(at, key)| !used.contains(at) && !elsewhere.contains(&key.name));
    assert_eq!(stale.map(|(_, key)| key.name).collect::<Vec<_>>(), [""; 0], "no kind reads them");
    assert!(LEADS.iter().all(|(lead, ..)| RULE_KINDS.iter().any(|kind| kind.name == *lead)));
}

#[test]
fn every_example_is_said_in_words_of_both_languages() {
    for kind in RULE_KINDS {
        let Text { zh, en } = said(kind.name, kind.example);
        assert!(zh.contains(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{zh}");
        assert_ne!(zh, en);
        for words in [&zh, &en] {
            let raw = kind.name != "expression" && words.contains(['=', '_', '{', '"']);
            assert!(!raw && !words.contains("，，") && !words.contains(": ,"), "{words}");
        }
    }
}

#[test]
fn limits_names_and_times_are_said_as_people_say_them() {
    for (kind, body, zh, en) in [
        (
            "threshold",
            "devices = [\"t1\"]\npoint = \"temperature\"\nabove = 30.0\nunit = \"°C\"\non_delay_secs = 60\n",
            "温度高于 30 °C，持续 60 秒",
            "temperature above 30 °C, for 60 s",
        ),
        (
            "held",
            "class = \"contact\"\nevent = \"contact\"\nfor_secs = 600\nwhen = \"outside\"\n",
            "门窗打开，持续 10 分钟，非教学时间",
            "opened, for 10 min, outside teaching time",
        ),
        (
            "cold_chain",
            "devices = [\"t1\"]\npoint = \"temperature\"\nabove = 8\nbelow = 2\nunit = \"°C\"\nstuck_secs = 3600\n",
            "温度高于 8 °C，或低于 2 °C，或读数 1 小时不变",
            "temperature above 8 °C, or below 2 °C, or the very same value for 1 h",
        ),
        (
            "balance",
            "main = \"e0\"\ndevices = [\"e1\"]\npoint = \"energy_total\"\nabove_percent = 10\nabove = 20\nunit = \"kWh\"\n",
            "总表与其分表相差超过总表的 10 %，且超过 20 kWh，按电量",
            "总表 and its sub-meters differ by more than 10 % of the main, and by more than 20 kWh, by energy total",
        ),
        ("silent", "devices = [\"m1\"]\n", "没有消息", "not heard"),
        ("silent", "devices = [\"m1\"]\nafter_secs = 86400\n", "没有消息超过 1 天", "not heard for 1 d"),
        (
            "curfew",
            "zone = \"b1\"\nroles = [\"student\", \"staff\"]\n",
            "夜间刷卡或过时未归（1号楼），只看学生、教职工",
            "a credential at night, or somebody not back (1号楼), students, staff only",
        ),
        (
            "patrol",
            "checkpoints = [\"card1\", \"r101\"]\nrounds = [\"19:00-20:00\"]\nanybody = false\n",
            "巡更漏巡，巡更点：读卡器、1号楼 / 101，每天 19:00-20:00",
            "a checkpoint was missed, checkpoints: 读卡器, 1号楼 / 101, daily 19:00-20:00",
        ),
        (
            "expression",
            "devices = [\"m1\"]\nwhen = \"power_total > 5\"\ntext = \"功率大\"\ntext_en = \"heavy load\"\n",
            "功率大：power_total > 5",
            "heavy load: power_total > 5",
        ),
        (
            "expression",
            "devices = [\"m1\"]\nwhen = \"power_total > 5\"\n",
            "power_total > 5",
            "power_total > 5",
        ),
    ] {
        let said = said(kind, body);
        assert_eq!((said.zh.as_str(), said.en.as_str()), (zh, en), "{body}");
    }
    let many = listed((0..6).map(|n| Text::same(n.to_string())));
    assert_eq!((many.zh.as_str(), many.en.as_str()), ("0、1、2、3 等 6 个", "0, 1, 2, 3 and 2 more"));
}
