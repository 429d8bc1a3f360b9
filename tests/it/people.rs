//! The table of persons through the program: imported, counted, exported, tracked, erased.

use crate::daemon::{PATIENCE, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use serde_json::json;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const LIST: &str = "卡号,姓名,角色,班级,平台编号,有效期止\r\n0012345678,张三,学生,2026级3班,P-1,2027-07-15\r\n\
                    0012345679,李四,老师,,,\r\n0012345680,王五,访客,,,2026/9/1 18:00\r\n";

async fn with_input(school: &School, args: &[&str], input: &str) -> Output {
    let mut command = school.command("people", args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("its output")
}

fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

fn audited(school: &School) -> Vec<String> {
    school.column(
        "select actor || ' ' || action || ' ' || detail from audit where actor <> 'system' order by seq",
    )
}

#[tokio::test]
async fn a_list_in_gbk_is_checked_imported_counted_and_given_out_without_names_or_numbers() {
    let school = School::new("");
    let list = school.config().with_file_name("list.csv");
    let path = list.to_str().expect("a path");
    std::fs::write(&list, LIST).expect("written");
    let early = school.cli("people", &["import", path, "--as", "zhang"]).await;
    assert_eq!(early.status.code(), Some(69), "{}", said(&early));
    assert!(said(&early).contains("has the gateway run"), "{}", said(&early));

    let daemon = school.start().await;
    // Every mistake is told, and nobody is imported.
    std::fs::write(&list, format!("{LIST}0012345678,赵六,学生,,,\r\n0012345681,孙七,国王,,,\r\n"))
        .expect("written");
    let refused = school.cli("people", &["import", path, "--as", "zhang"]).await;
    assert_eq!(refused.status.code(), Some(1));
    for (told, there) in [
        (":5:1: the same card as on line 2", true),
        (":6:3: unknown role; expected student", true),
        ("column 2 ('姓名') is not read", true),
        ("赵六", false),
        ("0012345678", false),
    ] {
        assert_eq!(said(&refused).contains(told), there, "{told}: {}", said(&refused));
    }
    assert_eq!(school.count("select count(*) from person"), 0);
    let skipped = school.cli_ok("people", &["import", path, "--skip-bad", "--as", "zhang"]).await;
    assert!(skipped.contains("imported 3 persons (UTF-8)"), "{skipped}");

    std::fs::write(&list, encoding_rs::GBK.encode(LIST).0).expect("written");
    let checked = school.cli_ok("people", &["import", path, "--check"]).await;
    assert!(checked.contains("3 persons are good, 0 mistakes"), "{checked}");
    let imported = school.cli_ok("people", &["import", path, "--replace", "--as", "zhang"]).await;
    assert!(imported.contains("imported 3 persons (GBK)"), "{imported}");
    let counted = school.cli_ok("people", &["list"]).await;
    assert!(counted.contains("student  2026级3班  1") && counted.contains("visitor"), "{counted}");

    let out = school.config().with_file_name("out.csv");
    let export = ["export", "--out", out.to_str().expect("a path"), "--purpose", "year end", "--as", "li"];
    school.cli_ok("people", &export).await;
    let text = std::fs::read_to_string(&out).expect("the export");
    assert_eq!(text.lines().count(), 4);
    assert!(text.contains(",student,2026级3班,P-1,") && !text.contains("0012345678"), "{text}");
    // What was given out can be taken in again.
    let back = school.cli_ok("people", &["import", out.to_str().expect("a path"), "--as", "li"]).await;
    assert!(back.contains("imported 3 persons"), "{back}");
    assert_eq!(school.count("select count(*) from person"), 3);
    assert_eq!(
        audited(&school)[..3],
        [
            "zhang people_import 3 persons; the table was added to",
            "zhang people_import 3 persons; the table was replaced",
            "li people_export 3 persons; year end",
        ]
    );
    daemon.terminate().await;
    for name in ["schoolgate.db", "schoolgate.db-wal"] {
        let bytes = std::fs::read(school.data_dir().join(name)).unwrap_or_default();
        for hidden in ["0012345678", "张三"] {
            assert!(
                !bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()),
                "{hidden} in {name}"
            );
        }
    }
}

#[tokio::test]
async fn a_track_is_off_unless_told_and_an_erasure_leaves_nothing_to_track() {
    let broker = Mosquitto::start().await;
    let field = mqtt_bus(&broker) + &device("gate-reader", "face-rec-mqtt", "1");
    let school = School::new(&field);
    let span = ["--from", "2020-01-01", "--to", "2100-01-01", "--purpose", "找人", "--as", "zhang"];
    let ask = [&["track", "--card"], &span[..]].concat();

    let daemon = school.start().await;
    let off = with_input(&school, &ask, "0012345678\n").await;
    assert_eq!(off.status.code(), Some(69));
    assert!(said(&off).contains("track = true"), "{}", said(&off));
    daemon.terminate().await;

    school.write_config(&(field + "[privacy]\ntrack = true\n"));
    let daemon = school.start().await;
    daemon.connected().await;
    let pass = |n: u32, card: &str| {
        json!({"operator": "RecPush", "info": {"RecordID": n, "VerifyStatus": "1", "direction": "entr",
            "RFIDCard": card}})
        .to_string()
    };
    until("both passes are stored", async || {
        for (n, card) in [(1, "0012345678"), (2, "0099999999"), (3, "0012345678")] {
            broker.publish("mqtt/face/1/Rec", pass(n, card).as_bytes(), &[]).await;
        }
        (school.count("select count(distinct serial) from event") == 3).then_some(())
    })
    .await;
    let none = with_input(
        &school,
        &[&["track", "--card"], &span[..4], &["--purpose", " ", "--as", "z"]].concat(),
        "1\n",
    )
    .await;
    assert!(said(&none).contains("'purpose' must not be empty"), "{}", said(&none));
    let track = with_input(&school, &ask, "0012345678\n").await;
    assert_eq!(
        (track.status.code(), said(&track).matches("gate-reader").count()),
        (Some(0), 2),
        "{}",
        said(&track)
    );

    let erase = ["erase", "--card", "--reason", "转学", "--as", "zhang"];
    let erased = with_input(&school, &erase, " 0012345678 \n").await;
    assert_eq!(erased.status.code(), Some(0), "{}", said(&erased));
    assert!(said(&erased).contains("2 events") && said(&erased).contains("no byte"), "{}", said(&erased));
    let track = with_input(&school, &ask, "0012345678\n").await;
    assert!(said(&track).contains("there is nothing"), "{}", said(&track));
    assert_eq!(school.count("select count(*) from event"), 3, "the passes stay, nobody's");

    let entries = audited(&school).join("\n");
    for told in ["zhang people_track 2 events", "找人", "zhang people_erase 转学", "gateway erased 2 events"]
    {
        assert!(entries.contains(told), "{told}: {entries}");
    }
    assert!(!entries.contains("0012345678"), "{entries}");
    let verified = school.cli_ok("db", &["verify"]).await;
    assert!(verified.contains("ok"), "{verified}");
}
