//! Between the packets of MQTT 3.1.1 and 5 on the wire and what the hub speaks of, which is the same for both.

use mqtt_protocol_core::mqtt::ArcPayload;
use mqtt_protocol_core::mqtt::connection::{PacketData, RawPacket};
use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, MaximumPacketSize, MessageExpiryInterval, MqttString, Property, Qos,
    ReceiveMaximum, RetainHandling, ServerKeepAlive, SessionExpiryInterval, SharedSubscriptionAvailable,
    SubEntry, SubscriptionIdentifierAvailable, TopicAliasMaximum, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, MqttError};
use std::sync::Arc;

/// Longest topic or filter, in bytes.
pub(super) const MAX_TOPIC_BYTES: usize = 1024;

/// Which MQTT a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// 3.1.1.
    Three,
    /// 5.
    Five,
}

/// Why bytes are not MQTT as a client may send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// The packet's form is wrong.
    #[error("a malformed packet")]
    Malformed,
    /// A well-formed packet that may not come now, or says what it may not say.
    #[error("a packet that the protocol does not allow here")]
    Protocol,
    /// More bytes than we said that we take.
    #[error("a packet over the announced maximum")]
    TooLarge,
    /// Neither 3.1.1 nor 5.
    #[error("a version of MQTT other than 3.1.1 and 5")]
    Version,
    /// An alias beyond what we announced, or one that was not introduced.
    #[error("a topic alias that was not introduced")]
    Alias,
    /// A subscription identifier, which we said that we do not have.
    #[error("a subscription identifier, which is not offered")]
    SubscriptionId,
}

impl From<MqttError> for Wrong {
    fn from(error: MqttError) -> Self {
        match error {
            MqttError::PacketTooLarge => Self::TooLarge,
            MqttError::UnsupportedProtocolVersion => Self::Version,
            MqttError::ProtocolError => Self::Protocol,
            _ => Self::Malformed,
        }
    }
}

impl Wrong {
    /// The reason code of a DISCONNECT (MQTT 5, section 3.14.2.1).
    pub(super) fn reason(self) -> u8 {
        match self {
            Self::Malformed => 0x81,
            Self::Protocol | Self::Version => 0x82,
            Self::Alias => 0x94,
            Self::TooLarge => 0x95,
            Self::SubscriptionId => 0xA1,
        }
    }
}

/// An application message, shared by everybody it goes to.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) topic: Arc<str>,
    pub(super) payload: ArcPayload,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// Properties that travel with it unchanged (MQTT 5, section 3.3.2.3).
    pub(super) props: Arc<[Property]>,
    /// Seconds after which nobody wants it any more.
    pub(super) expires_secs: Option<u32>,
}

impl Message {
    /// One without properties.
    pub(super) fn plain(topic: &str, payload: &[u8], qos: Qos, retain: bool) -> Self {
        let payload = if payload.is_empty() {
            ArcPayload::default()
        } else {
            ArcPayload::new(Arc::from(payload), 0, payload.len())
        };
        Self { topic: topic.into(), payload, qos, retain, props: Arc::default(), expires_secs: None }
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.props.iter().map(Property::size).sum::<usize>()
    }
}

/// What is to be published for a client that is lost.
#[derive(Debug, Clone)]
pub(super) struct Will {
    pub(super) message: Message,
    pub(super) delay_secs: u32,
}

/// How a client introduces itself.
#[derive(Clone)]
pub(super) struct Hello {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) clean: bool,
    pub(super) keep_alive_secs: u16,
    pub(super) expiry_secs: u32,
    pub(super) receive_max: u16,
    pub(super) max_packet: u32,
    pub(super) will: Option<Will>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Vec<u8>>,
    /// It wants an exchange of AUTH packets, which is not offered.
    pub(super) extended_auth: bool,
}

/// A wish to hear of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: String,
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) as_published: bool,
    pub(super) retained: Retained,
}

/// When retained messages are wanted with a subscription (MQTT 5, section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// A message as a client sent it.
#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) message: Message,
    /// Its packet id; `None` at QoS 0.
    pub(super) id: Option<u16>,
    pub(super) dup: bool,
    /// The length that its payload had; more than that of `message` where the rest was thrown away.
    pub(super) whole_len: usize,
}

/// Which of the four acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ack,
    Rec,
    Rel,
    Comp,
}

/// What a client that is known says.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Publish(Publish),
    Step { step: Step, id: u16, failed: bool },
    Subscribe { id: u16, wanted: Vec<Wanted> },
    Unsubscribe { id: u16, filters: Vec<String> },
    Ping,
    Bye { with_will: bool, expiry_secs: Option<u32> },
}

/// What a client is told.
#[derive(Debug, Clone)]
pub(super) enum Tell {
    Welcome(Welcome),
    Turned { three: ConnectReturnCode, five: ConnectReasonCode },
    Publish { message: Message, id: Option<u16>, dup: bool, expires_secs: Option<u32> },
    Step { step: Step, id: u16, reason: u8 },
    Subscribed { id: u16, codes: Vec<u8> },
    Unsubscribed { id: u16, codes: Vec<u8> },
    Pong,
    Bye(u8),
}

/// CONNACK, and what this server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) resumed: bool,
    pub(super) assigned_id: Option<String>,
    pub(super) keep_alive_secs: Option<u16>,
    pub(super) expiry_secs: Option<u32>,
    pub(super) receive_max: u16,
    pub(super) max_packet: u32,
    pub(super) alias_max: u16,
}

/// Reads CONNECT, the first packet of a client.
pub(super) fn hello(raw: &RawPacket) -> Result<Hello, Wrong> {
    if raw.packet_type() != 1 || raw.flags() != 0 {
        return Err(Wrong::Protocol);
    }
    match raw.data_as_slice().get(6) {
        Some(4) => Ok(hello_three(&raw.parse_exact(v3_1_1::Connect::parse)?)),
        Some(5) => Ok(hello_five(&raw.parse_exact(v5_0::Connect::parse)?)),
        Some(_) => Err(Wrong::Version),
        None => Err(Wrong::Malformed),
    }
}

fn hello_three(connect: &v3_1_1::Connect) -> Hello {
    let will = connect.will_topic().map(|topic| Will {
        message: Message::plain(
            topic,
            connect.will_payload().unwrap_or_default(),
            connect.will_qos(),
            connect.will_retain(),
        ),
        delay_secs: 0,
    });
    Hello {
        version: Version::Three,
        client_id: connect.client_id().to_owned(),
        clean: connect.clean_session(),
        keep_alive_secs: connect.keep_alive(),
        expiry_secs: if connect.clean_session() { 0 } else { u32::MAX },
        receive_max: u16::MAX,
        max_packet: u32::MAX,
        will: will.filter(|_| connect.will_flag()),
        username: connect.user_name().map(ToOwned::to_owned),
        password: connect.password().map(ToOwned::to_owned),
        extended_auth: false,
    }
}

fn hello_five(connect: &v5_0::Connect) -> Hello {
    let mut hello = Hello {
        version: Version::Five,
        client_id: connect.client_id().to_owned(),
        clean: connect.clean_start(),
        keep_alive_secs: connect.keep_alive(),
        expiry_secs: 0,
        receive_max: u16::MAX,
        max_packet: u32::MAX,
        will: None,
        username: connect.user_name().map(ToOwned::to_owned),
        password: connect.password().map(ToOwned::to_owned),
        extended_auth: false,
    };
    for prop in connect.props() {
        match prop {
            Property::SessionExpiryInterval(secs) => hello.expiry_secs = secs.val(),
            Property::ReceiveMaximum(most) => hello.receive_max = most.val(),
            Property::MaximumPacketSize(most) => hello.max_packet = most.val(),
            Property::AuthenticationMethod(_) => hello.extended_auth = true,
            _ => {}
        }
    }
    if let Some(topic) = connect.will_topic().filter(|_| connect.will_flag()) {
        let payload = connect.will_payload().unwrap_or_default();
        let mut message = Message::plain(topic, payload, connect.will_qos(), connect.will_retain());
        let mut delay_secs = 0;
        for prop in connect.will_props() {
            match prop {
                Property::WillDelayInterval(secs) => delay_secs = secs.val(),
                Property::MessageExpiryInterval(secs) => message.expires_secs = Some(secs.val()),
                _ => {}
            }
        }
        message.props = travelling(connect.will_props());
        hello.will = Some(Will { message, delay_secs });
    }
    hello
}

fn travelling(props: &[Property]) -> Arc<[Property]> {
    let travels = |prop: &&Property| {
        matches!(
            prop,
            Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(_)
        )
    };
    props.iter().filter(travels).cloned().collect()
}

/// Topics that a client introduced by a number (MQTT 5, section 3.3.2.3.4).
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<Option<Arc<str>>>);

impl Aliases {
    /// How many a client may introduce.
    pub(super) const MAX: u16 = 32;

    fn resolve(&mut self, topic: &str, alias: Option<u16>) -> Result<Arc<str>, Wrong> {
        let Some(alias) = alias else {
            return if topic.is_empty() { Err(Wrong::Alias) } else { Ok(topic.into()) };
        };
        if alias == 0 || alias > Self::MAX {
            return Err(Wrong::Alias);
        }
        self.0.resize(usize::from(Self::MAX), None);
        let place = self.0.get_mut(usize::from(alias) - 1).ok_or(Wrong::Alias)?;
        if !topic.is_empty() {
            *place = Some(topic.into());
        }
        place.clone().ok_or(Wrong::Alias)
    }
}

/// Reads any packet after CONNECT.
pub(super) fn said(raw: &RawPacket, version: Version, aliases: &mut Aliases) -> Result<Said, Wrong> {
    let expected_flags = match raw.packet_type() {
        3 => raw.flags(),
        6 | 8 | 10 => 0b0010,
        _ => 0,
    };
    if raw.flags() != expected_flags {
        return Err(Wrong::Malformed);
    }
    match raw.packet_type() {
        3 => publish(raw, version, aliases).map(Said::Publish),
        kind @ 4..=7 => step(raw, kind, version),
        8 => subscribe(raw, version),
        10 => unsubscribe(raw, version),
        12 => Ok(Said::Ping),
        14 => bye(raw, version),
        _ => Err(Wrong::Protocol),
    }
}

fn publish(raw: &RawPacket, version: Version, aliases: &mut Aliases) -> Result<Publish, Wrong> {
    let PacketData::Publish(bytes) = &raw.data else { return Err(Wrong::Malformed) };
    let (topic, message, id, dup) = match version {
        Version::Three => {
            let (packet, _) = v3_1_1::Publish::parse(raw.flags(), Arc::clone(bytes))?;
            let topic = aliases.resolve(packet.topic_name(), None).map_err(|_| Wrong::Malformed)?;
            let message = Message {
                topic: Arc::clone(&topic),
                payload: packet.payload().clone(),
                qos: packet.qos(),
                retain: packet.retain(),
                props: Arc::default(),
                expires_secs: None,
            };
            (topic, message, packet.packet_id(), packet.dup())
        }
        Version::Five => {
            let (packet, _) = v5_0::Publish::parse(raw.flags(), Arc::clone(bytes))?;
            let mut alias = None;
            let mut expires_secs = None;
            for prop in packet.props() {
                match prop {
                    Property::TopicAlias(number) => alias = Some(number.val()),
                    Property::MessageExpiryInterval(secs) => expires_secs = Some(secs.val()),
                    Property::SubscriptionIdentifier(_) => return Err(Wrong::Protocol),
                    _ => {}
                }
            }
            let topic = aliases.resolve(packet.topic_name(), alias)?;
            let message = Message {
                topic: Arc::clone(&topic),
                payload: packet.payload().clone(),
                qos: packet.qos(),
                retain: packet.retain(),
                props: travelling(packet.props()),
                expires_secs,
            };
            (topic, message, packet.packet_id(), packet.dup())
        }
    };
    if id == Some(0) || topic.contains(['+', '#', '\0']) || topic.len() > MAX_TOPIC_BYTES {
        return Err(Wrong::Malformed);
    }
    let whole_len = message.payload.len();
    Ok(Publish { message, id, dup, whole_len })
}

fn step(raw: &RawPacket, kind: u8, version: Version) -> Result<Said, Wrong> {
    let (step, failed) = match (kind, version) {
        (4, Version::Five) => {
            raw.parse_exact(v5_0::Puback::parse)?;
            (Step::Ack, false)
        }
        (5, Version::Five) => {
            let reason = raw.parse_exact(v5_0::Pubrec::parse)?.reason_code();
            (Step::Rec, reason.is_some_and(|reason| reason as u8 >= 0x80))
        }
        (6, Version::Five) => {
            raw.parse_exact(v5_0::Pubrel::parse)?;
            (Step::Rel, false)
        }
        (7, Version::Five) => {
            raw.parse_exact(v5_0::Pubcomp::parse)?;
            (Step::Comp, false)
        }
        (kind, Version::Three) if raw.data_as_slice().len() == 2 => {
            let steps = [(4, Step::Ack), (5, Step::Rec), (6, Step::Rel), (7, Step::Comp)];
            let step = steps.iter().find(|(number, _)| *number == kind).ok_or(Wrong::Malformed)?;
            (step.1, false)
        }
        _ => return Err(Wrong::Malformed),
    };
    let id = raw.data_as_slice().first_chunk::<2>().map_or(0, |id| u16::from_be_bytes(*id));
    if id == 0 { Err(Wrong::Malformed) } else { Ok(Said::Step { step, id, failed }) }
}

fn subscribe(raw: &RawPacket, version: Version) -> Result<Said, Wrong> {
    let (id, entries): (u16, Vec<SubEntry>) = match version {
        Version::Three => {
            let packet = raw.parse_exact(v3_1_1::Subscribe::parse)?;
            (packet.packet_id(), packet.entries().clone())
        }
        Version::Five => {
            let packet = raw.parse_exact(v5_0::Subscribe::parse)?;
            if packet.props().iter().any(|prop| matches!(prop, Property::SubscriptionIdentifier(_))) {
                return Err(Wrong::SubscriptionId);
            }
            (packet.packet_id(), packet.entries().clone())
        }
    };
    let wanted = entries.iter().map(|entry| {
        let options = entry.sub_opts();
        Wanted {
            filter: entry.topic_filter().to_owned(),
            qos: options.qos(),
            no_local: options.nl(),
            as_published: options.rap(),
            retained: match options.rh() {
                RetainHandling::SendRetained => Retained::Always,
                RetainHandling::SendRetainedIfNotExists => Retained::IfNew,
                RetainHandling::DoNotSendRetained => Retained::Never,
            },
        }
    });
    if id == 0 { Err(Wrong::Malformed) } else { Ok(Said::Subscribe { id, wanted: wanted.collect() }) }
}

fn unsubscribe(raw: &RawPacket, version: Version) -> Result<Said, Wrong> {
    let texts = |entries: &[MqttString]| entries.iter().map(|entry| entry.as_str().to_owned()).collect();
    let (id, filters) = match version {
        Version::Three => {
            let packet = raw.parse_exact(v3_1_1::Unsubscribe::parse)?;
            (packet.packet_id(), texts(packet.entries()))
        }
        Version::Five => {
            let packet = raw.parse_exact(v5_0::Unsubscribe::parse)?;
            (packet.packet_id(), texts(packet.entries()))
        }
    };
    if id == 0 { Err(Wrong::Malformed) } else { Ok(Said::Unsubscribe { id, filters }) }
}

fn bye(raw: &RawPacket, version: Version) -> Result<Said, Wrong> {
    if version == Version::Three {
        return Ok(Said::Bye { with_will: false, expiry_secs: None });
    }
    let packet = raw.parse_exact(v5_0::Disconnect::parse)?;
    let expiry_secs = packet.props().iter().flatten().find_map(|prop| match prop {
        Property::SessionExpiryInterval(secs) => Some(secs.val()),
        _ => None,
    });
    let with_will = packet.reason_code().is_some_and(|reason| reason as u8 == 0x04);
    Ok(Said::Bye { with_will, expiry_secs })
}

/// The bytes of what is told; empty where this version has no such packet, or it could not be built.
pub(super) fn bytes(tell: &Tell, version: Version) -> Vec<u8> {
    let five = version == Version::Five;
    match tell {
        Tell::Welcome(welcome) => welcome_bytes(welcome, version),
        Tell::Turned { three, .. } if !five => {
            let packet = v3_1_1::Connack::builder().session_present(false).return_code(*three).build();
            packet.map(|packet| packet.to_continuous_buffer()).unwrap_or_default()
        }
        Tell::Turned { five, .. } => {
            let packet = v5_0::Connack::builder().session_present(false).reason_code(*five).build();
            packet.map(|packet| packet.to_continuous_buffer()).unwrap_or_default()
        }
        Tell::Publish { message, id, dup, expires_secs } => {
            publish_bytes(message, *id, *dup, *expires_secs, version).unwrap_or_default()
        }
        Tell::Step { step, id, reason } => {
            let first = match step {
                Step::Ack => 0x40,
                Step::Rec => 0x50,
                Step::Rel => 0x62,
                Step::Comp => 0x70,
            };
            let mut body = id.to_be_bytes().to_vec();
            if five && *reason != 0 {
                body.push(*reason);
            }
            packet(first, &body)
        }
        Tell::Subscribed { id, codes } => {
            let mut body = id.to_be_bytes().to_vec();
            if five {
                body.push(0);
                body.extend_from_slice(codes);
            } else {
                // 3.1.1 knows one failure only.
                body.extend(codes.iter().map(|code| if *code > 2 { 0x80 } else { *code }));
            }
            packet(0x90, &body)
        }
        Tell::Unsubscribed { id, codes } => {
            let mut body = id.to_be_bytes().to_vec();
            if five {
                body.push(0);
                body.extend_from_slice(codes);
            }
            packet(0xB0, &body)
        }
        Tell::Pong => vec![0xD0, 0],
        Tell::Bye(reason) if five => vec![0xE0, 1, *reason],
        Tell::Bye(_) => Vec::new(),
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            bytes.push(digit);
            break;
        }
        bytes.push(digit | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

fn welcome_bytes(welcome: &Welcome, version: Version) -> Vec<u8> {
    if version == Version::Three {
        return vec![0x20, 2, u8::from(welcome.resumed), 0];
    }
    let mut props: Vec<Property> = Vec::new();
    let mut add = |prop: Result<Property, MqttError>| props.extend(prop);
    add(ReceiveMaximum::new(welcome.receive_max).map(Into::into));
    add(MaximumPacketSize::new(welcome.max_packet).map(Into::into));
    add(TopicAliasMaximum::new(welcome.alias_max).map(Into::into));
    add(SubscriptionIdentifierAvailable::new(0).map(Into::into));
    add(SharedSubscriptionAvailable::new(0).map(Into::into));
    if let Some(id) = &welcome.assigned_id {
        add(AssignedClientIdentifier::new(id.as_str()).map(Into::into));
    }
    if let Some(secs) = welcome.keep_alive_secs {
        add(ServerKeepAlive::new(secs).map(Into::into));
    }
    if let Some(secs) = welcome.expiry_secs {
        add(SessionExpiryInterval::new(secs).map(Into::into));
    }
    let packet = v5_0::Connack::builder()
        .session_present(welcome.resumed)
        .reason_code(ConnectReasonCode::Success)
        .props(props)
        .build();
    packet.map(|packet| packet.to_continuous_buffer()).unwrap_or_default()
}

fn publish_bytes(
    message: &Message,
    id: Option<u16>,
    dup: bool,
    expires_secs: Option<u32>,
    version: Version,
) -> Result<Vec<u8>, MqttError> {
    match version {
        Version::Three => {
            let mut packet = v3_1_1::Publish::builder()
                .topic_name(&*message.topic)?
                .qos(message.qos)
                .retain(message.retain)
                .dup(dup)
                .payload(message.payload.clone());
            if let Some(id) = id {
                packet = packet.packet_id(id);
            }
            Ok(packet.build()?.to_continuous_buffer())
        }
        Version::Five => {
            let mut props: Vec<Property> = message.props.to_vec();
            if let Some(secs) = expires_secs {
                props.push(MessageExpiryInterval::new(secs)?.into());
            }
            let mut packet = v5_0::Publish::builder()
                .topic_name(&*message.topic)?
                .qos(message.qos)
                .retain(message.retain)
                .dup(dup)
                .props(props)
                .payload(message.payload.clone());
            if let Some(id) = id {
                packet = packet.packet_id(id);
            }
            Ok(packet.build()?.to_continuous_buffer())
        }
    }
}
