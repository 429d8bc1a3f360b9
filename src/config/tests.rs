//! What a good configuration means, and that no half-written one makes trouble.

use super::*;
use crate::document::Problems;
use std::path::Path;

const METER: &str = r#"
id = "test-em1"
class = "energy-meter"
vendor = "Test"
model = "EM1"
name_zh = "测试电表"
name_en = "Test meter"
source = "made for tests"
confirmed = true
protocol = "modbus"
[[point]]
id = "power"
name_zh = "功率"
name_en = "Power"
unit = "W"
table = "holding"
address = 0
type = "f32"
"#;

const GOOD: &str = r#"
[site]
gateway = "gw-7"
name = "示例小学"
school_code = "2134000001"
[store]
dir = "data"
[[place]]
id = "east"
kind = "campus"
name = "东校区"
[[place]]
id = "b1"
kind = "building"
name = "1号楼"
parent = "east"
[[bus]]
id = "meters"
kind = "modbus-tcp"
host = "192.168.1.20"
gap_ms = 20
[[bus]]
id = "broker"
kind = "mqtt"
host = "::1"
tls = true
username = "gw"
password_file = "secrets/mqtt"
[[bus]]
id = "cameras"
kind = "onvif"
[[device]]
id = "meter-1"
profile = "test-em1"
bus = "meters"
address = 7
place = "b1"
[[rule]]
id = "too-much"
kind = "threshold"
devices = ["meter-1"]
point = "power"
above = 5
unit = "kW"
[[destination]]
id = "province"
kind = "shield"
base_url = "https://openapi.example.cn/school/"
app_id = "app-1"
secret_file = "secrets/province"
record_path = "/v1/records"
stage = "TEST"
busy_codes = ["503"]
[[destination]]
id = "near"
kind = "eduyun"
base_url = "http://127.0.0.1:9000"
app_id = "app-2"
secret_file = "secrets/near"
"#;

fn read(path: &Path, what: Attached) -> Result<String, Unreadable> {
    assert_eq!(what, Attached::Secret);
    Ok(format!("the text of {}\n", path.display()))
}

fn parsed(text: &str) -> Result<Config, Vec<String>> {
    let problems = Problems::new();
    let profiles =
        ProfileSet::parse(&[("energy-meter/test-em1/profile.toml".into(), METER.into())], &problems);
    let files = [("gateway.toml".to_owned(), text.to_owned())];
    let base = Path::new("/etc/schoolgate");
    let config = parse(
        &Sources {
            files: &files,
            base,
            profiles: &profiles,
            read: &read,
            plan: super::read_plan,
            rules: None,
        },
        &problems,
    );
    config.ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect())
}

#[test]
fn a_good_configuration_means_what_it_says() {
    let config = parsed(GOOD).unwrap();
    assert_eq!(config.site.zone.iana_name(), Some("Asia/Shanghai"));
    assert_eq!(config.data_dir, Path::new("/etc/schoolgate/data"));
    assert_eq!((config.http.to_string().as_str(), config.aggregate_secs), ("127.0.0.1:8088", 900));
    assert_eq!(config.places["b1"].path.zh, "东校区 / 1号楼");
    let device = &config.devices["meter-1"];
    assert_eq!((device.address.as_str(), device.name.as_str(), device.poll.as_secs()), ("7", "meter-1", 60));
    assert_eq!(config.world.devices["meter-1"].place.as_str(), "b1");
    let ids: Vec<&str> = config.rules.iter().map(|rule| rule.id().as_str()).collect();
    assert_eq!(
        ids,
        ["too-much", "always.help", "always.duress", "always.fire", "always.smoke", "always.bus"]
    );
    let urls: Vec<&str> = config.destinations.iter().map(|d| d.base_url.as_str()).collect();
    assert_eq!(urls, ["https://openapi.example.cn/school", "http://127.0.0.1:9000"]);
    assert_eq!(config.destinations[1].agreed, Agreed::default());
    let agreed = &config.destinations[0].agreed;
    assert_eq!((agreed.record_path.as_deref(), agreed.stage.as_deref()), (Some("/v1/records"), Some("TEST")));
    assert_eq!(
        (agreed.busy_codes.as_deref(), &agreed.ok_codes),
        (Some(["503".to_owned()].as_slice()), &None)
    );
    assert_eq!(config.destinations[0].secret.expose(), "the text of /etc/schoolgate/secrets/province");
    let [BusKind::ModbusTcp(meters), BusKind::Mqtt(broker), BusKind::Onvif(cameras)] =
        [0, 1, 2].map(|n| &config.buses[n].kind)
    else {
        panic!("three buses in the order they were written: {:?}", config.buses);
    };
    assert_eq!((meters.port, meters.timeout.as_millis(), meters.gap.as_millis()), (502, 1000, 20));
    assert_eq!(
        (broker.port, broker.client_id.as_str(), broker.max_payload),
        (8883, "schoolgate-gw-7", 262_144)
    );
    assert_eq!(broker.login.as_ref().map(|l| l.username.as_str()), Some("gw"));
    assert!(broker.tls.is_some() && cameras.login.is_none());
    assert_eq!((cameras.timeout.as_secs(), cameras.probe_every.as_secs()), (5, 300));
}

/// Meters behind the same transformers share what their values mean; everything is of the primary side.
#[test]
fn devices_behind_transformers() {
    let meter = METER.replace("type = \"f32\"", "type = \"f32\"\nratio = \"ct_pt\"\nrange = [0, 6000]");
    let device = |id: usize, ratios: &str| {
        let head = "[[device]]\nprofile = \"test-em1\"\nbus = \"meters\"\nplace = \"b1\"";
        format!("{head}\nid = \"d{id}\"\naddress = {}\n{ratios}\n", 100 + id)
    };
    let ratios = ["ct = 1\npt = 1", "ct = 40\npt = 1", "ct = 40\npt = 1", "ct = 7.5\npt = 100"];
    let devices: String = ratios.iter().enumerate().map(|(id, ratios)| device(id, ratios)).collect();
    let text = GOOD.replace("place = \"b1\"", "place = \"b1\"\nct = 1\npt = 1");
    let problems = Problems::new();
    let profiles = ProfileSet::parse(&[("energy-meter/test-em1/profile.toml".into(), meter)], &problems);
    let files = [("gateway.toml".to_owned(), format!("{text}{devices}"))];
    let base = Path::new("/etc/schoolgate");
    let config = parse(
        &Sources {
            files: &files,
            base,
            profiles: &profiles,
            read: &read,
            plan: super::read_plan,
            rules: None,
        },
        &problems,
    );
    let config = config.unwrap_or_else(|| panic!("{:#?}", problems.into_sorted()));
    let profile = |id: &str| &config.devices[id].profile;
    assert!(Arc::ptr_eq(profile("d0"), profile("meter-1")) && Arc::ptr_eq(profile("d1"), profile("d2")));
    let range = |id: &str| profile(id).point("power").and_then(|point| point.range);
    assert_eq!((range("d0"), range("d2")), (Some((0.0, 6000.0)), Some((0.0, 240_000.0))));
    assert_eq!(range("d3"), Some((0.0, 4_500_000.0)));
    assert!(Arc::ptr_eq(profile("d3"), &config.world.devices["d3"].profile), "rules judge the same values");
}

#[test]
fn what_is_printed_for_debugging_has_no_secret() {
    assert!(!format!("{:?}", parsed(GOOD).unwrap()).contains("the text of"));
}

/// Cut anywhere, a configuration gives problems or a configuration, and every problem has a place.
#[test]
fn a_configuration_cut_anywhere_is_judged() {
    for (end, _) in GOOD.char_indices() {
        if let Err(problems) = parsed(GOOD.get(..end).unwrap()) {
            assert!(!problems.is_empty(), "cut at {end}");
            assert!(problems.iter().all(|p| p.starts_with("gateway.toml:")), "cut at {end}: {problems:?}");
        }
    }
}

#[test]
fn a_hundred_buildings_in_a_row_are_read_and_a_ring_of_them_is_told_once() {
    let place = |n: usize, up: usize| {
        format!("[[place]]\nid = \"p{n:03}\"\nkind = \"building\"\nparent = \"p{up:03}\"\n")
    };
    let row: String = (1..100).map(|n| place(n, n - 1)).collect();
    let start = "[site]\ngateway = \"g\"\nname = \"x\"\n";
    let config = parsed(&format!("{start}[[place]]\nid = \"p000\"\nkind = \"campus\"\n{row}")).unwrap();
    assert_eq!(config.places["p099"].path.en.split(" / ").count(), 100);
    let problems = parsed(&format!("{start}{}{row}", place(0, 99))).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
}
