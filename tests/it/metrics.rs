//! `/metrics` as Prometheus' own checker sees it, and the page that documents every name.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use schoolgate::ops::METRICS;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const HEAD: &str = "\
# 指标 · Metrics

<!-- Made from the table of metrics; `BLESS=1 cargo test --test it metrics::` writes it anew. -->

`GET /metrics` 以 Prometheus 文本格式给出下列指标，仅限本机访问；计数从进程启动时算起。另有客户端库自带的
`process_*`（内存、CPU、文件句柄）。

`GET /metrics` gives these in the Prometheus text format, on loopback only; counters start with the process. The usual
`process_*` metrics (memory, CPU, open files) come with them.

| 名称 Name | 标签 Labels | 含义 Meaning |
|---|---|---|
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (name, labels, help) in METRICS {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {} | {help} |", labels.join(", ")).unwrap();
    }
    page
}

/// A meter and a platform that do not answer.
const NOBODY: &str = "
[[bus]]
id = 'meters'
kind = 'modbus-tcp'
host = '127.0.0.1'
port = 9
[[device]]
id = 'meter'
profile = 'eastron-sdm630'
bus = 'meters'
address = 1
place = 'gate'
[[destination]]
id = 'city'
kind = 'shield'
base_url = 'http://127.0.0.1:9/'
app_id = 'test'
secret_file = 'secret'
[[channel]]
id = 'nobody'
kind = 'webhook'
url = 'http://127.0.0.1:9/'
";

#[test]
fn every_metric_is_documented() {
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(PAGE, page()).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page(),
        "docs/metrics.md is behind the table: run BLESS=1 cargo test --test it metrics::"
    );
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    let broker = Mosquitto::start().await;
    let devices = device("help", "tuya-ts0215a", "help") + &device("th", "aqara-wsdcgq11lm", "th");
    let school = School::new(&(mqtt_bus(&broker) + &devices + NOBODY));
    let secret = school.config().with_file_name("secret");
    std::fs::write(&secret, "secret-of-the-test").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let daemon = school.start().await;
    daemon.connected().await;
    until("readings, an alarm, a refusal and failures are counted", async || {
        broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;
        broker.publish("zigbee2mqtt/th", br#"{"temperature":21.5}"#, &[]).await;
        broker.publish("zigbee2mqtt/th", b"{", &[]).await;
        let page = school.metrics().await;
        let rare = [
            "readings_total",
            "alarms_open",
            "refused_total",
            "upload_failures_total",
            "device_faults_total",
            "notify_attempts_total",
        ];
        let gate = [("up", 2), ("down", 1), ("unknown", 0)];
        let counted = gate.iter().all(|(state, n)| {
            page.contains(&format!("\nschoolgate_place_devices{{place=\"gate\",state=\"{state}\"}} {n}\n"))
        });
        let told = rare.iter().all(|name| page.contains(&format!("\nschoolgate_{name}{{")));
        (counted && told).then_some(())
    })
    .await;
    let page = school.metrics().await;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("promtool runs (apt-get install prometheus)");
    promtool.stdin.take().expect("its input").write_all(page.as_bytes()).await.expect("it reads");
    let checked = promtool.wait_with_output().await.expect("it ends");
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}\n{page}", String::from_utf8_lossy(&said));

    let documented: BTreeSet<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(documented.len(), METRICS.len(), "each name once");
    assert!(!page.contains("secret-of-the-test"));
    let shown: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !name.starts_with("process_"))
        .collect();
    assert_eq!(shown.difference(&documented).collect::<Vec<_>>(), Vec::<&&str>::new(), "undocumented");
    // What nothing here makes happen.
    let rare = [
        "requests",
        "duplicates",
        "unknown",
        "at_most_once",
        "shed_messages",
        "shed_unknown",
        "refused_logins",
        "not_allowed",
        "gaps",
        "gaps_left",
        "stale_replies",
        "skipped_polls",
        "set_aside",
        "control_orders",
        "sign_ins",
        "pictures",
        "wrong_clocks",
        "commit_failures",
        "dropped_rows",
    ];
    let mut rare: BTreeSet<String> = rare.iter().map(|name| format!("schoolgate_{name}_total")).collect();
    // Of alarms that nobody took or judged there is nothing to tell.
    rare.extend(
        ["acknowledge_seconds", "prompt_ratio", "false_ratio"]
            .map(|name| format!("schoolgate_alarm_kpi_{name}")),
    );
    let missing: Vec<&&str> = documented.difference(&shown).filter(|name| !rare.contains(**name)).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "documented, and not on the page");
}
