//! Mail against aiosmtpd: plain, STARTTLS and implicit TLS, logins, and what becomes of each recipient.

use super::{CANARY, Desk, Peer, certificate, message, tell};
use schoolgate::notify::Verdict;

fn table(port: u16, more: &str, to: &str) -> String {
    format!(
        "kind = 'smtp'\nhost = '127.0.0.1'\nport = {port}\nfrom = '校门网关 <gate@school.test>'\nto = [{to}]\n{more}"
    )
}

const LOGIN: &str = "username = 'gate'\npassword_file = 'password'\nca_file = 'server.pem'\n";

#[tokio::test]
async fn mail_is_taken_with_its_chinese_subject_however_it_is_encrypted() {
    let desk = Desk::new();
    let (cert, key) = certificate(desk.dir.path(), "server");
    for (kind, more) in [
        ("plain", "tls = 'none'\n".to_owned()),
        ("starttls", format!("tls = 'starttls'\n{LOGIN}")),
        ("implicit", format!("tls = 'implicit'\n{LOGIN}")),
    ] {
        let args: &[&str] = if kind == "plain" { &[kind] } else { &[kind, &cert, &key] };
        let mut peer = Peer::start("notify_smtp.py", args).await;
        let mut made = desk.notifier(&table(peer.port, &more, "'office@school.test', 'guard@school.test'"));
        assert_eq!(tell(&mut *made, &message()).await, Verdict::Accepted, "{kind}");
        assert!(made.said().is_some_and(|said| said.contains("queued as 4711")), "{:?}", made.said());
        let mail = peer.heard().await;
        assert_eq!(mail["subject"], "紧急：求助按钮被按下");
        assert_eq!(mail["sender"], "校门网关 <gate@school.test>");
        assert_eq!(mail["to"].as_array().unwrap().len(), 2);
        let text = mail["text"].as_str().unwrap();
        assert!(
            text.contains("地点：1号楼 \"3层\" & 走廊\n请立即前往\n示例小学 2026-09-01 08:00:00\n"),
            "{text}"
        );
        assert_eq!(
            (&mail["id"], &mail["automatic"]),
            (&"<7.1788220800000.people@gw-1.schoolgate>".into(), &"auto-generated".into())
        );
        assert_eq!(mail["encrypted"], kind == "starttls", "implicit TLS is below what it sees");
        assert_eq!(mail["login"].is_string(), kind != "plain");
        // The same message once more goes to nobody.
        assert_eq!(tell(&mut *made, &message()).await, Verdict::Accepted);
    }
}

#[tokio::test]
async fn each_recipient_is_judged_alone() {
    let (mut peer, desk) = (Peer::start("notify_smtp.py", &["plain"]).await, Desk::new());
    let port = peer.port;
    for (to, expected) in [
        ("'450@school.test'", "busy"),
        ("'452@school.test'", "busy"),
        ("'451@school.test'", "failed"),
        ("'550@school.test'", "refused"),
        ("'554@school.test'", "refused"),
        ("'full@school.test'", "failed"),
        ("'slow@school.test'", "failed"),
        ("'550@school.test', 'office@school.test'", "accepted"),
        ("'450@school.test', 'office@school.test'", "busy"),
    ] {
        let mut made = desk.notifier(&table(port, "tls = 'none'\n", to));
        let verdict = tell(&mut *made, &message()).await;
        assert_eq!(verdict.word(), expected, "{to}: {verdict:?}");
        let shown = format!("{verdict:?} {:?}", made.said());
        assert!(!shown.contains("@school.test"), "{shown}");
        if to.contains("office") {
            assert_eq!(peer.heard().await["to"], serde_json::json!(["office@school.test"]));
        }
        if to.starts_with("'450") && to.contains("office") {
            // Only who does not have it is asked for again.
            assert_eq!(tell(&mut *made, &message()).await.word(), "busy");
        }
    }
    let mut after = desk.notifier(&table(port, "tls = 'none'\n", "'last@school.test'"));
    assert_eq!(tell(&mut *after, &message()).await, Verdict::Accepted);
    assert_eq!(peer.heard().await["to"], serde_json::json!(["last@school.test"]), "nobody had it twice");
}

#[tokio::test]
async fn wrong_passwords_and_wrong_certificates_send_nothing() {
    let desk = Desk::new();
    let (cert, key) = certificate(desk.dir.path(), "server");
    certificate(desk.dir.path(), "other");
    desk.secret("wrong", &format!("wrong-{CANARY}"));
    let to = "'office@school.test'";
    for kind in ["starttls", "implicit"] {
        let peer = Peer::start("notify_smtp.py", &[kind, &cert, &key]).await;
        let tell_with = async |more: &str| {
            let more = format!("tls = '{kind}'\n{more}");
            tell(&mut *desk.notifier(&table(peer.port, &more, to)), &message()).await
        };
        let wrong = tell_with("username = 'gate'\npassword_file = 'wrong'\nca_file = 'server.pem'\n").await;
        assert!(matches!(&wrong, Verdict::Refused { why } if why.contains("535")), "{kind}: {wrong:?}");
        let nobody = tell_with("ca_file = 'server.pem'\n").await;
        assert!(matches!(&nobody, Verdict::Refused { why } if why.contains("530")), "{kind}: {nobody:?}");
        for ca in ["", "ca_file = 'other.pem'\n"] {
            let verdict = tell_with(&format!("username = 'gate'\npassword_file = 'password'\n{ca}")).await;
            assert!(
                matches!(&verdict, Verdict::Failed { why } if why.contains("certificate")),
                "{kind}: {verdict:?}"
            );
        }
    }
    let plain = Peer::start("notify_smtp.py", &["plain"]).await;
    let verdict = tell(&mut *desk.notifier(&table(plain.port, "tls = 'starttls'\n", to)), &message()).await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("STARTTLS")), "{verdict:?}");
    let nobody = tell(&mut *desk.notifier(&table(1, "tls = 'none'\n", to)), &message()).await;
    assert_eq!(nobody.word(), "failed");
}
