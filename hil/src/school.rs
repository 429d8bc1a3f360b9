//! The whole simulated school, as `deploy/demo` describes it.

use crate::broker::{Broker, User};
use crate::camera::{self, Camera};
use crate::chance::secret_hex;
use crate::meters::{Make, Meters};
use crate::platform::{self, Family, Mood, Platform};
use crate::things::{Plan, Things};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// Units behind each of the two Modbus endpoints.
const UNITS: u8 = 10;
/// How far the second camera's clock is ahead.
const CAMERA_SKEW_SECS: i64 = 7 * 60;
/// How the city's platform treats one request after another: it works mostly, and fails in every way it knows.
const CITY_MOODS: [Mood; 14] = [
    Mood::Take,
    Mood::Broken,
    Mood::Take,
    Mood::Take,
    Mood::Take,
    Mood::TooMany,
    Mood::Take,
    Mood::Take,
    Mood::Take,
    Mood::CutAfterTaking,
    Mood::Take,
    Mood::Take,
    Mood::Take,
    Mood::Busy,
];

/// The secrets of one run.
#[derive(Clone)]
pub struct Secrets {
    /// Password of the user `gateway` at the broker.
    pub mqtt: String,
    /// Password of the user `viewer` at the cameras.
    pub cameras: String,
    /// Application secret at the province's platform.
    pub province: String,
    /// Application key at the city's platform.
    pub city: String,
}

impl Secrets {
    /// New ones.
    #[must_use]
    pub fn random() -> Self {
        let secret = || secret_hex(16);
        Self { mqtt: secret(), cameras: secret(), province: secret(), city: secret() }
    }
}

/// A running school.
#[derive(Debug)]
pub struct School {
    /// Modbus endpoints: Eastron in the teaching building, Acrel in canteen and dormitory.
    pub meters: [Meters; 2],
    /// The broker.
    pub broker: Broker,
    /// Sensors, contacts, terminals, help button.
    pub things: Things,
    /// Cameras at the gate and at the dormitory.
    pub cameras: [Camera; 2],
    /// The province's platform, which works.
    pub province: Platform,
    /// The city's platform, which fails now and then.
    pub city: Platform,
}

impl School {
    /// Starts everything; the broker keeps its files in `dir`.
    ///
    /// # Errors
    /// When a port cannot be had or the directory cannot be used.
    pub async fn start(dir: &Path, secrets: &Secrets) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let meters = [
            Meters::start(0, Make::EastronSdm630, UNITS, 1).await?,
            Meters::start(0, Make::AcrelAdl400, UNITS, 2).await?,
        ];
        let devices = secret_hex(16);
        let users =
            [User { name: "gateway", password: &secrets.mqtt }, User { name: "devices", password: &devices }];
        let broker = Broker::start(0, dir, &users).await?;
        let things = Things::start(&Plan {
            broker: broker.address(),
            login: Some(("devices".into(), devices.clone())),
            sensors: (1..=20).map(|number| format!("th-{number:02}")).collect(),
            sensor_every: Duration::from_secs(2),
            contacts: vec!["door-01".into(), "door-02".into()],
            contact_every: Duration::from_secs(8),
            readers: (1001..=1010).map(|id| id.to_string()).collect(),
            card_every: Duration::from_secs(6),
            button: Some("help-01".into()),
            button_after: Duration::from_secs(4),
            button_every: Duration::from_secs(20),
        });
        let cameras = [
            camera("校门摄像机", secrets, 0).await?,
            camera("宿舍楼摄像机", secrets, CAMERA_SKEW_SECS).await?,
        ];
        let province = platform(Family::Shield, "demo-province", &secrets.province, &[]).await?;
        let city = platform(Family::Eduyun, "demo-city", &secrets.city, &CITY_MOODS).await?;
        Ok(Self { meters, broker, things, cameras, province, city })
    }
}

/// Starts a school and says on standard output where everything is, with the secrets made for this run; ends with
/// Ctrl-C. For trying a client by hand.
///
/// # Errors
/// When the school cannot be started.
pub async fn show(dir: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let secrets = Secrets::random();
    let school = School::start(dir, &secrets).await?;
    println!("modbus    {} (Eastron SDM630, units 1 to {UNITS})", school.meters[0].address());
    println!("modbus    {} (Acrel ADL400, units 1 to {UNITS})", school.meters[1].address());
    println!("mqtt      {} (user gateway, password {})", school.broker.address(), secrets.mqtt);
    for camera in &school.cameras {
        println!("camera    {} and {}", camera.device_url(), camera.stream_url());
    }
    println!("cameras   user viewer, password {}", secrets.cameras);
    println!(
        "province  {} (application demo-province, secret {})",
        school.province.base_url(),
        secrets.province
    );
    println!("city      {} (application demo-city, key {})", school.city.base_url(), secrets.city);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn camera(name: &str, secrets: &Secrets, skew_secs: i64) -> std::io::Result<Camera> {
    Camera::start(camera::Settings {
        name: name.into(),
        username: "viewer".into(),
        password: secrets.cameras.clone(),
        skew_secs,
        motion_every: Duration::from_secs(6),
        tamper_every: Duration::from_secs(25),
    })
    .await
}

async fn platform(family: Family, app_id: &str, secret: &str, moods: &[Mood]) -> std::io::Result<Platform> {
    let settings =
        platform::Settings { family, app_id: app_id.into(), secret: secret.into(), moods: moods.to_vec() };
    Platform::start(0, settings).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_mqtt_device_is_heard_through_the_broker_and_strangers_are_not_let_in() {
        let dir = std::env::temp_dir().join(format!("schoolgate-hil-{}", secret_hex(6)));
        let secrets = Secrets::random();
        let school = School::start(&dir, &secrets).await.unwrap();
        let address = school.broker.address();
        let mut stranger = MqttOptions::new("stranger", (address.ip().to_string(), address.port()));
        stranger.set_credentials("gateway", "wrong");
        let (_client, mut events) = AsyncClient::builder(stranger).capacity(1).build();
        assert!(events.poll().await.is_err());

        let mut options = MqttOptions::new("listener", (address.ip().to_string(), address.port()));
        options.set_credentials("gateway", secrets.mqtt.clone());
        let (client, mut events) = AsyncClient::builder(options).capacity(4).build();
        client.subscribe("zigbee2mqtt/+", QoS::AtLeastOnce).await.unwrap();
        client.subscribe("mqtt/face/+/Rec", QoS::AtLeastOnce).await.unwrap();
        let mut heard = BTreeSet::new();
        let all = async {
            while heard.len() < 33 {
                if let Ok(Event::Incoming(Packet::Publish(message))) = events.poll().await {
                    heard.insert(String::from_utf8_lossy(&message.topic).into_owned());
                }
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(30), all).await;
        assert!(done.is_ok(), "only {heard:?}");
        drop(std::fs::remove_dir_all(&dir));
    }
}
