//! Switching for real: the daemon and its command line against a relay module served by pymodbus.

use crate::daemon::{Daemon, School, until};
use crate::pymodbus::python;
use crate::rig;
use serde_json::{Value, json};
use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const PROFILE: &str = r#"
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
id = "light"
name_zh = "照明"
name_en = "light"
table = "coil"
address = 0
type = "bit"
kind = "state"
unit = "1"
write = "single"
[[point]]
id = "pump"
name_zh = "水泵"
name_en = "pump"
table = "coil"
address = 1
type = "bit"
kind = "state"
unit = "1"
write = "multiple"
[[point]]
id = "exit"
name_zh = "疏散门"
name_en = "exit"
table = "coil"
address = 2
type = "bit"
kind = "state"
unit = "1"
write = "single"
[[point]]
id = "hand"
name_zh = "就地"
name_en = "local"
table = "coil"
address = 8
type = "bit"
kind = "state"
unit = "1"
[[point]]
id = "setpoint"
name_zh = "设定温度"
name_en = "setpoint"
table = "holding"
address = 2
type = "i16"
scale = 0.1
unit = "°C"
write = "single"
write_min = 16
write_max = 30
"#;

const CONTROLS: &str = r#"
[[control]]
id = "hall"
name = "大厅照明"
device = "relay"
point = "light"
allow = [0, 1]
rest = 0
max_per_hour = 100
min_interval_secs = 0
settle_ms = 800
off_when = ["hand-on"]
interlock = [{ point = "hand", is = 0, max_age_secs = 10 }]
[[control]]
id = "pump"
device = "relay"
point = "pump"
allow = [0, 1]
rest = 0
max_on_secs = 600
min_interval_secs = 0
settle_ms = 800
[[control]]
id = "cooling"
device = "relay"
point = "setpoint"
min = 18
max = 28
step = 0.5
settle_ms = 800
[[rule]]
id = "hand-on"
kind = "threshold"
devices = ["relay"]
point = "hand"
above = 0.5
unit = "1"
"#;

/// A relay module that can be told to misbehave.
pub struct Relay {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Relay {
    pub async fn start() -> Self {
        let mut child = Command::new(python())
            .arg(rig::root().join("tests/peers/pymodbus_relay.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python starts");
        let stdin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line =
            timeout(Duration::from_secs(20), lines.next_line()).await.expect("in time").expect("a line");
        let line = line.expect("pymodbus is up");
        let port = line.strip_prefix("port ").and_then(|port| port.parse().ok()).expect("a port");
        Self { _child: child, stdin, lines, port }
    }

    pub async fn ask(&mut self, order: &str) -> String {
        let line = format!("{order}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("a peer that listens");
        let answer = timeout(Duration::from_secs(20), self.lines.next_line());
        answer.await.expect("in time").expect("a line").expect(order)
    }

    pub fn school(&self, more: &str) -> School {
        let school = School::new("");
        let profiles = school.config().with_file_name("profiles").join("relay/test-relay");
        fs::create_dir_all(&profiles).expect("a directory");
        fs::write(profiles.join("profile.toml"), PROFILE).expect("the profile");
        let listen = school.url("").replace("http://", "");
        let text = format!(
            "[site]\ngateway = 'gw-test'\nname = '测试小学'\n[store]\ndir = 'data'\n[profiles]\ndir = 'profiles'\n\
             [http]\nlisten = '{listen}'\n[[place]]\nid = 'hall'\nkind = 'room'\n\
             [[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {}\ntimeout_ms = 300\n\
             [[device]]\nid = 'relay'\nprofile = 'test-relay'\nbus = 'line'\naddress = 1\nplace = 'hall'\n\
             poll_secs = 1\n{CONTROLS}\n{more}",
            self.port
        );
        fs::write(school.config(), text).expect("the configuration");
        school
    }
}

/// The daemon, when it has read every point.
pub async fn reading(school: &School) -> Daemon<'_> {
    let daemon = school.start().await;
    until("every point is read", async || {
        let relay = school.get("/api/v1/devices/relay").await;
        (relay["points"].as_object()?.len() == 5).then_some(())
    })
    .await;
    daemon
}

async fn set(school: &School, control: &str, value: &str) -> Output {
    school.cli("control", &["set", control, value, "--reason", "试验", "--as", "王老师"]).await
}

async fn done(school: &School, control: &str, value: &str) -> String {
    let output = set(school, control, value).await;
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{control} {value}: {out}{err}");
    out
}

async fn refused(school: &School, control: &str, value: &str) -> String {
    let output = set(school, control, value).await;
    assert_eq!(output.status.code(), Some(69), "{}", said(&output.stdout));
    said(&output.stderr)
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn control(school: &School, id: &str) -> Value {
    let rows = school.rows("/api/v1/controls").await;
    rows.into_iter().find(|row| row["id"] == id).expect(id)
}

#[tokio::test]
async fn an_order_switches_what_pymodbus_serves_and_what_is_not_done_is_told() {
    let mut relay = Relay::start().await;
    let school = relay.school("[controls]\nenabled = true");
    let _daemon = reading(&school).await;

    let told = done(&school, "hall", "1").await;
    assert!(told.contains("hall: done: 1 is read back"), "{told}");
    assert_eq!((relay.ask("coil 0").await, relay.ask("coil 1").await), ("1".into(), "0".into()));
    done(&school, "cooling", "21.5").await;
    assert_eq!(relay.ask("register 2").await, "215");
    let row = until("what was read back is shown", async || {
        let row = control(&school, "hall").await;
        (row["value"] == 1.0).then_some(row)
    })
    .await;
    for (key, expected) in [
        ("quality", json!("good")),
        ("stage", json!("idle")),
        ("allowed", json!("0, 1")),
        ("rest", json!(0.0)),
        ("rest_at", Value::Null),
    ] {
        assert_eq!(row[key], expected, "{key} of {row}");
    }
    let table = school.cli_ok("control", &["list"]).await;
    assert!(table.lines().count() == 4 && table.contains("大厅照明"), "{table}");

    for (id, value, says) in [
        ("hall", "2", "2 is not allowed; allowed: 0, 1"),
        ("cooling", "29", "allowed: 18..28, step 0.5"),
        ("cooling", "21.3", "21.3 is not allowed"),
        ("cellar", "1", "there is no such control"),
    ] {
        let told = refused(&school, id, value).await;
        assert!(told.contains(says), "{id} {value}: {told}");
    }
    let writes = relay.ask("writes").await;
    let dry =
        school.cli_ok("control", &["set", "hall", "0", "--dry-run", "--reason", "x", "--as", "王老师"]).await;
    assert!(dry.contains("nothing was"), "{dry}");
    assert_eq!(relay.ask("writes").await, writes, "neither refused orders nor dry runs write");

    // It says that it did, and did not.
    relay.ask("stuck on").await;
    let told = refused(&school, "hall", "0").await;
    assert!(told.contains("not done: 0 was written and 1 is read"), "{told}");
    assert_eq!(relay.ask("coil 0").await, "1");
    relay.ask("stuck off").await;
    done(&school, "hall", "0").await;
    assert_eq!(relay.ask("coil 0").await, "0");

    relay.ask("dead on").await;
    let told = refused(&school, "hall", "0").await;
    assert!(told.contains("not confirmed") || told.contains("refused"), "{told}");
    relay.ask("dead off").await;

    let details = school.column::<String>("select detail from audit where action = 'control' order by seq");
    let results: Vec<&str> = details.iter().map(|d| d.split([' ', '=']).nth(1).expect("a result")).collect();
    assert_eq!(
        results[..10],
        [
            "asked",
            "done",
            "asked",
            "done",
            "not_allowed",
            "not_allowed",
            "not_allowed",
            "dry_run",
            "asked",
            "not_done"
        ],
        "{details:#?}"
    );
    let actors = school.column::<String>("select distinct actor from audit where action = 'control'");
    assert_eq!(actors, ["王老师"]);
    assert!(details[0].contains("reason=\"试验\"") && details[0].contains("from=0 to=1"), "{}", details[0]);
    assert!(!school.log().contains("王老师"), "who it was stands in the audit trail alone");
    assert!(school.metric("schoolgate_control_orders_total", "done").await >= 3.0);
}

#[tokio::test]
async fn a_pulse_returns_after_a_kill_and_at_a_stop() {
    let mut relay = Relay::start().await;
    let school = relay.school("[controls]\nenabled = true");
    let daemon = reading(&school).await;
    let told = done(&school, "pump", "1").await;
    assert!(told.contains("back to rest by itself in 60") || told.contains("by itself in 59"), "{told}");
    assert_eq!(relay.ask("coil 1").await, "1");
    assert!(control(&school, "pump").await["rest_at"].is_i64());
    until("what came of it is written down", async || {
        let results = "select count(*) from audit where subject = 'pump' and detail like 'result=done%'";
        (school.count(results) == 1).then_some(())
    })
    .await;
    daemon.kill().await;
    assert_eq!(relay.ask("coil 1").await, "1");

    let daemon = school.start().await;
    until("it is back at rest", async || (relay.ask("coil 1").await == "0").then_some(())).await;
    until("that is written down", async || {
        let row = control(&school, "pump").await;
        (row["rest_at"].is_null() && row["last"]["outcome"] == "done").then_some(())
    })
    .await;

    done(&school, "pump", "1").await;
    assert_eq!(relay.ask("coil 1").await, "1");
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(relay.ask("coil 1").await, "0", "a stop brings it back first");
    let results: Vec<String> = school
        .column::<String>("select actor || ' ' || detail from audit where subject = 'pump' order by seq")
        .iter()
        .map(|row| row.split(" from=").next().expect("a result").to_owned())
        // Right after a start the bus may not be connected yet: then it is tried again.
        .filter(|row| row != "gateway result=device_refused")
        .collect();
    assert_eq!(
        results,
        [
            "王老师 result=asked",
            "王老师 result=done",
            "gateway result=asked",
            "gateway result=done",
            "王老师 result=asked",
            "王老师 result=done",
            "gateway result=asked",
            "gateway result=done"
        ]
    );
}

#[tokio::test]
async fn a_pulse_whose_device_is_dead_is_an_alarm_until_it_is_back() {
    let mut relay = Relay::start().await;
    let school = relay.school("[controls]\nenabled = true");
    let daemon = reading(&school).await;
    done(&school, "pump", "1").await;
    relay.ask("dead on").await;
    daemon.kill().await;
    let _daemon = school.start().await;
    let alarm = until("an alarm", async || {
        let alarms = school.rows("/api/v1/alarms?open=true").await;
        alarms
            .into_iter()
            .find(|alarm| alarm["key"]["rule"] == "always.control" || alarm["rule"] == "always.control")
    })
    .await;
    assert_eq!(alarm["device"], "relay", "{alarm}");
    assert!(control(&school, "pump").await["stuck"] == true);
    let told = refused(&school, "pump", "1").await;
    assert!(told.contains("is being carried out"), "{told}");
    relay.ask("dead off").await;
    until("it is back at rest", async || (relay.ask("coil 1").await == "0").then_some(())).await;
    until("the alarm has ended", async || {
        let alarm = school.get(&format!("/api/v1/alarms/{}", alarm["id"])).await;
        (alarm["active"] == false).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_interlock_bars_the_way_on_and_its_alarm_switches_off() {
    let mut relay = Relay::start().await;
    let school = relay.school("[controls]\nenabled = true");
    let _daemon = reading(&school).await;
    done(&school, "hall", "1").await;
    relay.ask("set 8 1").await;
    until("the rule's alarm switched it off", async || (relay.ask("coil 0").await == "0").then_some(()))
        .await;
    let told = refused(&school, "hall", "1").await;
    assert!(told.contains("interlock: hand of relay must be 0, but is 1"), "{told}");
    done(&school, "hall", "0").await;
    relay.ask("set 8 0").await;
    until("the interlock is free", async || {
        let relay = school.get("/api/v1/devices/relay").await;
        (relay["points"]["hand"]["value"] == 0.0).then_some(())
    })
    .await;
    done(&school, "hall", "1").await;
    let actors = school.column::<String>(
        "select distinct actor from audit where action = 'control' and subject = 'hall' order by actor",
    );
    assert_eq!(actors, ["rule:hand-on", "王老师"]);
}

#[tokio::test]
async fn control_is_off_unless_it_is_switched_on_and_says_what_to_write() {
    let mut relay = Relay::start().await;
    let school = relay.school("");
    let _daemon = reading(&school).await;
    let told = refused(&school, "hall", "1").await;
    assert!(told.contains("control is off: write `enabled = true` under [controls]"), "{told}");
    let table = school.cli_ok("control", &["list"]).await;
    assert!(table.contains("control is off") && table.contains("大厅照明"), "{table}");
    assert_eq!(relay.ask("writes").await, "0");
    let post = async |body: &str| {
        let request = school.client().post(school.url("/api/v1/controls/hall"));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    for (body, status, says) in [
        (r#"{"actor":"a","value":1,"reason":"r"}"#, 409, "control is off"),
        (r#"{"actor":" ","value":1,"reason":"r"}"#, 400, "'actor' must not be empty"),
        (r#"{"actor":"a","value":1,"reason":" "}"#, 400, "'reason' must not be empty"),
        (r#"{"actor":"a","value":1}"#, 400, "missing field `reason`"),
        (r#"{"actor":"a","value":"on","reason":"r"}"#, 400, "send {"),
        (r#"{"actor":"a","value":1,"reason":"r","force":true}"#, 400, "unknown field `force`"),
    ] {
        let (got, problem) = post(body).await;
        assert_eq!(got, status, "{body}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(says) && problem["detail_zh"].is_string(), "{body}: {detail}");
    }
}

/// Switching without daemon and device: what may never be, whenever the process dies and whatever the device does.
pub mod switching {
    use schoolgate::control::{Allowed, By, Control, Memory, Order, Outcome, Spec, Step};
    use schoolgate::model::{Actor, ControlId, DeviceId, Mono, Now, PlaceId, PointId, Wall};
    use schoolgate::pipeline::Live;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Duration;

    /// A relay with the store and the process behind it.
    struct Output {
        on: f64,
        /// It echoes what is written and switches nothing.
        echoes_only: bool,
        memory: Option<String>,
        told: Option<Outcome>,
    }

    fn spec() -> Spec {
        let (device, point) = (DeviceId::new("relay").expect("an id"), PointId::new("pump").expect("an id"));
        Spec {
            id: ControlId::new("pump").expect("an id"),
            name: "pump".into(),
            place: PlaceId::new("hall").expect("an id"),
            allowed: Allowed::Values(vec![0.0, 1.0]),
            rest: Some(0.0),
            max_on: Some(Duration::from_secs(60)),
            min_interval: Duration::ZERO,
            max_per_hour: 60,
            interlocks: Vec::new(),
            read_back: (device.clone(), point.clone()),
            device,
            point,
            settle: Duration::from_secs(1),
            dry_run: false,
            off_when: std::collections::BTreeSet::new(),
            exit: false,
            inert_in_fire: false,
        }
    }

    fn at(mono: u64) -> Now {
        Now { mono: Mono(mono), wall: Wall(1_790_000_000_000 + i64::try_from(mono).expect("a short test")) }
    }

    /// A process of at most so many steps, with an order or without; its life is over after two minutes.
    fn run(output: &mut Output, order: Option<f64>, steps: usize) {
        let live = Live::default();
        let memory = output.memory.as_deref().map(Memory::of);
        let mut control = Control::new(Arc::new(spec()), true, memory.as_ref(), at(0));
        let mut pending = VecDeque::new();
        if let Some(value) = order {
            let by = By::Person(Actor::named("teacher").expect("a name"));
            let order = Order { number: 1, value, by, reason: "test".into(), dry_run: false };
            pending.extend(control.order(at(0), &live, order));
        }
        let (mut mono, mut done) = (0, 0);
        while done < steps && mono < 120_000 {
            let Some(step) = pending.pop_front() else {
                mono = control.next_deadline().map_or(120_000, |due| due.0.max(mono));
                pending.extend(control.expire(at(mono)));
                continue;
            };
            done += 1;
            let now = at(mono);
            pending.extend(match step {
                Step::Store { ticket, memory, .. } => {
                    output.memory = Some(memory.text());
                    ticket.map_or(Vec::new(), |ticket| control.stored(now, &live, ticket))
                }
                Step::Write { ticket, value } => {
                    output.on = if output.echoes_only { output.on } else { value };
                    control.wrote(now, ticket, Ok(()))
                }
                Step::Read { ticket } => control.read(now, ticket, Ok(output.on)),
                Step::Tell { outcome, .. } => {
                    output.told = Some(outcome);
                    Vec::new()
                }
                Step::Report(_) => Vec::new(),
            });
        }
    }

    /// What is wrong, if anything is.
    pub fn check() -> Result<(), String> {
        let relay = |echoes_only| Output { on: 0.0, echoes_only, memory: None, told: None };
        let mut stuck = relay(true);
        run(&mut stuck, Some(1.0), 1000);
        if let Some(Outcome::Done { .. }) = stuck.told {
            return Err("an output that does not switch was said to be on".into());
        }
        let mut lives = 0;
        for steps in 0..40 {
            let mut output = relay(false);
            run(&mut output, Some(1.0), steps);
            lives += u32::from(output.on > 0.5);
            run(&mut output, None, 1000);
            if output.on > 0.5 {
                return Err(format!("on for ever after a death at step {steps}"));
            }
        }
        if lives == 0 { Err("it was never on".into()) } else { Ok(()) }
    }

    #[test]
    fn an_output_that_is_on_for_a_while_returns_whenever_the_process_dies() {
        assert_eq!(check(), Ok(()));
    }
}
