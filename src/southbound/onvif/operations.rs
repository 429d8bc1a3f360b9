//! The ONVIF operations that are used: how each is asked, and what is read from its reply.
//!
//! ONVIF Core Specification: device management section 8, events section 9; Media and Media2 specifications.
//! Everything here is pure; what a reply lacks is `None`, and the caller says what that means.

use super::soap::Operation;
use crate::model::Wall;
use crate::notice::xml::Node;
use crate::profile::Notification;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use quick_xml::escape::escape;

macro_rules! operations {
    ($($name:ident = $signed:literal, $path:literal, $operation:literal $(, $suffix:literal)?;)+) => {$(
        #[doc = concat!("`", $operation, "`.")]
        pub const $name: Operation = Operation {
            name: $operation,
            action: concat!($path, "/", $operation $(, $suffix)?),
            signed: $signed,
        };
    )+};
}

operations! {
    GET_SYSTEM_DATE_AND_TIME = false, "http://www.onvif.org/ver10/device/wsdl", "GetSystemDateAndTime";
    GET_DEVICE_INFORMATION = true, "http://www.onvif.org/ver10/device/wsdl", "GetDeviceInformation";
    GET_SERVICES = true, "http://www.onvif.org/ver10/device/wsdl", "GetServices";
    GET_CAPABILITIES = true, "http://www.onvif.org/ver10/device/wsdl", "GetCapabilities";
    GET_PROFILES = true, "http://www.onvif.org/ver10/media/wsdl", "GetProfiles";
    GET_STREAM_URI = true, "http://www.onvif.org/ver10/media/wsdl", "GetStreamUri";
    GET_SNAPSHOT_URI = true, "http://www.onvif.org/ver10/media/wsdl", "GetSnapshotUri";
    GET_PROFILES_2 = true, "http://www.onvif.org/ver20/media/wsdl", "GetProfiles";
    GET_STREAM_URI_2 = true, "http://www.onvif.org/ver20/media/wsdl", "GetStreamUri";
    GET_SNAPSHOT_URI_2 = true, "http://www.onvif.org/ver20/media/wsdl", "GetSnapshotUri";
    CREATE_PULL_POINT =
        true, "http://www.onvif.org/ver10/events/wsdl/EventPortType", "CreatePullPointSubscription", "Request";
    PULL_MESSAGES = true, "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription", "PullMessages", "Request";
    SET_SYNCHRONIZATION_POINT = true,
        "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription", "SetSynchronizationPoint", "Request";
    RENEW = true, "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager", "Renew", "Request";
    UNSUBSCRIBE = true, "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager", "Unsubscribe", "Request";
}

/// How long a subscription lives on the camera if nobody pulls: one that is forgotten ends by itself.
pub const SUBSCRIPTION_SECS: u32 = 60;
/// How long the camera may hold a pull open while nothing happens.
pub const PULL_SECS: u32 = 10;
/// Most notifications in one reply.
pub const PULL_LIMIT: u32 = 100;

/// `GetSystemDateAndTime`.
pub const ASK_TIME: &str = "<tds:GetSystemDateAndTime/>";
/// `GetDeviceInformation`.
pub const ASK_DEVICE: &str = "<tds:GetDeviceInformation/>";
/// `GetServices`, without their capabilities.
pub const ASK_SERVICES: &str =
    "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>";
/// `GetCapabilities` of every category.
pub const ASK_CAPABILITIES: &str =
    "<tds:GetCapabilities><tds:Category>All</tds:Category></tds:GetCapabilities>";
/// `GetProfiles` (Media).
pub const ASK_PROFILES: &str = "<trt:GetProfiles/>";
/// `GetProfiles` (Media2).
pub const ASK_PROFILES_2: &str = "<tr2:GetProfiles><tr2:Type>VideoEncoder</tr2:Type></tr2:GetProfiles>";
/// `SetSynchronizationPoint`: tell every state again.
pub const ASK_STATES: &str = "<tev:SetSynchronizationPoint/>";
/// `Unsubscribe`.
pub const ASK_END: &str = "<wsnt:Unsubscribe/>";

/// `GetStreamUri` (Media): RTP over RTSP.
#[must_use]
pub fn ask_stream(profile: &str) -> String {
    format!(
        "<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP\
         </tt:Protocol></tt:Transport></trt:StreamSetup><trt:ProfileToken>{}</trt:ProfileToken></trt:GetStreamUri>",
        escape(profile)
    )
}

/// `GetStreamUri` (Media2).
#[must_use]
pub fn ask_stream_2(profile: &str) -> String {
    format!(
        "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>{}</tr2:ProfileToken></tr2:GetStreamUri>",
        escape(profile)
    )
}

/// `GetSnapshotUri` (Media).
#[must_use]
pub fn ask_snapshot(profile: &str) -> String {
    format!(
        "<trt:GetSnapshotUri><trt:ProfileToken>{}</trt:ProfileToken></trt:GetSnapshotUri>",
        escape(profile)
    )
}

/// `GetSnapshotUri` (Media2).
#[must_use]
pub fn ask_snapshot_2(profile: &str) -> String {
    format!(
        "<tr2:GetSnapshotUri><tr2:ProfileToken>{}</tr2:ProfileToken></tr2:GetSnapshotUri>",
        escape(profile)
    )
}

/// `CreatePullPointSubscription` for every topic.
#[must_use]
pub fn ask_subscription() -> String {
    format!(
        "<tev:CreatePullPointSubscription><tev:InitialTerminationTime>PT{SUBSCRIPTION_SECS}S\
         </tev:InitialTerminationTime></tev:CreatePullPointSubscription>"
    )
}

/// `PullMessages`.
#[must_use]
pub fn ask_messages() -> String {
    format!(
        "<tev:PullMessages><tev:Timeout>PT{PULL_SECS}S</tev:Timeout>\
         <tev:MessageLimit>{PULL_LIMIT}</tev:MessageLimit></tev:PullMessages>"
    )
}

/// `Renew`.
#[must_use]
pub fn ask_renewal() -> String {
    format!("<wsnt:Renew><wsnt:TerminationTime>PT{SUBSCRIPTION_SECS}S</wsnt:TerminationTime></wsnt:Renew>")
}

/// The camera's time. `UTCDateTime` if given, else `LocalDateTime` in the POSIX zone the camera names.
#[must_use]
pub fn camera_time(reply: &Node) -> Option<Wall> {
    let all = reply.child("SystemDateAndTime")?;
    if let Some(utc) = all.child("UTCDateTime").and_then(date_time) {
        return to_wall(utc, &TimeZone::UTC);
    }
    let local = all.child("LocalDateTime").and_then(date_time)?;
    let zone = TimeZone::posix(all.text_at(&["TimeZone", "TZ"])?).ok()?;
    to_wall(local, &zone)
}

fn date_time(node: &Node) -> Option<DateTime> {
    let number = |path: [&str; 2]| node.text_at(&path)?.parse::<i16>().ok();
    let small = |path: [&str; 2]| i8::try_from(number(path)?).ok();
    let (year, month, day) = (number(["Date", "Year"])?, small(["Date", "Month"])?, small(["Date", "Day"])?);
    let (hour, minute) = (small(["Time", "Hour"])?, small(["Time", "Minute"])?);
    let second = small(["Time", "Second"])?.min(59);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

fn to_wall(time: DateTime, zone: &TimeZone) -> Option<Wall> {
    zone.to_timestamp(time).ok().map(|t| Wall(t.as_millisecond()))
}

/// An `xs:dateTime`; without a zone it is taken as UTC, as ONVIF wants it.
#[must_use]
pub fn xs_date_time(text: &str) -> Option<Wall> {
    let text = text.trim();
    match text.parse::<Timestamp>() {
        Ok(t) => Some(Wall(t.as_millisecond())),
        Err(_) => to_wall(text.parse::<DateTime>().ok()?, &TimeZone::UTC),
    }
}

/// Who made the camera.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceInformation {
    /// Maker.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Firmware version.
    pub firmware: String,
}

/// Reads `GetDeviceInformation`; what is not told stays empty. Each is cut to 80 characters.
#[must_use]
pub fn device_information(reply: &Node) -> DeviceInformation {
    let text = |name: &str| reply.text_at(&[name]).unwrap_or_default().chars().take(80).collect();
    DeviceInformation {
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        firmware: text("FirmwareVersion"),
    }
}

/// Addresses of the services that are used, as the camera tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// Media.
    pub media: Option<String>,
    /// Media2.
    pub media2: Option<String>,
    /// Events.
    pub events: Option<String>,
}

impl Services {
    /// Reads `GetServices`.
    pub fn add_services(&mut self, reply: &Node) {
        for service in reply.each("Service") {
            let address = service.text_at(&["XAddr"]).map(str::to_owned);
            let namespace = service.text_at(&["Namespace"]).unwrap_or_default().trim_end_matches('/');
            match namespace {
                "http://www.onvif.org/ver10/media/wsdl" => self.media = address,
                "http://www.onvif.org/ver20/media/wsdl" => self.media2 = address,
                "http://www.onvif.org/ver10/events/wsdl" => self.events = address,
                _ => {}
            }
        }
    }

    /// Reads `GetCapabilities`; what `GetServices` told stands.
    pub fn add_capabilities(&mut self, reply: &Node) {
        let address = |name: &str| reply.text_at(&["Capabilities", name, "XAddr"]).map(str::to_owned);
        self.media = self.media.take().or_else(|| address("Media"));
        self.events = self.events.take().or_else(|| address("Events"));
    }
}

/// The token of the first profile that has a video encoder, else of the first.
#[must_use]
pub fn video_profile(reply: &Node) -> Option<&str> {
    let has_video = |p: &&Node| {
        p.child("VideoEncoderConfiguration").is_some()
            || p.path(&["Configurations", "VideoEncoder"]).is_some()
    };
    let first = || reply.each("Profiles").next();
    reply.each("Profiles").find(has_video).or_else(first)?.attribute("token").filter(|t| !t.is_empty())
}

/// The address of a stream or a still picture (`MediaUri/Uri` of Media, `Uri` of Media2).
#[must_use]
pub fn media_uri(reply: &Node) -> Option<&str> {
    reply.text_at(&["MediaUri", "Uri"]).or_else(|| reply.text_at(&["Uri"]))
}

/// A subscription as the camera made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Where to pull, as the camera tells it.
    pub address: String,
    /// Header elements to echo.
    pub references: Vec<String>,
}

/// Reads `CreatePullPointSubscription`.
#[must_use]
pub fn subscription(reply: &Node) -> Option<Subscription> {
    let address = reply.text_at(&["SubscriptionReference", "Address"])?.to_owned();
    Some(Subscription { address, references: reply.echoed_children("ReferenceParameters") })
}

/// What one pull brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulled {
    /// Notifications in order.
    pub notes: Vec<Notification>,
    /// How long the subscription still lives, in milliseconds; `None` when the camera does not tell or tells a
    /// time that is not later than its present.
    pub left_ms: Option<i64>,
}

/// Reads `PullMessages`. `offset_ms` is how far the camera's clock is ahead of ours.
#[must_use]
pub fn pulled(reply: &Node, offset_ms: i64) -> Pulled {
    let time = |name: &str| reply.text_at(&[name]).and_then(xs_date_time);
    let left_ms = match (time("CurrentTime"), time("TerminationTime")) {
        (Some(now), Some(end)) => Some(end.since(now)).filter(|left| *left > 0),
        _ => None,
    };
    let notes = reply.each("NotificationMessage").filter_map(|n| notification(n, offset_ms)).collect();
    Pulled { notes, left_ms }
}

/// A notification; `None` when it has no topic or tells that a property no longer exists.
fn notification(node: &Node, offset_ms: i64) -> Option<Notification> {
    let topic = bare_topic(node.text_at(&["Topic"])?);
    let message = node.path(&["Message", "Message"]).or_else(|| node.child("Message"));
    let operation = message.and_then(|m| m.attribute("PropertyOperation")).unwrap_or_default();
    if operation == "Deleted" {
        return None;
    }
    let utc_time = message
        .and_then(|m| m.attribute("UtcTime"))
        .and_then(xs_date_time)
        .map(|t| t.plus_ms(offset_ms.saturating_neg()));
    let items = |name: &str| message.and_then(|m| m.child(name)).map(simple_items).unwrap_or_default();
    Some(Notification {
        topic,
        utc_time,
        initialized: operation == "Initialized",
        source: items("Source"),
        data: items("Data"),
    })
}

/// Without white space and namespace prefixes: `tns1:VideoSource/tnsx:MotionAlarm` is `VideoSource/MotionAlarm`.
fn bare_topic(text: &str) -> String {
    let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let parts: Vec<&str> =
        joined.split('/').map(|part| part.rsplit_once(':').map_or(part, |(_, name)| name)).collect();
    parts.join("/")
}

fn simple_items(node: &Node) -> Vec<(String, String)> {
    node.each("SimpleItem")
        .filter_map(|i| {
            Some((i.attribute("Name")?.to_owned(), i.attribute("Value").unwrap_or_default().to_owned()))
        })
        .collect()
}
