//! The gateway's own MQTT listener as devices meet it: real clients, hostile ones, kills, and Q1 to Q10 of the list of
//! what MQTT devices do wrong.

mod kills;
mod raw;
mod rules;

use crate::daemon::{self, PATIENCE, School, sum_of, until};
use crate::pymodbus::python;
use crate::rig::{free_port, root};
use raw::{Hello, Raw, publish};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

/// A school with a listener of its own.
pub struct Campus {
    pub school: School,
    pub port: u16,
}

/// A device on the listener; its password file is `secrets/ID.pw`.
pub fn device(id: &str, profile: &str, address: &str) -> String {
    daemon::device(id, profile, address) + &format!("password_file = 'secrets/{id}.pw'\n")
}

/// Writes a file that only its owner can read beside the configuration.
fn secret(school: &School, name: &str, text: &str) {
    let path = school.config().with_file_name("secrets").join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("closed");
}

const BOARD: &str = "[[bus.reader]]\nusername = 'board'\npassword_file = 'secrets/board.pw'\n\
                     filters = ['zigbee2mqtt/#', 'mqtt/#']\n";

impl Campus {
    /// `field` is what stands below the bus: its readers first, then devices.
    pub fn new(field: &str, passwords: &[(&str, &str)]) -> Self {
        let port = free_port();
        let bus =
            format!("[[bus]]\nid = 'mqtt'\nkind = 'mqtt-listener'\nplain_listen = '127.0.0.1:{port}'\n");
        let school = School::new(&(bus + field));
        for (login, password) in passwords {
            secret(&school, &format!("{login}.pw"), password);
        }
        Self { school, port }
    }

    /// A sensor, a card terminal, a help button, and a reader; each one's password is `pw-` and its name.
    fn usual() -> Self {
        let devices = device("th", "aqara-wsdcgq11lm", "th")
            + &device("reader", "face-rec-mqtt", "1001")
            + &device("help", "tuya-ts0215a", "help");
        let names = ["th", "reader", "help", "board"];
        let passwords = names.map(|name| (name, format!("pw-{name}")));
        let passwords: Vec<(&str, &str)> = passwords.iter().map(|(name, pw)| (*name, pw.as_str())).collect();
        Self::new(&(BOARD.to_owned() + &devices), &passwords)
    }

    async fn raw(&self, login: &str) -> Raw {
        Raw::connect(self.port, &Hello::new(login, &format!("pw-{login}"))).await
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// Certificates in a directory: `ca`, and `server`, `th` signed by it; `other-ca` and `other` by another.
fn certificates(dir: &Path) {
    let run = |args: &[&str]| {
        let made = Command::new("openssl").args(args).current_dir(dir).output().expect("openssl runs");
        assert!(made.status.success(), "{args:?}: {}", text(&made));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for (ca, leaves) in [("ca", &["server", "th"][..]), ("other-ca", &["other"][..])] {
        let (pem, secret, subject) = (format!("{ca}.pem"), format!("{ca}.key"), format!("/CN={ca}"));
        let own = ["req", "-x509", "-days", "2", "-subj", &subject, "-out", &pem, "-keyout", &secret];
        run(&[&own[..], &key[..]].concat());
        for leaf in leaves {
            // The certificate of the wrong authority bears the right name.
            let subject = format!("/CN={}", if *leaf == "other" { "th" } else { leaf });
            let (csr, out, secret_of) = (format!("{leaf}.csr"), format!("{leaf}.pem"), format!("{leaf}.key"));
            run(&[&["req", "-subj", &subject, "-out", &csr, "-keyout", &secret_of][..], &key[..]].concat());
            std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
                .unwrap();
            run(&[
                "x509",
                "-req",
                "-in",
                &csr,
                "-CA",
                &pem,
                "-CAkey",
                &secret,
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "san",
                "-out",
                &out,
            ]);
        }
    }
}

#[tokio::test]
async fn mosquitto_with_tls_and_a_client_certificate_is_stored_when_it_is_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    certificates(dir.path());
    let (port, path) = (free_port(), |name: &str| dir.path().join(name).display().to_string());
    let field = format!(
        "[[bus]]\nid = 'mqtt'\nkind = 'mqtt-listener'\nlisten = '127.0.0.1:{port}'\ncert_file = '{}'\n\
         key_file = 'secrets/server.key'\nclient_ca_file = '{}'\n{}{}",
        path("server.pem"),
        path("ca.pem"),
        daemon::device("th", "aqara-wsdcgq11lm", "th"),
        device("help", "tuya-ts0215a", "help"),
    );
    let school = School::new(&field);
    secret(&school, "server.key", &std::fs::read_to_string(path("server.key")).unwrap());
    secret(&school, "help.pw", "swordfish");
    let daemon = school.start().await;
    daemon.connected().await;

    let mosquitto = async |topic: &str, message: &str, args: &[&str]| {
        let port = port.to_string();
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", message]).args(args);
        timeout(PATIENCE, command.output()).await.expect("it ends").expect("mosquitto_pub runs")
    };
    let (ca, cert, key) = (path("ca.pem"), path("th.pem"), path("th.key"));
    let certified = ["--cafile", &ca, "--cert", &cert, "--key", &key];
    for (n, version) in ["mqttv311", "mqttv5"].into_iter().enumerate() {
        let args = [&certified[..], &["-V", version]].concat();
        let done = mosquitto("zigbee2mqtt/th", &format!("{{\"temperature\":{n}.5}}"), &args).await;
        assert!(done.status.success(), "{}", text(&done));
        // It is there as soon as it is acknowledged: nothing is waited for.
        assert_eq!(daemon::stored_numbers(&school).len(), n + 1);
    }
    let with_password = ["--cafile", &ca, "-u", "help", "-P", "swordfish"];
    let done = mosquitto("zigbee2mqtt/help", r#"{"action":"emergency"}"#, &with_password).await;
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(school.count("select count(*) from event where kind = 'help'"), 1);

    let (other_ca, other, other_key) = (path("other-ca.pem"), path("other.pem"), path("other.key"));
    for (args, told) in [
        (&["--cafile", &ca, "--cert", &other, "--key", &other_key][..], "its certificate is not taken"),
        (
            &["--cafile", &ca, "-u", "th", "-P", "anything"][..],
            "'th' has no password: it must show a client certificate",
        ),
        (&["--cafile", &ca][..], "it gives neither a user name nor a certificate that is known"),
        (&["--cafile", &ca, "-u", "help", "-P", "tunafish"][..], "wrong password for 'help'"),
        (
            &["--cafile", &other_ca, "--cert", &cert, "--key", &key][..],
            "it does not take this listener's certificate",
        ),
    ] {
        let done = mosquitto("zigbee2mqtt/th", r#"{"temperature":9}"#, args).await;
        assert!(!done.status.success(), "{args:?}");
        until("it is told why", async || school.log().contains(told).then_some(())).await;
    }
    assert_eq!(daemon::stored_numbers(&school).len(), 2);
    assert!(school.metric("schoolgate_refused_logins_total", "mqtt").await >= 5.0);
    let log = school.log();
    assert!(log.contains("127.0.0.1") && !log.contains("tunafish") && !log.contains("swordfish"));
}

#[tokio::test]
async fn paho_interoperates_in_both_versions_at_every_qos() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let script = root().join("tests/peers/paho_listener.py");
    let run = tokio::process::Command::new(python())
        .arg(script)
        .arg(campus.port.to_string())
        .kill_on_drop(true)
        .output();
    let done = timeout(PATIENCE * 3, run).await.expect("it ends").expect("python runs");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "ok");
}

#[tokio::test]
async fn mosquitto_sub_hears_what_mosquitto_pub_says_at_every_qos_in_both_versions() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let port = campus.port.to_string();
    let publish = async |version: &str, args: &[&str]| {
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-V",
            version,
            "-u",
            "th",
            "-P",
            "pw-th",
            "-t",
            "zigbee2mqtt/th",
        ]);
        let done = timeout(PATIENCE, command.args(args).output()).await.expect("it ends").expect("it runs");
        assert!(done.status.success(), "{}", text(&done));
    };
    for version in ["mqttv311", "mqttv5"] {
        publish(version, &["-q", "1", "-r", "-m", r#"{"temperature":1}"#]).await;
        let mut hearing = tokio::process::Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-u", "board", "-P", "pw-board"])
            .args(["-t", "zigbee2mqtt/#", "-q", "2", "-C", "4", "-F", "%r %q %p"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_sub runs");
        let mut lines = BufReader::new(hearing.stdout.take().expect("its output")).lines();
        let mut next = async || {
            timeout(PATIENCE, lines.next_line()).await.expect("a line").expect("read").expect("a line")
        };
        // It has subscribed when it has the retained message.
        assert_eq!(next().await, r#"1 1 {"temperature":1}"#);
        for qos in ["0", "1", "2"] {
            publish(version, &["-q", qos, "-m", &format!("{{\"temperature\":{qos}}}")]).await;
            assert_eq!(next().await, format!("0 {qos} {{\"temperature\":{qos}}}"), "{version}");
        }
        let ended = timeout(PATIENCE, hearing.wait()).await.expect("it ends").expect("its status");
        assert!(ended.success());
    }
}

#[tokio::test]
async fn of_a_hundred_devices_none_publishes_or_subscribes_for_another() {
    const DEVICES: usize = 100;
    let names: Vec<String> = (0..DEVICES).map(|n| format!("d{n}")).collect();
    let topics: Vec<String> = names.iter().map(|name| format!("zigbee2mqtt/{name}")).collect();
    let field: String = names.iter().map(|name| device(name, "aqara-wsdcgq11lm", name)).collect();
    let passwords: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let campus = Campus::new(&field, &passwords);
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let mut accepted = 0;
    for (n, name) in names.iter().enumerate() {
        let five = n % 2 == 0;
        let mut raw = Raw::connect(campus.port, &Hello { five, ..Hello::new(name, name) }).await;
        let others: Vec<&str> =
            topics.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, t)| t.as_str()).collect();
        let codes = raw.subscribe(&[&others[..], &["#", "+/+", "zigbee2mqtt/#"]].concat(), 1).await;
        assert_eq!(codes.len(), DEVICES + 2);
        accepted += codes.iter().filter(|code| **code < 0x80).count();
        let mut burst = Vec::new();
        for (id, topic) in (1..).zip(&others) {
            burst.extend(publish(five, 2, topic, id, br#"{"temperature":1}"#));
        }
        raw.send(&burst).await;
        for id in 1..DEVICES {
            let (first, body) = raw.next().await;
            assert_eq!((first, usize::from(u16::from_be_bytes([body[0], body[1]]))), (0x40, id), "in order");
            accepted += usize::from(five && body.get(2) != Some(&0x87));
        }
        let payload = format!("{{\"temperature\":{}}}", n + 100);
        assert_eq!(raw.publish(&topics[n], 500, payload.as_bytes()).await, 0, "its own is taken");
    }
    assert_eq!(accepted, 0);
    let stored = daemon::stored_numbers(&campus.school);
    let wanted: Vec<i64> = (0..DEVICES as i64).map(|n| (n + 100) * 1000).collect();
    assert_eq!(stored, wanted, "what each said of itself and nothing else");
    let page = campus.school.metrics().await;
    let denied = sum_of(&page, "schoolgate_not_allowed_total", "mqtt");
    assert_eq!(denied, (DEVICES * (DEVICES - 1) + DEVICES * (DEVICES + 2)) as f64, "each is counted");
    let kept = campus.school.count("select count(*) from quarantine where kind = 'not_allowed'");
    assert!(
        (1..=DEVICES as i64).contains(&kept),
        "told once for each login, not once for each message: {kept}"
    );
}
