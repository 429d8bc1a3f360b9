//! Robots, webhooks and templated requests against Python's http.server, over plain HTTP and TLS.

use super::{CANARY, Desk, Peer, certificate, message, tell};
use futures_util::future::join_all;
use schoolgate::model::Priority;
use schoolgate::notify::Verdict;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const SMS: &str = "
content = 'json'
body = '{\"to\": \"{recipient}\", \"text\": \"{text}\", \"place\": \"{place}\", \"key\": \"{secret}\"}'
secret_file = 'key'
recipients = ['13800138000']
ok_pointer = '/code'
ok_values = ['0']
";

/// The table of each kind that speaks HTTP, for a server that answers in this way.
fn tables(base: &str, mode: &str) -> Vec<(&'static str, String)> {
    let at = format!("{base}/{mode}");
    vec![
        (
            "wecom",
            format!("kind = 'wecom'\nurl = '{at}'\nkey_file = 'key'\nmention_mobiles = ['13800138000']\n"),
        ),
        ("dingtalk", format!("kind = 'dingtalk'\nurl = '{at}'\nkey_file = 'key'\nsecret_file = 'sign'\n")),
        ("feishu", format!("kind = 'feishu'\nurl = '{at}'\nkey_file = 'key'\nsecret_file = 'sign'\n")),
        (
            "webhook",
            format!(
                "kind = 'webhook'\nurl = '{at}'\ntoken_file = 'key'\nsecret_file = 'sign'\n\
                 ok_pointer = '/code'\nok_values = ['0']\n"
            ),
        ),
        ("http", format!("kind = 'http'\nurl = '{at}/send?key={{secret}}&p={{priority}}'\n{SMS}")),
    ]
}

#[tokio::test]
async fn every_reply_over_http_is_judged_by_its_body() {
    let (peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let base = format!("http://127.0.0.1:{}", peer.port);
    let pause = |secs| Verdict::Busy { retry_after: Some(Duration::from_secs(secs)) };
    for (mode, word, why) in [
        ("success", "accepted", ""),
        ("status-429", "busy", ""),
        ("status-503", "busy", ""),
        ("status-500", "failed", "HTTP 500: an error page"),
        ("status-401", "refused", "HTTP 401"),
        ("status-204", "other", ""),
        ("code-40001", "failed", "40001"),
        ("garbled", "failed", "<html>"),
        ("huge", "failed", "longer than 65536 bytes"),
        ("redirect", "failed", "leads elsewhere"),
    ] {
        for (kind, table) in tables(&base, mode) {
            let mut made = desk.notifier(&table);
            let verdict = tell(&mut *made, &message()).await;
            if word == "busy" {
                assert_eq!(verdict, pause(7), "{kind} {mode}");
            } else if word == "other" {
                assert_eq!(verdict.word(), "failed", "{kind}: nothing was said");
            } else {
                assert_eq!(verdict.word(), word, "{kind} {mode}: {verdict:?}");
                assert!(format!("{verdict:?}").contains(why), "{kind} {mode}: {verdict:?}");
            }
        }
    }
    for (kind, code, expected) in
        [("wecom", 45009, pause(60)), ("dingtalk", 130_101, pause(600)), ("feishu", 11232, pause(60))]
    {
        let (_, table) =
            tables(&base, &format!("code-{code}")).into_iter().find(|(k, _)| *k == kind).unwrap();
        assert_eq!(tell(&mut *desk.notifier(&table), &message()).await, expected, "{kind}");
    }
    for (kind, code) in [("wecom", 93000), ("dingtalk", 310_000), ("feishu", 19021)] {
        let (_, table) =
            tables(&base, &format!("code-{code}")).into_iter().find(|(k, _)| *k == kind).unwrap();
        let verdict = tell(&mut *desk.notifier(&table), &message()).await;
        assert!(
            matches!(&verdict, Verdict::Refused { why } if why.contains("check") || why.contains("key_file")),
            "{verdict:?}"
        );
    }
    let words: BTreeSet<String> = desk.attempts().into_iter().map(|(word, _)| word).collect();
    assert_eq!(words, ["accepted", "busy", "failed", "refused"].map(String::from).into());
    assert_eq!(desk.attempts().iter().map(|(_, n)| n).sum::<u64>(), 5 * 10 + 6);
}

#[tokio::test]
async fn who_does_not_answer_is_given_up_after_five_seconds() {
    let (peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let tables = tables(&format!("http://127.0.0.1:{}", peer.port), "slow");
    let tries = tables.into_iter().map(async |(kind, table)| {
        let verdict = tell(&mut *desk.notifier(&table), &message()).await;
        assert_eq!(verdict, Verdict::Failed { why: "no answer within 5 s".into() }, "{kind}");
    });
    join_all(tries).await;
    let spent = desk.tally.notify_millis.all();
    assert!(spent.len() == 1 && spent[0].1 >= 5 * 5000, "{spent:?}");
}

#[tokio::test]
async fn what_a_server_echoes_shows_no_secret() {
    let (peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let base = format!("http://127.0.0.1:{}", peer.port);
    desk.secret("url", &format!("{base}/echo-500/{CANARY}?x={CANARY}"));
    for mode in ["echo-200", "echo-400", "echo-500"] {
        for (kind, table) in tables(&base, mode) {
            // `tell` looks for the secrets.
            let verdict = tell(&mut *desk.notifier(&table), &message()).await;
            assert!(matches!(verdict.word(), "failed" | "refused"), "{kind}: {verdict:?}");
            assert!(format!("{verdict:?}").contains("[secret]"), "{kind}: {verdict:?}");
        }
    }
    let mut made = desk.notifier("kind = 'webhook'\nurl_file = 'url'\n");
    assert!(format!("{:?}", tell(&mut *made, &message()).await).contains("[secret]"));
    let mut nobody = desk.notifier(&tables("http://127.0.0.1:1", "success").remove(0).1);
    assert_eq!(tell(&mut *nobody, &message()).await.word(), "failed");
}

#[tokio::test]
async fn certificates_are_verified() {
    let desk = Desk::new();
    let (cert, key) = certificate(desk.dir.path(), "server");
    certificate(desk.dir.path(), "other");
    let mut peer = Peer::start("notify_http.py", &[&cert, &key]).await;
    let base = format!("https://127.0.0.1:{}", peer.port);
    for (kind, table) in tables(&base, "success") {
        // A table stands at its end in one of them.
        let trusting = |ca: &str| table.replacen('\n', &format!("\nca_file = '{ca}'\n"), 1);
        assert_eq!(
            tell(&mut *desk.notifier(&trusting("server.pem")), &message()).await,
            Verdict::Accepted,
            "{kind}"
        );
        peer.heard().await;
        for table in [table.clone(), trusting("other.pem")] {
            let verdict = tell(&mut *desk.notifier(&table), &message()).await;
            let Verdict::Failed { why } = verdict else { panic!("{kind}: {verdict:?}") };
            assert!(why.contains("certificate"), "{kind}: {why}");
        }
    }
}

#[tokio::test]
async fn robots_hear_what_their_makers_documented() {
    let (mut peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let base = format!("http://127.0.0.1:{}", peer.port);
    let mut heard = Vec::new();
    for (_, table) in tables(&base, "success") {
        assert_eq!(tell(&mut *desk.notifier(&table), &message()).await, Verdict::Accepted);
        let request = peer.heard().await;
        let body: serde_json::Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
        heard.push((request, body));
    }
    let [wecom, dingtalk, feishu, webhook, http] = heard.try_into().expect("five");
    assert_eq!(wecom.0["path"], format!("/success?key={CANARY}"));
    assert_eq!(wecom.1["msgtype"], "text");
    assert_eq!(wecom.1["text"]["mentioned_mobile_list"], json!(["13800138000"]));
    let path = dingtalk.0["path"].as_str().unwrap();
    assert!(
        path.starts_with(&format!("/success?access_token={CANARY}&timestamp=1")) && path.contains("&sign="),
        "{path}"
    );
    assert!(
        !path.contains("+") && dingtalk.1["markdown"]["text"].as_str().unwrap().contains("求助按钮"),
        "{path}"
    );
    assert_eq!(feishu.0["path"], format!("/success/{CANARY}"));
    assert!(feishu.1["sign"].is_string() && feishu.1["timestamp"].as_str().unwrap().len() == 10);
    assert_eq!(webhook.0["headers"]["authorization"], format!("Bearer {CANARY}"));
    let signature = webhook.0["headers"]["x-schoolgate-signature"].as_str().unwrap();
    assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");
    assert_eq!((&webhook.1["occasion"], &webhook.1["alarms"]), (&json!("raised"), &json!([12])));
    assert_eq!(http.0["path"], format!("/success/send?key={CANARY}&p=%E7%B4%A7%E6%80%A5"));
    assert_eq!((&http.1["to"], &http.1["key"]), (&json!("13800138000"), &json!(CANARY)));
    assert_eq!(http.1["place"], "1号楼 \"3层\" & 走廊");
    assert!(http.0["headers"]["content-type"].as_str().unwrap().starts_with("application/json"));
}

#[tokio::test]
async fn whoever_has_a_short_message_gets_it_no_second_time() {
    let (mut peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let url = format!("http://127.0.0.1:{}/odd", peer.port);
    let mut made = desk.notifier(&format!(
        "kind = 'http'\nurl = '{url}'\ncontent = 'form'\ncharset = 'gb18030'\n\
         body = 'text={{title}}&to={{recipient}}'\nrecipients = ['13800138001', '13800138002', '13800138003']\n\
         ok_pointer = '/code'\nok_values = ['0']\nlanguages = 'zh+en'\n"
    ));
    let mut message = message();
    for (number, asked) in [(7, 3), (7, 1), (8, 3)] {
        message.number = number;
        let verdict = tell(&mut *made, &message).await;
        let Verdict::Failed { why } = verdict else { panic!("{verdict:?}") };
        assert!(why.starts_with("recipient 2 of 3: "), "{why}");
        let mut to = BTreeSet::new();
        for _ in 0..asked {
            let request = peer.heard().await;
            let body = request["body"].as_str().unwrap().to_owned();
            // 求 in GB 18030.
            assert!(body.starts_with("text=%C7%F3"), "{body}");
            to.insert(body.rsplit('=').next().unwrap().to_owned());
        }
        assert_eq!(to.len(), asked);
        assert!(asked == 3 || to.contains("13800138002"), "{to:?}");
    }
}

#[tokio::test]
async fn a_channel_that_only_asks_is_a_get() {
    let (mut peer, desk) = (Peer::start("notify_http.py", &[]).await, Desk::new());
    let mut made = desk.notifier(&format!(
        "kind = 'http'\nmethod = 'GET'\nurl = 'http://127.0.0.1:{}/success?to={{recipient}}&t={{text}}'\n\
         recipients = ['13800138000']\nok_contains = 'success'\nmax_chars = 12\n[channel.headers]\nX-Number = '{{number}}'\n",
        peer.port
    ));
    let mut message = message();
    message.priority = Priority::Low;
    assert_eq!(tell(&mut *made, &message).await, Verdict::Accepted);
    let heard = peer.heard().await;
    assert_eq!((&heard["method"], &heard["headers"]["x-number"]), (&json!("GET"), &json!("7")));
    let path = heard["path"].as_str().unwrap();
    // Twelve characters of three bytes each at most, the last of them "…".
    assert!(
        path.starts_with("/success?to=13800138000&t=%E4%BD%8E%EF%BC%9A") && path.ends_with("%E2%80%A6"),
        "{path}"
    );
    assert!(made.said().is_some_and(|said| said.contains("success")));
}
