//! Lockdown and evacuation for real: the daemon and its command line against a relay module served by pymodbus and a
//! web server that takes messages.

use crate::control::{Relay, reading};
use crate::daemon::{School, until};
use crate::notify::Peer;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const FIELD: &str = r#"
[controls]
enabled = true
[[control]]
id = "exit"
name = "疏散门"
device = "relay"
point = "exit"
allow = [0, 1]
rest = 0
exit = true
[[rule]]
id = "smoke-hall"
kind = "threshold"
devices = ["relay"]
point = "hand"
above = 0.5
unit = "1"
alarm_class = "fire"
[[response]]
id = "lockdown"
kind = "lockdown"
outputs = [
    { control = "pump", value = 1, drills = true },
    { control = "exit", value = 0 },
    { channel = "broadcast", text = { zh = "请立即封控", en = "lock down now" } },
]
[[response]]
id = "hold"
kind = "hold"
outputs = [
    { control = "hall", value = 1, drills = true },
    { channel = "wrong", text = { zh = "请留在原地", en = "stay where you are" } },
]
[[response]]
id = "evacuate"
kind = "evacuate"
outputs = [{ control = "cooling", value = 20 }]
"#;

fn school(relay: &Relay, peer: &Peer) -> School {
    let channel = |id: &str, mode: &str| {
        format!(
            "[[channel]]\nid = '{id}'\nkind = 'wecom'\nurl = 'http://127.0.0.1:{}/{mode}'\nkey_file = 'key'\n",
            peer.port
        )
    };
    // Alarms are told elsewhere, so that what is heard is the response's own.
    let ladder = "[[channel]]\nid = 'horn'\nkind = 'sound'\ndevice = 'null'\n\
                  [[ladder]]\nid = 'all'\n[[ladder.step]]\nchannels = ['horn']\n";
    let more =
        format!("{FIELD}{}{}{ladder}", channel("broadcast", "success"), channel("wrong", "code-93000"));
    let school = relay.school(&more);
    let key = school.config().with_file_name("key");
    fs::write(&key, "key-4711").expect("written");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("its mode");
    school
}

/// What it printed, and its exit code.
async fn run(school: &School, args: &[&str]) -> (Option<i32>, String) {
    let done = school.cli("response", args).await;
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// The code of a first step.
async fn prepared(school: &School, id: &str, who: &str, more: &[&str]) -> String {
    let (code, said) = run(school, &[&["prepare", id, "--as", who], more].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing is done yet"), "{said}");
    said.split_whitespace().last().expect("a code").to_owned()
}

async fn response(school: &School, id: &str) -> Value {
    let rows = school.rows("/api/v1/responses").await;
    rows.into_iter().find(|row| row["id"] == id).expect(id)
}

async fn alarm(school: &School, rule: &str) -> Value {
    until(rule, async || {
        let alarms = school.rows("/api/v1/alarms?open=true").await;
        alarms.into_iter().find(|alarm| alarm["rule"] == rule || alarm["key"]["rule"] == rule)
    })
    .await
}

fn audit(school: &School, of: &str) -> Vec<String> {
    let sql = format!("select actor || ' ' || detail from audit where {of} order by seq");
    let rows: Vec<String> = school.column(&sql);
    rows.iter().map(|row| row.replace("result=", "")).collect()
}

#[tokio::test]
async fn a_lockdown_takes_two_steps_returns_for_fire_and_needs_a_second_person_to_end() {
    let (mut relay, mut peer) = (Relay::start().await, Peer::start("notify_http.py", &[]).await);
    let school = school(&relay, &peer);
    let daemon = reading(&school).await;

    let noted = school.cli_ok("check", &[]).await;
    assert!(noted.contains("'pump' goes back by itself after 600 s: that is soon"), "{noted}");
    let code = prepared(&school, "lockdown", "王老师", &[]).await;
    assert_eq!(relay.ask("coil 1").await, "0", "the first step does nothing");
    let wrong = if code == "0000" { "0001" } else { "0000" };
    let (status, said) = run(&school, &["start", "lockdown", wrong, "--as", "李老师"]).await;
    assert!(status == Some(69) && said.contains("the code is another"), "{said}");
    let (status, said) = run(&school, &["start", "lockdown", &code, "--as", "李老师"]).await;
    assert_eq!(status, Some(0), "{said}");
    for line in ["pump: done", "疏散门: done", "broadcast: done", "lockdown: on"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert_eq!((relay.ask("coil 1").await, relay.ask("coil 2").await), ("1".into(), "0".into()));
    let body = peer.heard().await["body"].to_string();
    assert!(body.contains("请立即封控"), "{body}");
    let (status, said) = run(&school, &["start", "lockdown", &code, "--as", "李老师"]).await;
    assert!(status == Some(69) && said.contains("there is no code that is good"), "{said}");
    let raised = alarm(&school, "response.lockdown").await;
    assert_eq!((&raised["priority"], &raised["class"]), (&"critical".into(), &"security".into()));
    let exit = school.cli("control", &["set", "exit", "1", "--reason", "x", "--as", "王老师"]).await;
    let said = String::from_utf8_lossy(&exit.stderr).into_owned();
    assert!(exit.status.code() == Some(69) && said.contains("it is an exit"), "{said}");
    let (status, said) = run(&school, &["clear", "lockdown", "--as", "李老师"]).await;
    assert!(status == Some(69) && said.contains("somebody other than who began it"), "{said}");

    // The control brings back what must not stay on for ever, and the response orders it anew.
    daemon.kill().await;
    let _daemon = reading(&school).await;
    until("it is ordered anew", async || {
        let orders = audit(&school, "subject = 'pump' and detail like '%again after a restart%'");
        orders.iter().any(|row| row.starts_with("李老师 done")).then_some(())
    })
    .await;
    assert_eq!(relay.ask("coil 1").await, "1");
    assert_eq!(alarm(&school, "response.lockdown").await["id"], raised["id"], "it is the same alarm");

    // Somebody holds the door's button until it is read.
    relay.ask("set 8 1").await;
    until("what was locked is free", async || (relay.ask("coil 1").await == "0").then_some(())).await;
    until("it is told", async || {
        let row = response(&school, "lockdown").await;
        (row["stage"] == "given_back" && row["outputs"][0]["state"] == "done").then_some(())
    })
    .await;
    until("the alarm says so, too", async || {
        let told = school.get(&format!("/api/v1/alarms/{}", raised["id"])).await;
        told["what"].to_string().contains("there is a fire alarm").then_some(())
    })
    .await;
    let (status, said) = run(&school, &["prepare", "lockdown", "--as", "王老师"]).await;
    assert!(status == Some(69) && said.contains("a fire alarm is open"), "{said}");
    let pump = school.cli("control", &["set", "pump", "1", "--reason", "x", "--as", "王老师"]).await;
    let said = String::from_utf8_lossy(&pump.stderr).into_owned();
    assert!(pump.status.code() == Some(69) && said.contains("a fire alarm is open"), "{said}");
    let code = prepared(&school, "evacuate", "王老师", &[]).await;
    let (status, said) = run(&school, &["start", "evacuate", &code, "--as", "王老师"]).await;
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(relay.ask("register 2").await, "200");

    let (status, said) = run(&school, &["clear", "lockdown", "--as", "王老师"]).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("broadcast: done") && said.contains("lockdown: off"), "{said}");
    let body = peer.heard().await["body"].to_string();
    assert!(body.contains("解除"), "{body}");
    until("its alarm has ended", async || {
        let alarm = school.get(&format!("/api/v1/alarms/{}", raised["id"])).await;
        (alarm["active"] == false).then_some(())
    })
    .await;
    until("it is written down", async || {
        let rows = audit(&school, "action = 'response' and subject = 'lockdown'");
        let words: Vec<String> =
            rows.iter().map(|row| row.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        let wanted = ["李老师 started", "gateway given_back", "王老师 clear", "李老师 over"];
        let mut rest = words.iter();
        wanted.iter().all(|wanted| rest.any(|word| word == wanted)).then_some(())
    })
    .await;
    assert!(!school.log().contains("李老师"), "who it was stands in the audit trail alone");
}

#[tokio::test]
async fn an_output_that_fails_is_told_by_name_and_in_a_drill_it_is_left_out() {
    let (mut relay, peer) = (Relay::start().await, Peer::start("notify_http.py", &[]).await);
    let school = school(&relay, &peer);
    let _daemon = reading(&school).await;

    let (status, said) = run(&school, &["prepare", "hold", "--as", "王老师", "--drill"]).await;
    assert!(status == Some(69) && said.contains("no drill is running"), "{said}");
    school.cli_ok("drill", &["start", "--for", "1h", "--note", "演练", "--as", "王老师"]).await;
    until("the drill has begun", async || {
        let said = run(&school, &["prepare", "hold", "--as", "王老师", "--drill"]).await;
        (said.0 == Some(0)).then_some(())
    })
    .await;
    let code = prepared(&school, "hold", "王老师", &["--drill"]).await;
    let (status, said) = run(&school, &["start", "hold", &code, "--as", "王老师"]).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("hall") || said.contains("大厅照明: done"), "{said}");
    assert!(said.contains("wrong: nothing to do"), "{said}");
    assert_eq!(relay.ask("coil 0").await, "1");
    let drill = alarm(&school, "drill.response.hold").await;
    assert!(drill["drill"] == true && drill["what"].to_string().contains("[DRILL]"), "{drill}");

    // What is in earnest takes over: another alarm, and what was left out.
    let code = prepared(&school, "hold", "王老师", &[]).await;
    let (status, said) = run(&school, &["start", "hold", &code, "--as", "王老师"]).await;
    assert_eq!(status, Some(69), "{said}");
    assert!(said.contains("wrong: refused: ") && said.contains("大厅照明: done"), "{said}");
    let earnest = until("the alarm that is in earnest", async || {
        let alarms = school.rows("/api/v1/alarms?open=true").await;
        alarms.into_iter().find(|alarm| {
            alarm["active"] == true && alarm["what"].to_string().contains("these outputs failed: wrong")
        })
    })
    .await;
    assert_ne!(earnest["id"], drill["id"]);

    let (status, said) = run(&school, &["clear", "hold", "--as", "王老师", "--alone"]).await;
    assert!(status == Some(64), "{said}");
    let args = ["clear", "hold", "--as", "王老师", "--alone", "--reason", "假期值班"];
    let (status, said) = run(&school, &args).await;
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(relay.ask("coil 0").await, "0");
    until("why is written down", async || {
        let rows = audit(&school, "action = 'response' and detail like '%alone=true%'");
        rows.first().filter(|row| row.contains("假期值班")).map(drop)
    })
    .await;
    let table = school.cli_ok("response", &["list"]).await;
    assert!(table.contains("lockdown") && table.contains("evacuate"), "{table}");
}
