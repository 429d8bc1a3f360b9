//! The camera's answers, operation by operation.

use super::Device;
use super::soap::{Asked, duration_secs};
use crate::moment;
use jiff::tz::TimeZone;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest wait of one PullMessages, in seconds; longer ones are shortened.
const MAX_PULL_SECS: u64 = 60;
/// Longest life of a pull point without a pull, in seconds.
const MAX_LIFE_SECS: u64 = 3_600;

/// A subcode and a reason.
pub(super) type Refusal = (&'static str, String);

/// The body of the answer.
pub(super) async fn of(device: &Device, asked: &Asked) -> Result<String, Refusal> {
    let base = format!("http://{}/onvif", device.http);
    Ok(match asked.operation.as_str() {
        "GetSystemDateAndTime" => date_and_time(device),
        "GetDeviceInformation" => format!(
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Schoolgate</tds:Manufacturer><tds:Model>{}</tds:Model>\
             <tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>SIM-{}</tds:SerialNumber>\
             <tds:HardwareId>simulated</tds:HardwareId></tds:GetDeviceInformationResponse>",
            quick_xml::escape::escape(&device.settings.name),
            device.http.port()
        ),
        "GetCapabilities" => format!(
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Device><tt:XAddr>{base}/device_service</tt:XAddr>\
             </tt:Device><tt:Events><tt:XAddr>{base}/event_service</tt:XAddr>\
             <tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>\
             <tt:WSPullPointSupport>true</tt:WSPullPointSupport>\
             <tt:WSPausableSubscriptionManagerInterfaceSupport>false\
             </tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>\
             <tt:Media><tt:XAddr>{base}/media_service</tt:XAddr><tt:StreamingCapabilities>\
             <tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>\
             <tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>\
             </tds:Capabilities></tds:GetCapabilitiesResponse>"
        ),
        "GetServices" => services(&base),
        "GetProfiles" => profiles(),
        "GetStreamUri" => media_uri("GetStreamUri", &format!("rtsp://{}/main", device.rtsp)),
        "GetSnapshotUri" => media_uri("GetSnapshotUri", &format!("http://{}/snapshot", device.http)),
        "CreatePullPointSubscription" => subscribe(device, asked, &base)?,
        "PullMessages" => pull(device, asked).await?,
        "Renew" => {
            let life = life_secs(device, asked, "TerminationTime");
            let known = device.watch.prolong(subscription(asked)?, Duration::from_secs(life));
            known.then_some(()).ok_or_else(|| unknown(asked))?;
            let (now, end) = times(device, life);
            format!(
                "<wsnt:RenewResponse><wsnt:TerminationTime>{end}</wsnt:TerminationTime>\
                 <wsnt:CurrentTime>{now}</wsnt:CurrentTime></wsnt:RenewResponse>"
            )
        }
        "Unsubscribe" => {
            let known = device.watch.unsubscribe(subscription(asked)?);
            known.then_some(()).ok_or_else(|| unknown(asked))?;
            "<wsnt:UnsubscribeResponse/>".to_owned()
        }
        "SetSynchronizationPoint" => {
            let known = device.watch.synchronize(subscription(asked)?, device.settings.skew_secs);
            known.then_some(()).ok_or_else(|| unknown(asked))?;
            "<tev:SetSynchronizationPointResponse/>".to_owned()
        }
        other => return Err(("ter:ActionNotSupported", format!("this camera has no operation {other}"))),
    })
}

fn date_and_time(device: &Device) -> String {
    let at = moment::skewed(device.settings.skew_secs).to_zoned(TimeZone::UTC);
    format!(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
         <tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>\
         <tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time>\
         <tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date></tt:UTCDateTime>\
         </tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
        at.hour(),
        at.minute(),
        at.second(),
        at.year(),
        at.month(),
        at.day()
    )
}

fn services(base: &str) -> String {
    let service = |namespace: &str, path: &str| {
        format!(
            "<tds:Service><tds:Namespace>http://www.onvif.org/ver10/{namespace}/wsdl</tds:Namespace>\
             <tds:XAddr>{base}/{path}</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor>\
             </tds:Version></tds:Service>"
        )
    };
    format!(
        "<tds:GetServicesResponse>{}{}{}</tds:GetServicesResponse>",
        service("device", "device_service"),
        service("media", "media_service"),
        service("events", "event_service")
    )
}

fn profiles() -> String {
    "<trt:GetProfilesResponse><trt:Profiles token=\"main\" fixed=\"true\"><tt:Name>main</tt:Name>\
     <tt:VideoSourceConfiguration token=\"vsc0\"><tt:Name>vsc0</tt:Name><tt:UseCount>1</tt:UseCount>\
     <tt:SourceToken>vs0</tt:SourceToken><tt:Bounds x=\"0\" y=\"0\" width=\"320\" height=\"180\"/>\
     </tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token=\"vec0\"><tt:Name>vec0</tt:Name>\
     <tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>320</tt:Width>\
     <tt:Height>180</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality><tt:SessionTimeout>PT60S\
     </tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles></trt:GetProfilesResponse>"
        .to_owned()
}

fn media_uri(operation: &str, uri: &str) -> String {
    format!(
        "<trt:{operation}Response><trt:MediaUri><tt:Uri>{uri}</tt:Uri>\
         <tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>\
         <tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:{operation}Response>"
    )
}

/// Seconds a subscription shall live, from a duration or an absolute time; one minute when nothing is asked.
fn life_secs(device: &Device, asked: &Asked, name: &str) -> u64 {
    let wish = asked.parameters.get(name).and_then(|text| {
        duration_secs(text).or_else(|| {
            let end: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(end.duration_since(moment::skewed(device.settings.skew_secs)).as_secs()).ok()
        })
    });
    wish.unwrap_or(60).clamp(1, MAX_LIFE_SECS)
}

/// The camera's present time and the end of a life that begins now.
fn times(device: &Device, life_secs: u64) -> (String, String) {
    let skew = device.settings.skew_secs;
    (moment::utc_text(skew), moment::utc_text(skew.saturating_add_unsigned(life_secs)))
}

fn subscribe(device: &Device, asked: &Asked, base: &str) -> Result<String, Refusal> {
    let life = life_secs(device, asked, "InitialTerminationTime");
    let Some(id) = device.watch.subscribe(Duration::from_secs(life), device.settings.skew_secs) else {
        return Err(("ter:MaxPullPoints", "there are too many pull points; unsubscribe one".into()));
    };
    let (now, end) = times(device, life);
    Ok(format!(
        "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>\
         <wsa5:Address>{base}/subscription</wsa5:Address><wsa5:ReferenceParameters>\
         <sim:SubscriptionId>{id}</sim:SubscriptionId></wsa5:ReferenceParameters></tev:SubscriptionReference>\
         <wsnt:CurrentTime>{now}</wsnt:CurrentTime><wsnt:TerminationTime>{end}</wsnt:TerminationTime>\
         </tev:CreatePullPointSubscriptionResponse>"
    ))
}

async fn pull(device: &Device, asked: &Asked) -> Result<String, Refusal> {
    let id = subscription(asked)?;
    let invalid = |what: &str| ("ter:InvalidArgVal", format!("PullMessages needs a good {what}"));
    let wait = asked.parameters.get("Timeout").and_then(|text| duration_secs(text));
    let wait = wait.ok_or_else(|| invalid("Timeout"))?.min(MAX_PULL_SECS);
    let limit = asked.parameters.get("MessageLimit").and_then(|text| text.parse::<usize>().ok());
    let limit = limit.ok_or_else(|| invalid("MessageLimit"))?;
    // A pull keeps the subscription alive (ONVIF Core, 9.2.2).
    device.watch.prolong(id, Duration::from_secs(wait + 60));
    let messages =
        device.watch.pull(id, Duration::from_secs(wait), limit).await.ok_or_else(|| unknown(asked))?;
    device.counts.pulled.fetch_add(messages.len() as u64, Ordering::Relaxed);
    let (now, end) = times(device, 60);
    Ok(format!(
        "<tev:PullMessagesResponse><tev:CurrentTime>{now}</tev:CurrentTime>\
         <tev:TerminationTime>{end}</tev:TerminationTime>{}</tev:PullMessagesResponse>",
        messages.concat()
    ))
}

fn subscription(asked: &Asked) -> Result<&str, Refusal> {
    asked.subscription.as_deref().ok_or_else(|| {
        ("ter:InvalidArgVal", "echo the SubscriptionId of the ReferenceParameters in the header".into())
    })
}

fn unknown(asked: &Asked) -> Refusal {
    let id = asked.subscription.as_deref().unwrap_or("");
    ("ter:InvalidArgVal", format!("there is no subscription {id}"))
}
