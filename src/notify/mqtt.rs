//! A message on a topic of a broker: done when the broker has it, or when the device's own state says so.

use super::reply::{Scrub, says_success};
use super::robot::per_minute;
use super::wording::{document, gap};
use super::{Means, Message, Notifier, NotifierKind, Rate, Told, Verdict, escape};
use crate::config::{Channel, Languages, MqttTopic, Site, Success};
use crate::runtime::Chain;
use crate::southbound::mqtt::dial;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    PublishOptions, QoS, SubscribeReasonCode,
};
use std::sync::Arc;

/// Brokers.
pub const KIND: NotifierKind = NotifierKind {
    name: "mqtt",
    doc: "向 MQTT 主题发布，可等设备的状态回报。A message on an MQTT topic; the device's state may tell whether it was done.",
    example: r#"host = "192.168.1.30"
username = "schoolgate"
password_file = "secrets/mqtt"
topic = "zigbee2mqtt/siren-gate/set"
payload = '{"warning": {"mode": "burglar", "duration": 30}, "note": "{title}"}'
state_topic = "zigbee2mqtt/siren-gate"
ok_pointer = "/alarm"
ok_values = ["true", "ON"]
local = true
"#,
};

/// Longest pause between two pings; a try is far shorter.
const KEEP_ALIVE_SECS: u16 = 30;
/// Longest packet, bytes.
const MAX_PACKET: usize = 64 * 1024;
/// Longest wait for name, TCP, TLS and CONNACK together, seconds; the whole try is shorter still.
const CONNECT_WAIT_SECS: u64 = 5;
/// Longest `{text}`, characters.
const MAX_CHARS: usize = 1000;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    mqtt: MqttTopic,
    languages: Languages,
    site: Arc<Site>,
    scrub: Scrub,
    said: Option<String>,
}

/// Why nobody is known to have it.
struct NotDone(Verdict);

impl NotDone {
    fn failed(why: impl Into<String>) -> Self {
        Self(Verdict::Failed { why: why.into() })
    }
}

impl Topic {
    pub(super) fn new(channel: &Channel, mqtt: &MqttTopic, means: &Means) -> Self {
        Self {
            mqtt: mqtt.clone(),
            languages: channel.languages,
            site: Arc::clone(&means.site),
            scrub: Scrub::of(mqtt.broker.login.iter().map(|login| &login.password)),
            said: None,
        }
    }

    fn payload(&self, message: &Message) -> String {
        let Some(template) = &self.mqtt.payload else { return document(message, &self.site).to_string() };
        template.filled(|piece| escape::json(&gap(piece, message, &self.site, (self.languages, MAX_CHARS))))
    }

    fn options(&self) -> MqttOptions {
        let broker = &self.mqtt.broker;
        let mut options = MqttOptions::new(broker.client_id.clone(), (broker.host.clone(), broker.port));
        options.set_keep_alive(KEEP_ALIVE_SECS).set_clean_session(true);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        if let Some(login) = &broker.login {
            options.set_credentials(login.username.clone(), login.password.expose().as_bytes().to_vec());
        }
        let broker = broker.clone();
        options.set_socket_connector(move |_, _| {
            let broker = broker.clone();
            async move { dial(&broker).await.map_err(std::io::Error::other) }
        });
        options
    }

    fn judged(&self, error: &ConnectionError) -> NotDone {
        let place = format!("MQTT broker {}:{}", self.mqtt.broker.host, self.mqtt.broker.port);
        if let ConnectionError::ConnectionRefused(code) = error {
            let why = format!(
                "{place} refuses the login ({code:?}): check user name, password and its access list"
            );
            return NotDone(match code {
                ConnectReturnCode::ServiceUnavailable => Verdict::Failed { why },
                _ => Verdict::Refused { why },
            });
        }
        NotDone::failed(self.scrub.line(&format!("{place}: {}", Chain(error))))
    }

    async fn next(&self, events: &mut EventLoop) -> Result<Event, NotDone> {
        events.poll().await.map_err(|error| self.judged(&error))
    }

    /// Connects, and subscribes to the state if that is what counts.
    async fn begin(&self) -> Result<(AsyncClient, EventLoop), NotDone> {
        let (client, mut events) = AsyncClient::builder(self.options()).capacity(8).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_WAIT_SECS);
        events.set_network_options(network);
        while !matches!(self.next(&mut events).await?, Event::Incoming(Packet::ConnAck(_))) {}
        let Some((topic, _)) = &self.mqtt.state else { return Ok((client, events)) };
        let asked = client.try_subscribe(topic.clone(), QoS::AtLeastOnce);
        asked.map_err(|error| NotDone::failed(format!("subscribing: {}", Chain(&error))))?;
        loop {
            if let Event::Incoming(Packet::SubAck(answer)) = self.next(&mut events).await? {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    let why = format!("the broker does not let us read '{topic}': check its access list");
                    return Err(NotDone(Verdict::Refused { why }));
                }
                return Ok((client, events));
            }
        }
    }

    async fn publish(&mut self, message: &Message) -> Result<(), NotDone> {
        let (client, mut events) = self.begin().await?;
        let sent = client.try_publish(
            self.mqtt.topic.clone(),
            self.payload(message),
            PublishOptions::at_least_once(),
        );
        sent.map_err(|error| NotDone::failed(format!("publishing: {}", Chain(&error))))?;
        let (mut taken, mut done) = (false, self.mqtt.state.is_none());
        while !(taken && done) {
            match self.next(&mut events).await? {
                Event::Incoming(Packet::PubAck(_)) => taken = true,
                // What the broker kept was said before, perhaps days ago.
                Event::Incoming(Packet::Publish(heard)) if !heard.retain => {
                    self.said = Some(self.scrub.said(&heard.payload));
                    let success = self.mqtt.state.as_ref().map_or(&Success::Status, |(_, success)| success);
                    done = done || says_success(&heard.payload, success);
                }
                _ => {}
            }
        }
        // Both sides know what they need to know: how the connection ends is of no matter.
        if client.try_disconnect().is_ok() {
            while let Ok(event) = events.poll().await {
                if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Notifier for Topic {
    fn rate(&self) -> Rate {
        per_minute(120)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            self.said = None;
            match tokio::time::timeout(super::OWN_LIMIT, self.publish(message)).await {
                Ok(Ok(())) => Verdict::Accepted,
                Ok(Err(NotDone(verdict))) => verdict,
                Err(_) => {
                    let said = self.said.as_deref().unwrap_or("nothing");
                    let why = match &self.mqtt.state {
                        Some((topic, _)) => format!("not confirmed on '{topic}' in time; said there: {said}"),
                        None => "the broker did not confirm the message in time".to_owned(),
                    };
                    Verdict::Failed { why }
                }
            }
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}
