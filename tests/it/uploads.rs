//! How complete uploads are, how the machine is doing, and what rules there are, through the real daemon.

use crate::daemon::{School, until};
use crate::rig::free_port;
use schoolgate::model::{
    DestinationId, DeviceId, OutboxItem, PointId, PointKind, Record, RollUp, Unit, Wall,
};
use schoolgate::pipeline::Commit;
use schoolgate::store::{FILE_NAME, Settlement, Store};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const HOUR: i64 = 3_600_000;

fn roll_up(n: i64) -> RollUp {
    RollUp {
        device: DeviceId::new("m1").unwrap(),
        point: PointId::new("power_total").unwrap(),
        unit: Unit::Watt,
        kind: PointKind::Gauge,
        start: Wall(1_790_000_000_000 / HOUR * HOUR + n * HOUR),
        period_secs: 3600,
        count: 2,
        sum: 3.0,
        min: 1.0,
        max: 2.0,
        last: 2.0,
        delta: None,
        revision: 0,
    }
}

fn school() -> School {
    let (bus, platform) = (free_port(), free_port());
    let school = School::new(&format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {bus}\n\
         [[device]]\nid = 'm1'\nname = '总表'\nprofile = 'eastron-sdm630'\nbus = 'line'\naddress = 1\nplace = 'gate'\n\
         [[rule]]\nid = 'too-much'\nkind = 'threshold'\ndevices = ['m1']\npoint = 'power_total'\nabove = 30.0\nunit = 'kW'\n\
         priority = 'high'\n\
         [[destination]]\nid = 'city'\nkind = 'shield'\nbase_url = 'http://127.0.0.1:{platform}/'\napp_id = 'test'\n\
         secret_file = 'secret'\n"
    ));
    let secret = school.config().with_file_name("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    school
}

#[tokio::test]
async fn what_was_owed_and_what_was_taken_is_told_for_a_day_and_for_thirty() {
    let school = school();
    std::fs::create_dir_all(school.data_dir()).unwrap();
    let now = jiff::Timestamp::now().as_millisecond();
    let mut store = Store::open(&school.data_dir()).unwrap();
    let city = DestinationId::new("city").unwrap();
    // One record in each of the last hundred hours, the oldest first.
    let owed = |n: i64| OutboxItem {
        seq: u64::try_from(n + 1).unwrap(),
        destination: city.clone(),
        uid: format!("gw-test:{n}"),
        created: Wall(now - (100 - n) * HOUR),
        record: Record::Aggregate(roll_up(n)),
    };
    store.commit(&[&Commit { outbox: (0..100).map(owed).collect(), ..Commit::default() }]).unwrap();
    let answer = Settlement { delivered: (1..=90).collect(), set_aside: vec![(91, "no".into())] };
    store.settle(&city, &answer, Wall(now)).unwrap();
    drop(store);

    let daemon = school.start().await;
    let rows = until("the platform was tried", async || {
        let rows = school.rows("/api/v1/uploads").await;
        // The head of the audit trail is owed, too, a moment after the start.
        (rows[0]["last_error"].is_object() && rows[0]["waiting"] == 10).then_some(rows)
    })
    .await;
    let row = &rows[0];
    assert_eq!(
        (row["id"].as_str(), row["waiting"].as_u64(), rows.len()),
        (Some("city"), Some(10), 1),
        "{row}"
    );
    assert!(row["lag_secs"].as_u64().unwrap() >= 8 * 3600, "{row}");
    assert!(row["last_error"]["zh"].is_string() && row["last_error"]["en"].is_string(), "{row}");
    let month = json!({"owed": 101, "accepted": 90, "waiting": 10, "set_aside": 1, "share": 90.0 / 101.0});
    assert_eq!(row["month"], month);
    let history = row["history"].as_array().unwrap();
    let sum = |at: usize| history.iter().map(|day| day[at].as_u64().unwrap()).sum::<u64>();
    assert_eq!((history.len(), sum(1), sum(2)), (30, 101, 90), "{row}");
    // Of the last 24 hours, or 25 where one has begun.
    let (owed, accepted) = (row["day"]["owed"].as_u64().unwrap(), row["day"]["accepted"].as_u64().unwrap());
    assert!((25..=26).contains(&owed) && accepted == owed - 11, "{row}");

    let system = school.get("/api/v1/system").await;
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["clock"]["set"], true);
    assert_eq!(system["clock"]["timezone"], "Asia/Shanghai");
    let disk = &system["disk"];
    assert!(
        disk["free"].as_u64() <= disk["total"].as_u64() && disk["budget"] == 4096_u64 * 1024 * 1024,
        "{disk}"
    );
    let parts: u64 = system["parts"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(disk["used"], parts);
    assert!(system["parts"][FILE_NAME].as_u64() > Some(4096), "{system}");
    assert!(system["processes"][0]["rss"].as_u64() > Some(1 << 20), "{system}");
    assert_eq!(system["last_backup"], Value::Null);

    let period = school.get("/api/v1/reports/period?unit=quarter").await;
    let uploads = &period["content"]["uploads"][0];
    assert_eq!(uploads["destination"], "city");
    assert!(uploads["owed"].as_u64() <= Some(101) && uploads["accepted"].as_u64() <= Some(90), "{uploads}");
    daemon.terminate().await;
}

#[tokio::test]
async fn rules_are_told_with_what_they_watch_where_they_stand_and_how_often_they_raised_an_alarm() {
    let school = school();
    let _daemon = school.start().await;
    let rows = school.rows("/api/v1/rules").await;
    assert_eq!(rows.len(), 1);
    let rule = &rows[0];
    for (field, expected) in [
        ("id", Value::from("too-much")),
        ("kind", "threshold".into()),
        ("priority", "high".into()),
        ("class", "equipment".into()),
        ("devices", json!(["m1"])),
        ("points", json!(["power_total"])),
        ("open", 0.into()),
        ("raised_30d", 0.into()),
        ("never", Value::Null),
    ] {
        assert_eq!(rule[field], expected, "{field} of {rule}");
    }
    let says = |lang: &str| rule["says"][lang].as_str().unwrap();
    assert!(says("zh").starts_with("总表 · 总有功功率高于 30 kW"), "{rule}");
    assert!(says("en").starts_with("总表 · total active power above 30 kW"), "{rule}");
    assert!(rule["doc"]["zh"].as_str().unwrap().contains("限值"), "{rule}");
    let line = usize::try_from(rule["line"].as_u64().unwrap()).unwrap();
    let text = std::fs::read_to_string(school.config()).unwrap();
    assert_eq!(text.lines().nth(line - 1), Some("id = 'too-much'"), "{rule}");
    assert_eq!(rule["file"].as_str(), school.config().to_str());
}
