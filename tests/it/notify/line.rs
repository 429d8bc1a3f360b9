//! `schoolgate notify`: the program itself tries a channel and exits by the verdict.

use super::{CANARY, Peer};
use crate::control::Relay;
use crate::daemon::School;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What it printed, and its exit code.
async fn run(school: &School, args: &[&str]) -> (Option<i32>, String) {
    let done = school.cli("notify", args).await;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains(CANARY), "{said}");
    (done.status.code(), said)
}

#[tokio::test]
async fn a_channel_is_tried_without_a_gateway() {
    let mut peer = Peer::start("notify_http.py", &[]).await;
    let robot = |id: &str, mode: &str| {
        format!(
            "[[channel]]\nid = '{id}'\nname = '值班群'\nkind = 'wecom'\nurl = 'http://127.0.0.1:{}/{mode}'\n\
             key_file = 'key'\nquiet = '22:00-06:30'\n",
            peer.port
        )
    };
    let modes =
        [("good", "success"), ("busy", "status-429"), ("down", "status-500"), ("wrong", "code-93000")];
    let tables: String = modes.iter().map(|(id, mode)| robot(id, mode)).collect();
    let school = School::new(&(tables + "[[channel]]\nid = 'horn'\nkind = 'sound'\ndevice = 'null'\n"));
    let key = school.config().with_file_name("key");
    fs::write(&key, CANARY).expect("written");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("its mode");

    let (code, said) = run(&school, &["test", "good"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the other side said: {\"errcode\": 0") && said.contains("accepted"), "{said}");
    let heard = peer.heard().await;
    let body = heard["body"].as_str().expect("a body");
    assert!(body.contains("【测试】") && body.contains("测试小学"), "{body}");
    for (id, code, word) in
        [("busy", 75, "busy: "), ("down", 69, "failed: HTTP 500"), ("wrong", 78, "refused, ")]
    {
        let (found, said) = run(&school, &["test", id]).await;
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(run(&school, &["test", "horn"]).await.0, Some(0));
    let (code, said) = run(&school, &["test", "godo"]).await;
    assert!(code == Some(64) && said.contains("did you mean 'good'"), "{said}");
    let (code, said) = run(&school, &["channels"]).await;
    assert_eq!(code, Some(0));
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["good", "值班群", "wecom", "no", "20/60", "s", "22:00-06:30", "no"], "{said}");
    assert_eq!(lines[5], ["horn", "horn", "sound", "yes", "12/60", "s", "-", "no"], "{said}");
}

#[tokio::test]
async fn a_siren_is_switched_by_the_gateway_and_read_back() {
    let mut relay = Relay::start().await;
    let siren = "[controls]\nenabled = true\n[[channel]]\nid = 'siren'\nkind = 'control'\ncontrol = 'pump'\n";
    let school = relay.school(siren);
    let (code, said) = run(&school, &["test", "siren"]).await;
    assert!(code == Some(69) && said.contains("is it running?"), "{said}");
    let _daemon = crate::control::reading(&school).await;
    let (code, said) = run(&school, &["test", "siren"]).await;
    assert!(code == Some(0) && said.contains("1 is read back"), "{said}");
    assert_eq!(relay.ask("coil 1").await, "1", "the other side is on");
    assert_eq!(relay.ask("set 1 0").await, "ok");
    relay.ask("stuck on").await;
    let (code, said) = run(&school, &["test", "siren"]).await;
    assert!(code == Some(69) && said.contains("0 is read"), "{said}");
}
