//! The report of a shift through the real daemon, and its pages as the tools of others read them: poppler, qpdf, Python.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use schoolgate::model::Lang;
use schoolgate::report::{Column, Document, LISTED, Section, pdf};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tool's output; it must end well.
fn run(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} runs (scripts/setup test): {error}"));
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    said
}

/// Text in the order in which it stands in the file, without blanks and without what pages repeat.
fn read_back(file: &Path) -> String {
    let output = Command::new("pdftotext").args(["-raw", "-enc", "UTF-8"]).arg(file).arg("-").output();
    let output = output.expect("pdftotext runs (scripts/setup test)");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    squeezed(&String::from_utf8(output.stdout).expect("UTF-8"))
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn pages(file: &Path) -> usize {
    let said = run("pdfinfo", &[], file);
    let pages = said.lines().find_map(|line| line.strip_prefix("Pages:")).expect("a number of pages");
    assert!(
        said.contains("PDF version:")
            && said.contains(
                "1.7
"
            )
            && said.contains("pts (A4)"),
        "{said}"
    );
    pages.trim().parse().expect("a number")
}

fn document(lang: Lang, rows: Vec<Vec<String>>) -> Document {
    let column = |title: &str, share| Column { title: title.into(), share };
    let columns = vec![column("编号", 1), column("内容 What", 4), column("备注 Note", 4)];
    Document {
        lang,
        title: "值班交接报告".into(),
        site: "寿县第一中学（南校区）".into(),
        facts: vec![("时段".into(), "2026-09-01 08:00:00 至 2026-09-01 20:00:00".into())],
        sections: vec![
            Section {
                title: "没有行".into(),
                empty: "本班没有报警".into(),
                note: None,
                columns: columns.clone(),
                rows: Vec::new(),
            },
            Section { title: "本班报警".into(), empty: String::new(), note: None, columns, rows },
        ],
        signatures: vec!["交班人".into(), "接班人".into()],
        hash: "0123456789abcdef".repeat(4),
    }
}

fn written(dir: &Path, document: &Document) -> PathBuf {
    let file = dir.join("report.pdf");
    std::fs::write(&file, pdf::pdf(document)).expect("the file is written");
    let said = run("qpdf", &["--check"], &file);
    assert!(
        said.contains("No syntax or stream encoding errors found") && !said.contains("WARNING"),
        "{said}"
    );
    file
}

#[test]
fn chinese_text_comes_out_whole_and_pages_follow_on_one_another() {
    let dir = tempfile::tempdir().expect("a directory");
    // A note of a thousand characters, none like the one before, and words that no column holds.
    let long: String = (0..1000_u32).filter_map(|n| char::from_u32(0x4e00 + n * 7)).collect();
    let url = "https://example.invalid/".repeat(12);
    for (lang, counted) in [(Lang::Zh, "第1页，共{n}页"), (Lang::En, "page1of{n}")] {
        for (rows, least, most) in [(0_usize, 1, 1), (1, 1, 2), (60, 2, 6), (2_000, 8, 60)] {
            let row = |n: usize| {
                vec![
                    n.to_string(),
                    format!("第{n}条：有人翻越围墙（A-{n}区），请立即查看！"),
                    format!("note {n} 已到现场；"),
                ]
            };
            let mut rows: Vec<Vec<String>> = (1..=rows).map(row).collect();
            if let Some(first) = rows.first_mut() {
                first[2] = long.clone() + &url;
            }
            let document = document(lang, rows);
            let file = written(dir.path(), &document);
            let count = pages(&file);
            assert!((least..=most).contains(&count), "{count} pages");
            let text = read_back(&file);
            assert!(text.contains(&squeezed(&counted.replace("{n}", &count.to_string()))), "{text}");
            assert_eq!(text.matches(&document.hash).count(), count, "on every page");
            for title in ["寿县第一中学（南校区）", "本班没有报警", "交班人", "接班人"]
            {
                assert!(text.contains(title), "{title}");
            }
            for row in document.sections[1].listed().iter().skip(1) {
                let cells: String = row.iter().map(|cell| squeezed(cell)).collect();
                // A row stands on one page, its cells one behind the other.
                assert!(text.contains(&cells), "{cells}");
            }
            if document.sections[1].rows.len() > LISTED {
                let more = ["另有1500条未列出", "1500morearenotlisted"][usize::from(lang == Lang::En)];
                assert!(text.contains(more));
            }
        }
    }
}

#[test]
fn a_note_that_is_longer_than_a_page_goes_on_on_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let long: String = (0..6000_u32).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
    let document = document(Lang::Zh, vec![vec!["1".into(), "长".into(), long.clone()]]);
    let file = written(dir.path(), &document);
    assert!(pages(&file) >= 3);
    let text = read_back(&file);
    let has = |part: &[char]| text.contains(&part.iter().collect::<String>());
    let parts: Vec<char> = long.chars().collect();
    // What one page ends with and the next begins with is parted by foot and head.
    let whole = parts.chunks(10).filter(|part| has(part)).count();
    assert!(whole >= 590, "{whole} of 600");
    for c in long.chars() {
        assert!(text.contains(c), "{c}");
    }
}

/// A school with a call for help that a person took.
async fn with_an_alarm(school: &School, broker: &Mosquitto) -> Value {
    until("the button is heard", async || {
        broker.publish("zigbee2mqtt/help", br#"{"battery":98}"#, &[]).await;
        (school.metric("schoolgate_readings_total", "").await > 0.0).then_some(())
    })
    .await;
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;
    let alarm =
        until("the alarm is open", async || school.rows("/api/v1/alarms?open=true").await.into_iter().next())
            .await;
    let url = school.url(&format!("/api/v1/alarms/{}/acknowledge", alarm["id"]));
    let order = json!({"actor": "王老师", "note": "=已到现场"});
    let answer = school.client().post(&url).json(&order).send().await.expect("an answer");
    assert!(answer.status().is_success());
    alarm
}

#[tokio::test]
async fn a_shift_is_reported_in_every_form_and_who_read_it_is_in_the_audit_trail() {
    let broker = Mosquitto::start().await;
    let duty = "[alarms]\nguards = 2\nshifts = ['00:00', '06:00', '12:00', '18:00']\n[[area]]\nid = 'campus'\n\
                name = '校园'\nplaces = ['gate']\n";
    let school = School::new(&(mqtt_bus(&broker) + &device("help", "tuya-ts0215a", "help") + duty));
    let daemon = school.start().await;
    daemon.connected().await;
    let alarm = with_an_alarm(&school, &broker).await;
    // The last hour until the next: a shift may begin in between.
    let raised = alarm["raised_at"].as_i64().expect("a time");
    let span = format!("from={}&to={}", raised - 3_600_000, raised + 3_600_000);
    let fetch = async |query: &str| {
        let url = school.url(&format!("/api/v1/reports/{query}"));
        let answer = school.client().get(&url).send().await.expect("an answer");
        let kind = answer.headers()["content-type"].to_str().expect("a text").to_owned();
        (answer.status().as_u16(), kind, answer.bytes().await.expect("a body").to_vec())
    };
    let (status, kind, json) = fetch(&format!("shift?{span}&actor=guard")).await;
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    let report: Value = serde_json::from_slice(&json).expect("JSON");
    let content = &report["content"];
    assert_eq!(content["guards"], 2);
    assert_eq!(content["open"][0]["taken_by"], "王老师");
    assert_eq!(content["areas"][0]["name"], "校园");
    assert_eq!(content["kpi"]["life"]["count"], 1);
    // The hash as anybody reckons it.
    let file = school.data_dir().join("report.json");
    std::fs::write(&file, &json).expect("written");
    let script = "import hashlib,json,sys\nr=json.load(open(sys.argv[1]))\n\
                  t=json.dumps(r['content'],sort_keys=True,separators=(',',':'),ensure_ascii=False)\n\
                  assert hashlib.sha256(t.encode()).hexdigest()==r['sha256'], t";
    run("python3", &["-c", script], &file);

    let (_, kind, csv) = fetch(&format!("shift?{span}&format=csv&lang=zh")).await;
    let csv = String::from_utf8(csv).expect("UTF-8");
    assert!(
        kind.starts_with("text/csv") && csv.starts_with('\u{feff}') && csv.contains("\"'=已到现场\""),
        "{csv}"
    );
    let (_, kind, html) = fetch(&format!("shift?{span}&format=html&lang=en")).await;
    let html = String::from_utf8(html).expect("UTF-8");
    assert!(kind.starts_with("text/html") && html.contains("Shift hand-over report"), "{html}");
    let (_, kind, bytes) = fetch(&format!("shift?{span}&format=pdf&lang=zh")).await;
    let file = school.data_dir().join("report.pdf");
    std::fs::write(&file, bytes).expect("written");
    assert!(kind == "application/pdf" && pages(&file) <= 2);
    let text = read_back(&file);
    assert!(text.contains("值班交接报告") && text.contains("王老师") && text.contains("测试小学"), "{text}");
    let (_, kind, figures) = fetch(&format!("alarm-kpi?{span}&format=csv&lang=en")).await;
    let figures = String::from_utf8(figures).expect("UTF-8");
    assert!(
        kind.starts_with("text/csv") && figures.contains("help and fire acknowledged in time"),
        "{figures}"
    );
    let figures = school.get(&format!("/api/v1/reports/alarm-kpi?{span}")).await;
    assert_eq!(figures["kpi"]["announced"], 1);

    // The shift that goes on, by the command line.
    let printed = school.cli_ok("report", &["shift", "--as", "李老师"]).await;
    assert!(printed.starts_with("Shift hand-over report\n") && printed.contains("SHA-256 "), "{printed}");
    let out = school.data_dir().join("cli.pdf");
    let args = [
        "shift",
        "--format",
        "pdf",
        "--lang",
        "zh",
        "--as",
        "李老师",
        "--out",
        out.to_str().expect("a path"),
    ];
    assert_eq!(school.cli_ok("report", &args).await, "");
    assert!(read_back(&out).contains("交班人"));
    let noted =
        school.column::<String>("select actor || ' ' || detail from audit where action = 'report_shift'");
    let hash = report["sha256"].as_str().expect("a hash");
    assert_eq!(noted[0], format!("guard sha256 {hash}"));
    assert_eq!(noted.iter().filter(|line| line.starts_with("api ")).count(), 3);
    assert_eq!(noted.iter().filter(|line| line.starts_with("李老师 ")).count(), 2);
    assert_eq!(school.count("select count(*) from audit where action = 'report_alarm_kpi'"), 2);

    for (query, word) in [
        ("shift?from=5", "both 'from' and 'to'"),
        ("shift?from=5&to=5", "at most 31 days"),
        ("shift?from=0&to=2678400001", "at most 31 days"),
        ("shift?at=1&from=0&to=9", "none of them"),
        ("shift?at=9223372036854775807", "the span cannot be"),
        ("shift?format=docx", "not understood"),
        ("shift?lang=fr", "not understood"),
        ("shift?actor=", "who are you"),
        ("alarm-kpi?format=pdf", "json or csv"),
    ] {
        let (status, kind, body) = fetch(query).await;
        let body = String::from_utf8(body).expect("UTF-8");
        assert!(
            status == 400 && kind == "application/problem+json" && body.contains(word),
            "{query}: {body}"
        );
    }
    let refused = school.cli("report", &["shift", "--at", "yesterday", "--as", "x"]).await;
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is no time"));

    // The figures of the last day follow within a minute; those of the start are there at once.
    until("figures are on the page of metrics", async || {
        let page = school.metrics().await;
        page.contains("\nschoolgate_alarm_kpi_reckoning_seconds ").then_some(())
    })
    .await;
    daemon.terminate().await;
}
