//! A year of two hundred meters: energy by days and hours, beside comparable days, by place and by what it is used for.

use crate::daemon::{PATIENCE, School};
use crate::pymodbus::python;
use crate::rig::{free_port, root};
use schoolgate::store::{FILE_NAME, Store};
use serde_json::Value;
use std::process::Command;
use tokio::time::Instant;

const METERS: usize = 200;
const DAY: i64 = 24 * 3_600_000;
/// 2026-03-02T00:00+08:00, a Monday.
const MONDAY: i64 = 1_772_380_800_000;

/// A school of two buildings with meters that nobody polls: every second one for lighting in the first of them.
fn config() -> String {
    let port = free_port();
    let mut text = format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n\
         [[place]]\nid = 'east'\nkind = 'building'\nname = '东楼'\n[[place]]\nid = 'e1'\nkind = 'room'\nname = '101'\nparent = 'east'\n"
    );
    for meter in 0..METERS {
        let (unit, place) = (meter + 1, if meter % 2 == 0 { "e1" } else { "gate" });
        let item = match meter % 4 {
            0 => "item = 'lighting'\n",
            1 => "item = 'hvac'\n",
            _ => "",
        };
        text += &format!(
            "[[device]]\nid = 'm{meter:03}'\nprofile = 'eastron-sdm630'\nbus = 'line'\naddress = {unit}\nplace = '{place}'\n\
             poll_secs = 86400\n{item}"
        );
    }
    text
}

/// A school whose store has a year of roll-ups that ends on a Sunday.
fn school() -> School {
    seeded(&config(), METERS)
}

fn seeded(config: &str, meters: usize) -> School {
    let school = School::new(config);
    std::fs::create_dir_all(school.data_dir()).unwrap();
    drop(Store::open(&school.data_dir()).unwrap());
    let seeded = Command::new(python())
        .arg(root().join("tests/peers/seed_year.py"))
        .arg(school.data_dir().join(FILE_NAME))
        .args([&meters.to_string(), "2026-03-02T00:00:00+08:00"])
        .output()
        .unwrap();
    assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
    assert_eq!(String::from_utf8_lossy(&seeded.stdout).trim(), MONDAY.to_string());
    school
}

/// What meters take in a week: five days of 100 and two of 20, each meter a hundredth more than the one before.
fn week_of(meters: impl Iterator<Item = usize>) -> f64 {
    meters.map(|meter| 540.0 * (1.0 + meter as f64 / 100.0)).sum()
}

fn near(found: &Value, wanted: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!((found - wanted).abs() < 1e-6 * wanted.abs().max(1.0), "{found} and not {wanted}");
}

#[tokio::test]
async fn a_year_of_meters_is_told_by_days_and_hours_beside_comparable_days_by_place_and_by_use() {
    let school = school();
    let _daemon = school.start().await;
    let get = async |query: &str| school.get(&format!("/api/v1/energy/series?{query}")).await;
    let span = |days: i64| format!("from={}&to={MONDAY}", MONDAY - days * DAY);

    let began = Instant::now();
    let year = get(&format!("{}&compare=comparable", span(365))).await;
    let took = began.elapsed();
    // It is built for tests here, and other tests run beside it.
    assert!(took < PATIENCE / 10, "{took:?}");
    println!("a year of {METERS} meters beside comparable days: {took:?}");
    assert_eq!(year["rows"].as_array().map(Vec::len), Some(365));
    assert_eq!((&year["unit"], &year["meters"]), (&"kWh".into(), &METERS.into()));
    let compared = year["compare"].as_array().unwrap();
    assert_eq!(compared.len(), 365, "sixty days before the year are there, too");
    // Every week is like every other, so each day is like its comparable days.
    let rows: Vec<(&Value, &Value)> = compared.iter().zip(year["rows"].as_array().unwrap()).collect();
    for (compared, row) in rows {
        assert_eq!(compared[0], row[0]);
        near(&compared[1], row[1].as_f64().unwrap());
    }

    let week = get(&span(7)).await;
    near(&week["total"], week_of(0..METERS));
    assert_eq!((&week["compare"], &week["compare_total"]), (&Value::Null, &Value::Null));
    let items: Vec<(Option<&str>, Option<&str>)> = week["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["item"].as_str(), item["code"].as_str()))
        .collect();
    assert_eq!(items, [(None, None), (Some("lighting"), Some("01A00")), (Some("hvac"), Some("01B00"))]);
    near(&week["items"][1]["kwh"], week_of((0..METERS).step_by(4)));

    let east = get(&format!("{}&place=east&compare=week", span(7))).await;
    near(&east["total"], week_of((0..METERS).step_by(2)));
    near(&east["compare_total"], week_of((0..METERS).step_by(2)));
    let one = get(&format!("{}&device=m007&compare=year", span(7))).await;
    near(&one["total"], week_of(7..8));
    near(&one["compare_total"], week_of(7..8));
    let lighting = get(&format!("{}&item=lighting", span(7))).await;
    near(&lighting["total"], week_of((0..METERS).step_by(4)));

    let hours = get(&format!("{}&level=hour&device=m000&compare=comparable", span(2))).await;
    assert_eq!(hours["rows"].as_array().map(Vec::len), Some(48), "a weekend by hours");
    near(&hours["total"], 40.0);
    near(&hours["rows"][8][1], 20.0 * 0.07);
    assert_eq!(hours["compare"].as_array().map(Vec::len), Some(48));
    near(&hours["compare_total"], 40.0);
}

#[tokio::test]
async fn energy_for_a_spreadsheet_begins_with_the_mark_of_utf8_and_what_cannot_be_asked_is_told() {
    let school = school();
    let _daemon = school.start().await;
    let url = school.url(&format!(
        "/api/v1/energy/series?from={}&to={MONDAY}&device=m000&compare=comparable&format=csv",
        MONDAY - 2 * DAY
    ));
    let answer = school.client().get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
    assert_eq!(
        text,
        "\u{feff}时间,用电量 kWh,对比 kWh\r\n2026-02-28 00:00:00,20.000,20.000\r\n2026-03-01 00:00:00,20.000,20.000\r\n"
    );
    for (query, status) in [
        ("place=nowhere", 404),
        ("device=m999", 404),
        ("device=..", 404),
        ("from=5&to=5", 400),
        ("from=0&to=99999999999999", 400),
        (&format!("level=hour&from={}&to={MONDAY}", MONDAY - 33 * DAY), 400),
        ("level=minute", 400),
        ("compare=month", 400),
        ("form=csv", 400),
    ] {
        let url = school.url(&format!("/api/v1/energy/series?{query}"));
        let answer = school.client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].is_string() && problem["detail_zh"].is_string(), "{problem}");
    }
}

#[tokio::test]
async fn a_week_is_reported_with_its_energy_beside_the_week_before_in_every_form() {
    let school = school();
    let _daemon = school.start().await;
    let path = |form: &str| format!("/api/v1/reports/period?unit=week&at={}&format={form}", MONDAY - DAY);
    let content = school.get(&path("json")).await["content"].take();
    assert_eq!(content["head"]["from"], MONDAY - 7 * DAY, "it begins on Monday");
    let week = week_of(0..METERS);
    for field in ["kwh", "comparable_kwh", "before_kwh", "year_before_kwh"] {
        near(&content["energy"][field], week);
    }
    assert_eq!(content["devices"].as_array().map(Vec::len), Some(METERS));
    assert_eq!(content["uploads"], Value::Array(Vec::new()));
    for (form, kind, holds) in [
        ("text", "text/plain; charset=utf-8", "周报"),
        ("csv", "text/csv; charset=utf-8", "按上期可比日折算"),
        ("html", "text/html; charset=utf-8", "设备在线率"),
        ("pdf", "application/pdf", "%PDF-1.7"),
    ] {
        let answer = school.client().get(school.url(&path(form))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], kind);
        let body = answer.bytes().await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(holds), "{form}");
    }
    let month = school.get(&format!("/api/v1/reports/period?unit=month&at={}", MONDAY - DAY)).await;
    assert_eq!(month["content"]["head"]["from"], MONDAY - DAY);
    let wrong = school.client().get(school.url("/api/v1/reports/period?unit=year")).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

/// A main meter that counts four times what it would, what is within it, and a meter of its own where people live, whose
/// calendar knows no weekend.
fn school_with_sub_meters() -> School {
    let port = free_port();
    let mut text = format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n\
         [[place]]\nid = 'east'\nkind = 'building'\nname = '东楼'\n[[place]]\nid = 'e1'\nkind = 'room'\nname = '101'\nparent = 'east'\n\
         [[place]]\nid = 'dorm'\nkind = 'building'\nname = '宿舍楼'\ncalendar = '宿舍'\n\
         [[calendars]]\nname = '宿舍'\n[[calendars.bell]]\n\
         days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']\nperiods = ['08:00-20:00']\n"
    );
    for (unit, (meter, place, more)) in (1..).zip([
        ("m000", "east", "name = '东楼总表'\n"),
        ("m001", "e1", "within = 'm000'\nitem = 'lighting'\n"),
        ("m002", "e1", "name = '东楼空调'\nwithin = 'm000'\nitem = 'hvac'\n"),
        ("m005", "e1", "within = 'm002'\n"),
        ("m004", "dorm", ""),
    ]) {
        text += &format!(
            "[[device]]\nid = '{meter}'\nprofile = 'eastron-sdm630'\nbus = 'line'\naddress = {unit}\nplace = '{place}'\n\
             poll_secs = 86400\n{more}"
        );
    }
    let school = seeded(&text, 6);
    let db = rusqlite::Connection::open(school.data_dir().join(FILE_NAME)).unwrap();
    for table in ["roll_up_day", "roll_up_hour"] {
        let more = format!(
            "update {table} set delta = delta * 4 where series = (select id from series where device = 'm000')"
        );
        db.execute(&more, []).unwrap();
    }
    school
}

#[tokio::test]
async fn what_a_main_meter_counts_is_not_added_again_and_the_rest_is_told() {
    let school = school_with_sub_meters();
    let _daemon = school.start().await;
    let get = async |query: &str| {
        school.get(&format!("/api/v1/energy/series?from={}&to={MONDAY}{query}", MONDAY - 7 * DAY)).await
    };
    let one = |meter: usize| week_of(meter..=meter);
    let (main, lamps, air, part, dorm) = (4.0 * one(0), one(1), one(2), one(5), one(4));

    let all = get("&compare=week").await;
    near(&all["total"], main + dorm);
    near(&all["compare_total"], main + dorm);
    assert_eq!([&all["meters"], &all["within"], &all["unknown"]], [5, 3, 0]);
    let items: Vec<(Option<&str>, f64)> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["item"].as_str(), item["kwh"].as_f64().unwrap()))
        .collect();
    let names: Vec<_> = items.iter().map(|(item, _)| *item).collect();
    assert_eq!(names, [None, Some("lighting"), Some("hvac")]);
    near(&Value::from(items.iter().map(|(_, kwh)| kwh).sum::<f64>()), main + dorm);
    near(&Value::from(items[0].1), main + dorm - lamps - air);
    // What is below the meter of the air conditioning is for that, too, and is more than it has itself.
    near(&Value::from(items[2].1), air);
    let over = |answer: &Value| -> Vec<(String, f64)> {
        let of = |over: &Value| (over["name"].as_str().unwrap().to_owned(), over["kwh"].as_f64().unwrap());
        answer["over"].as_array().unwrap().iter().map(of).collect()
    };
    let told = over(&all);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "东楼空调");
    near(&Value::from(told[0].1), part - air);
    assert_eq!(all["below"], Value::Null);

    // In the room the main meter is not; its own are added up, and one of them is below another.
    let room = get("&place=e1").await;
    near(&room["total"], lamps + air);
    assert_eq!([&room["meters"], &room["within"]], [3, 1]);
    near(&get("&item=hvac").await["total"], air);

    let alone = get("&device=m000").await;
    near(&alone["total"], main);
    let rows: Vec<&str> = alone["below"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["device"].as_str().unwrap())
        .collect();
    assert_eq!(rows, ["m001", "m002"]);
    near(&alone["below"]["rows"][1]["kwh"], air);
    near(&alone["below"]["rest"], main - lamps - air);
    assert_eq!(over(&alone), []);
    let alone = get("&device=m002").await;
    near(&alone["below"]["rest"], air - part);
    assert_eq!(over(&alone).len(), 1);
    assert_eq!(get("&device=m005").await["below"], Value::Null);

    let span = format!("from={}&to={MONDAY}", MONDAY - 7 * DAY);
    let places = school.get(&format!("/api/v1/energy?{span}&by=place")).await;
    let of = |place: &str| {
        let rows = places["rows"].as_array().unwrap();
        rows.iter().find(|row| row["place"] == place).unwrap()["kwh"].clone()
    };
    near(&of("east"), main);
    near(&of("e1"), lamps + air);
    // One that is not configured counts as well: the store knows it.
    near(&places["total_kwh"], main + dorm + one(3));
    let devices = school.get(&format!("/api/v1/energy?{span}&by=device")).await;
    assert_eq!(
        [&devices["rows"][0]["within"], &devices["rows"][1]["within"]],
        [&Value::Null, &"m000".into()]
    );

    let report = |form: &str| format!("/api/v1/reports/period?unit=week&at={}&format={form}", MONDAY - DAY);
    let energy = school.get(&report("json")).await["content"]["energy"].take();
    for field in ["kwh", "comparable_kwh", "before_kwh", "year_before_kwh"] {
        near(&energy[field], main + dorm);
    }
    assert_eq!([&energy["meters"], &energy["within"]], [5, 3]);
    let text = school.client().get(school.url(&report("text"))).send().await.unwrap().text().await.unwrap();
    for told in ["5 只表，其中 3 只在总表之下，不重复计。", "“东楼空调”的分表合计大于总表 16.2 kWh"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[tokio::test]
async fn comparable_days_are_those_of_the_calendar_of_the_place() {
    let school = school_with_sub_meters();
    let _daemon = school.start().await;
    let compared = async |of: &str| {
        let span = format!("from={}&to={MONDAY}&compare=comparable", MONDAY - DAY);
        school.get(&format!("/api/v1/energy/series?{span}&{of}")).await["compare_total"].take()
    };
    // A Sunday: beside other Sundays and Saturdays, or where every day is like every other beside the days before it.
    near(&compared("device=m000").await, 80.0);
    for of in ["place=dorm", "device=m004"] {
        near(&compared(of).await, 104.0);
    }
}

#[tokio::test]
async fn what_an_inverter_makes_is_in_no_sum_of_what_was_used() {
    let mut config =
        format!("[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {}\n", free_port());
    for (unit, profile) in ["huawei-sun2000", "eastron-sdm630", "eastron-sdm630"].into_iter().enumerate() {
        config += &format!(
            "[[device]]\nid = 'm{unit:03}'\nprofile = '{profile}'\nbus = 'line'\naddress = {}\nplace = 'gate'\npoll_secs = 86400\n",
            unit + 1
        );
    }
    let school = seeded(&config, 3);
    let _daemon = school.start().await;
    let week = format!("from={}&to={MONDAY}", MONDAY - 7 * DAY);
    let used = school.get(&format!("/api/v1/energy/series?{week}")).await;
    near(&used["total"], week_of(1..3));
    assert_eq!(used["meters"], 2);
    let made = school.get(&format!("/api/v1/energy/series?{week}&device=m000")).await;
    near(&made["total"], week_of(0..1));
    let all = school.get(&format!("/api/v1/energy?by=device&{week}")).await;
    near(&all["total_kwh"], week_of(1..3));
    assert_eq!(all["rows"].as_array().map(Vec::len), Some(3));
    let places = school.get(&format!("/api/v1/energy?by=place&{week}")).await;
    near(&places["rows"][0]["kwh"], week_of(1..3));
}
