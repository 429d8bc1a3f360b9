//! What sounds or shows nearby: Mosquitto with a device behind it, aplay, and a relay of pymodbus.

use super::{CANARY, Desk, message, tell};
use crate::mosquitto::{Mosquitto, Setup};
use schoolgate::model::Priority;
use schoolgate::notify::{Occasion, Verdict};
use std::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;

fn topic(port: u16, more: &str) -> String {
    format!("kind = 'mqtt'\nhost = '127.0.0.1'\nport = {port}\ntopic = 'siren/set'\n{more}")
}

/// What Mosquitto's own client hears on a topic.
struct Ear {
    _child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Ear {
    async fn on(broker: &Mosquitto, topic: &str) -> Self {
        // A retained message says that the subscription is there.
        broker.publish("ready", b"ready", &["-r"]).await;
        let mut child = tokio::process::Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &broker.port().to_string(),
                "-q",
                "1",
                "-t",
                topic,
                "-t",
                "ready",
            ])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_sub runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut ear = Self { _child: child, lines };
        assert_eq!(ear.next().await, "ready");
        ear
    }

    async fn next(&mut self) -> String {
        let line = tokio::time::timeout(super::PATIENCE, self.lines.next_line()).await;
        line.expect("in time").expect("a line").expect("a client that lives")
    }
}

#[tokio::test]
async fn a_broker_that_confirms_has_it() {
    let (broker, desk) = (Mosquitto::start().await, Desk::new());
    let mut ear = Ear::on(&broker, "siren/set").await;
    let mut made = desk.notifier(&topic(broker.port(), ""));
    assert_eq!(tell(&mut *made, &message()).await, Verdict::Accepted);
    let heard: serde_json::Value = serde_json::from_str(&ear.next().await).expect("a document");
    assert_eq!((&heard["title"]["zh"], &heard["number"]), (&"求助按钮被按下".into(), &7.into()));
    let port = broker.port();
    drop(broker);
    let gone = tell(&mut *desk.notifier(&topic(port, "")), &message()).await;
    assert_eq!(gone.word(), "failed", "{gone:?}");
}

#[tokio::test]
async fn a_wrong_login_will_never_do() {
    let login = Some(("gate".to_owned(), "another".to_owned()));
    let (broker, desk) = (Mosquitto::start_with(&Setup { login, ..Setup::default() }).await, Desk::new());
    let more = "username = 'gate'\npassword_file = 'password'\n";
    let verdict = tell(&mut *desk.notifier(&topic(broker.port(), more)), &message()).await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("login")), "{verdict:?} {CANARY}");
}

#[tokio::test]
async fn a_siren_on_mqtt_is_done_when_its_state_says_so_and_not_before() {
    let (broker, desk) = (Mosquitto::start().await, Desk::new());
    // What was kept from the last time counts for nothing.
    broker.publish("siren", br#"{"alarm": true}"#, &["-r"]).await;
    let more = "payload = '{\"warning\": \"{title}\"}'\nstate_topic = 'siren'\nok_pointer = '/alarm'\n\
                ok_values = ['true']\nlocal = true\n";
    assert!(desk.channel(&topic(broker.port(), more)).is_local());
    let mut made = desk.notifier(&topic(broker.port(), more));
    let silent = tell(&mut *made, &message()).await;
    assert!(
        matches!(&silent, Verdict::Failed { why } if why.contains("not confirmed on 'siren'")),
        "{silent:?}"
    );

    let mut ear = Ear::on(&broker, "siren/set").await;
    let device = async {
        assert_eq!(ear.next().await, r#"{"warning": "求助按钮被按下"}"#);
        broker.publish("siren", br#"{"alarm": false}"#, &[]).await;
        broker.publish("siren", br#"{"alarm": true}"#, &[]).await;
    };
    let message = message();
    let (verdict, ()) = tokio::join!(tell(&mut *made, &message), device);
    assert_eq!(verdict, Verdict::Accepted);
    assert_eq!(made.said(), Some(r#"{"alarm": true}"#));
}

#[tokio::test]
async fn sounds_are_played_and_what_does_not_end_is_ended() {
    let desk = Desk::new();
    let null = "kind = 'sound'\ndevice = 'null'\n";
    let mut made = desk.notifier(null);
    let mut message = message();
    for priority in [Priority::Critical, Priority::High, Priority::Medium, Priority::Low] {
        message.priority = priority;
        assert_eq!(tell(&mut *made, &message).await, Verdict::Accepted, "{priority:?}");
    }
    let of = |name: &str| format!("{null}[channel.files]\nlow = '{name}'\n");
    let missing = tell(&mut *desk.notifier(&of("none.wav")), &message).await;
    assert!(matches!(&missing, Verdict::Refused { why } if why.contains("No such file")), "{missing:?}");
    std::fs::write(desk.path("noise.wav"), "this is no sound").expect("written");
    let noise = tell(&mut *desk.notifier(&of("noise.wav")), &message).await;
    assert!(matches!(&noise, Verdict::Refused { why } if why.contains("no file in WAV")), "{noise:?}");
    let nowhere = tell(&mut *desk.notifier("kind = 'sound'\ndevice = 'hw:97,0'\n"), &message).await;
    assert!(matches!(&nowhere, Verdict::Failed { why } if why.contains("aplay")), "{nowhere:?}");
    message.occasion = Occasion::Over;
    assert_eq!(
        tell(&mut *desk.notifier(&of("none.wav")), &message).await,
        Verdict::Accepted,
        "nothing sounds"
    );

    // A pipe that nobody writes into: it would wait for ever.
    let pipe = desk.path("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    message.occasion = Occasion::Raised;
    let endless = tell(&mut *desk.notifier(&of("pipe.wav")), &message).await;
    assert!(matches!(&endless, Verdict::Failed { why } if why.contains("still playing")), "{endless:?}");
    crate::daemon::until("aplay is gone", async || {
        let pipe = pipe.display().to_string();
        let found =
            Command::new("pgrep").args(["-f", &format!("aplay.*{pipe}")]).output().expect("pgrep runs");
        found.stdout.is_empty().then_some(())
    })
    .await;
}
