//! A newcomer's path: an unknown meter on a serial port, `discover`, the configuration it wrote, `check`, `run`, and
//! values in the store.

use crate::daemon::{School, until};
use crate::discover::{map_of, served};
use crate::pymodbus::{Cable, pymodbus_map};

#[tokio::test]
async fn from_an_unknown_meter_to_values_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let cable = Cable::new().await;
    let map = served(dir.path(), &[], &[(3, map_of("energy-meter/eastron-sdm630"))]);
    let _meter = pymodbus_map("rtu", &cable.end("a").display().to_string(), &map).await;
    let school = School::new("");
    let conf_d = school.config().with_file_name("conf.d");
    std::fs::create_dir(&conf_d).unwrap();
    let (port, file) = (cable.end("b").display().to_string(), conf_d.join("10-found.toml"));
    let scan = [
        "--serial",
        &port,
        "--bauds",
        "9600",
        "--parities",
        "none",
        "--ids",
        "1-30",
        "--write",
        &file.display().to_string(),
    ];
    let told = school.cli("discover", &scan).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(told.status.success(), "{told:?}\n{text}");
    assert!(text.contains("profile = \"eastron-sdm630\""), "{text}");

    let checked = school.cli_ok("check", &[]).await;
    assert!(checked.starts_with("ok: ") && checked.contains("1 device,"), "{checked}");

    let daemon = school.start().await;
    let (device, point) = ("energy-meter-1", "voltage_l1");
    let path = format!("/api/v1/readings?device={device}&point={point}&limit=1");
    let value =
        until("a voltage of the meter", async || school.rows(&path).await.pop()?["value"].as_f64()).await;
    assert!((value - 220.1).abs() < 0.01, "{value}");
    assert!(daemon.terminate().await.0.success());
    let out = dir.path().join("readings.csv");
    let export =
        ["export", "--what", "readings", "--from", "2000-01-01", "--to", "2100-01-01", "--format", "csv"];
    let out_text = out.display().to_string();
    school.cli_ok("db", &[&export[..], &["--out", &out_text]].concat()).await;
    let csv = std::fs::read_to_string(&out).unwrap();
    assert!(
        csv.lines().any(|line| line.contains(device) && line.contains(point) && line.contains("220.1")),
        "{csv}"
    );
}
