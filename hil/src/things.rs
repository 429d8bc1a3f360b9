//! MQTT devices: Zigbee sensors and contacts behind a Zigbee2MQTT bridge, card terminals, a help button.

use crate::chance::Chance;
use crate::moment;
use crate::tasks::Tasks;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions, QoS};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Who the devices are and how often they speak.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The broker.
    pub broker: SocketAddr,
    /// User name and password, when the broker asks for them.
    pub login: Option<(String, String)>,
    /// Names of temperature and humidity sensors; each speaks once per `sensor_every`.
    pub sensors: Vec<String>,
    /// Pause between two reports of one sensor.
    pub sensor_every: Duration,
    /// Names of door contacts.
    pub contacts: Vec<String>,
    /// Pause between two changes of one door.
    pub contact_every: Duration,
    /// Ids of card terminals.
    pub readers: Vec<String>,
    /// Pause between two cards at one terminal.
    pub card_every: Duration,
    /// Name of the help button.
    pub button: Option<String>,
    /// When the button is first pressed after the start.
    pub button_after: Duration,
    /// Pause between two presses.
    pub button_every: Duration,
}

/// What the devices have sent, each counted when it was handed to the connection.
#[derive(Debug, Default)]
pub struct Sent {
    /// Sensor reports.
    pub sensors: AtomicU64,
    /// Door changes.
    pub contacts: AtomicU64,
    /// Cards presented, repeats of one record not counted.
    pub cards: AtomicU64,
    /// Presses of the help button.
    pub helps: AtomicU64,
}

/// Running MQTT devices.
#[derive(Debug)]
pub struct Things {
    sent: Arc<Sent>,
    _tasks: Tasks,
}

impl Things {
    /// Starts all of them; they connect again by themselves when the broker goes away.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let sent = Arc::new(Sent::default());
        let mut tasks = Tasks::new();
        let bridge = connect(plan, "zigbee2mqtt-bridge", &mut tasks);
        let link = (bridge.clone(), Arc::clone(&sent));
        tasks.spawn(sensors(link.clone(), plan.sensors.clone(), plan.sensor_every));
        for (number, name) in plan.contacts.iter().enumerate() {
            tasks.spawn(contact(link.clone(), name.clone(), number as u64, plan.contact_every));
        }
        if let Some(name) = &plan.button {
            tasks.spawn(button(link, name.clone(), plan.button_after, plan.button_every));
        }
        for (number, id) in plan.readers.iter().enumerate() {
            let terminal = connect(plan, &format!("face-{id}"), &mut tasks);
            let link = (terminal, Arc::clone(&sent));
            tasks.spawn(reader(link, id.clone(), number as u64, plan.card_every));
        }
        Self { sent, _tasks: tasks }
    }

    /// What has been sent so far.
    #[must_use]
    pub fn sent(&self) -> &Sent {
        &self.sent
    }
}

type Link = (AsyncClient, Arc<Sent>);

/// A connection that keeps itself up: one second between two tries.
fn connect(plan: &Plan, id: &str, tasks: &mut Tasks) -> AsyncClient {
    let mut options = MqttOptions::new(id, (plan.broker.ip().to_string(), plan.broker.port()));
    options.set_keep_alive(15);
    options.set_max_packet_size(256 * 1024, 256 * 1024);
    if let Some((name, password)) = &plan.login {
        options.set_credentials(name.clone(), password.clone());
    }
    let (client, mut events) = AsyncClient::builder(options).capacity(32).build();
    tasks.spawn(async move {
        loop {
            if events.poll().await.is_err() {
                sleep(Duration::from_secs(1)).await;
            }
        }
    });
    client
}

async fn publish(client: &AsyncClient, topic: String, payload: String, retain: bool) -> bool {
    let options = if retain {
        PublishOptions::new(QoS::AtLeastOnce).retain(true)
    } else {
        PublishOptions::new(QoS::AtLeastOnce)
    };
    client.publish(topic, payload, options).await.is_ok()
}

async fn announce(client: &AsyncClient, name: &str) {
    let topic = format!("zigbee2mqtt/{name}/availability");
    publish(client, topic, json!({"state": "online"}).to_string(), true).await;
}

/// Sensors take turns, so that their reports are spread over the period.
async fn sensors((client, sent): Link, names: Vec<String>, every: Duration) {
    if names.is_empty() {
        return;
    }
    for name in &names {
        announce(&client, name).await;
    }
    let mut climates: Vec<(Chance, f64, f64)> = (0..names.len())
        .map(|number| {
            let mut chance = Chance::seeded(7_000 + number as u64);
            let celsius = chance.between(20.0, 24.0);
            let percent = chance.between(40.0, 60.0);
            (chance, celsius, percent)
        })
        .collect();
    let mut turn = interval((every / names.len() as u32).max(Duration::from_millis(1)));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0u32;
    loop {
        for (number, name) in names.iter().enumerate() {
            turn.tick().await;
            let (chance, celsius, percent) = &mut climates[number];
            *celsius = (*celsius + chance.between(-0.15, 0.15)).clamp(16.0, 28.0);
            *percent = (*percent + chance.between(-0.4, 0.4)).clamp(30.0, 70.0);
            // The first sensor hangs in the machine room, whose cooling fails for six reports of every twelve.
            let shown =
                if number == 0 && round % 12 >= 3 && round % 12 < 9 { *celsius + 14.0 } else { *celsius };
            let payload = json!({
                "temperature": (shown * 100.0).round() / 100.0,
                "humidity": (*percent * 100.0).round() / 100.0,
                "pressure": (1_008.0 + chance.between(-0.5, 0.5) * 2.0).round(),
                "battery": 91,
                "voltage": 3005,
                "linkquality": 80 + chance.below(40),
            });
            if publish(&client, format!("zigbee2mqtt/{name}"), payload.to_string(), false).await {
                sent.sensors.fetch_add(1, Ordering::Relaxed);
            }
        }
        round = round.wrapping_add(1);
    }
}

async fn contact((client, sent): Link, name: String, number: u64, every: Duration) {
    announce(&client, &name).await;
    let mut chance = Chance::seeded(8_000 + number);
    let mut closed = true;
    loop {
        let payload = json!({
            "contact": closed, "battery": 100, "voltage": 3045, "linkquality": 60 + chance.below(60),
        });
        if publish(&client, format!("zigbee2mqtt/{name}"), payload.to_string(), false).await {
            sent.contacts.fetch_add(1, Ordering::Relaxed);
        }
        closed = !closed;
        sleep(every.mul_f64(chance.between(0.7, 1.3))).await;
    }
}

/// The button says `emergency`, then the bridge empties the action, which is not an event.
async fn button((client, sent): Link, name: String, after: Duration, every: Duration) {
    announce(&client, &name).await;
    sleep(after).await;
    loop {
        for action in ["emergency", ""] {
            let payload = json!({"action": action, "battery": 100, "linkquality": 92});
            publish(&client, format!("zigbee2mqtt/{name}"), payload.to_string(), false).await;
            sleep(Duration::from_millis(300)).await;
        }
        sent.helps.fetch_add(1, Ordering::Relaxed);
        sleep(every).await;
    }
}

/// A card terminal. Pupils and teachers pass; somebody tries a card that is not allowed several times in a row; now
/// and then a record is sent twice, as terminals do when they saw no acknowledgement.
async fn reader((client, sent): Link, id: String, number: u64, every: Duration) {
    let mut chance = Chance::seeded(9_000 + number);
    let mut record = 1_000 * (number + 1);
    let online =
        json!({"operator": "Online", "info": {"facesluiceId": id, "facesluiceName": format!("门口 {id}")}});
    publish(&client, "mqtt/face/basic".into(), online.to_string(), false).await;
    sleep(every.mul_f64(chance.fraction())).await;
    let mut denied_in_a_row = 0;
    loop {
        // The first terminal meets the same refused card five times, early and then again and again.
        if number == 0 && denied_in_a_row == 0 && chance.one_in(4) {
            denied_in_a_row = 5;
        }
        let denied = denied_in_a_row > 0 || chance.one_in(20);
        let person = if denied_in_a_row > 0 { 4_444 } else { chance.below(600) };
        denied_in_a_row = u32::saturating_sub(denied_in_a_row, 1);
        record += 1;
        let payload = rec_push(&id, record, person, denied, &mut chance).to_string();
        let topic = format!("mqtt/face/{id}/Rec");
        if publish(&client, topic.clone(), payload.clone(), false).await {
            sent.cards.fetch_add(1, Ordering::Relaxed);
        }
        if chance.one_in(15) {
            publish(&client, topic, payload, false).await;
        }
        let pause = if denied_in_a_row > 0 { every / 4 } else { every.mul_f64(chance.between(0.6, 1.4)) };
        sleep(pause).await;
    }
}

/// What a terminal sends for one presentation; the personal fields are invented and must never get past the parser.
#[must_use]
pub fn rec_push(id: &str, record: u64, person: u64, denied: bool, chance: &mut Chance) -> Value {
    let direction = if chance.one_in(2) { "entr" } else { "exit" };
    json!({
        "operator": "RecPush",
        "info": {
            "customId": format!("S{person:05}"),
            "personId": person.to_string(),
            "RecordID": record.to_string(),
            "VerifyStatus": if denied { "2" } else { "1" },
            "PersonType": if denied { "1" } else { "0" },
            "similarity1": "0.000000",
            "Sendintime": "1",
            "direction": direction,
            "personName": format!("张三{person}"),
            "facesluiceId": id,
            "facesluiceName": format!("门口 {id}"),
            "idCard": format!("34042220100101{:04}", person % 10_000),
            "telnum": format!("1380000{:04}", person % 10_000),
            "time": moment::china_text(),
            "RFIDCard": format!("{:010}", 2_800_000_000 + person * 7),
            "pic": PICTURE,
        }
    })
}

/// Not a picture of anybody: the bytes only look like the beginning of one.
const PICTURE: &str = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////\
    ////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAA\
    AAAAAAAAAAD/2gAIAQEAAD8AKp//2Q==";
