//! A camera: ONVIF device, media and event services over HTTP, and an RTSP stream of a small test picture.

mod answers;
mod rtsp;
mod soap;
mod watch;

use crate::moment;
use crate::tasks::{Tasks, listen};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use watch::Watch;

pub use soap::password_digest;
pub use watch::Topic;

/// Largest clock difference at which a UsernameToken is taken, in seconds.
const TOKEN_WINDOW_SECS: i64 = 5;
const SNAPSHOT: &[u8] = include_bytes!("../../assets/test-picture.jpg");

/// What a camera is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, shown as the model.
    pub name: String,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// How far its clock is ahead of ours, in seconds; negative is behind.
    pub skew_secs: i64,
    /// Pause between two motions; each lasts half of it. Zero: nothing ever moves.
    pub motion_every: Duration,
    /// Pause between two coverings of the lens; zero: never.
    pub tamper_every: Duration,
}

/// What a camera has been asked and has told.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests whose UsernameToken was refused.
    pub refused: AtomicU64,
    /// Event messages handed out by PullMessages.
    pub pulled: AtomicU64,
    /// RTSP sessions that were described.
    pub described: AtomicU64,
}

struct Device {
    settings: Settings,
    http: SocketAddr,
    rtsp: SocketAddr,
    watch: Arc<Watch>,
    counts: Arc<Counts>,
}

/// A running camera.
#[derive(Debug)]
pub struct Camera {
    http: SocketAddr,
    rtsp: SocketAddr,
    watch: Arc<Watch>,
    counts: Arc<Counts>,
    _tasks: Tasks,
}

impl Camera {
    /// Starts it on 127.0.0.1 with ports the system chooses.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let (web, http) = listen(0).await?;
        let (video, rtsp) = listen(0).await?;
        let counts = Arc::new(Counts::default());
        let watch = Arc::new(Watch::default());
        let mut tasks = Tasks::new();
        let account =
            rtsp::Account { username: settings.username.clone(), password: settings.password.clone() };
        tasks.spawn(rtsp::serve(video, account, Arc::clone(&counts)));
        tasks.spawn(Arc::clone(&watch).play(
            settings.motion_every,
            settings.tamper_every,
            settings.skew_secs,
        ));
        let device = Device { settings, http, rtsp, watch: Arc::clone(&watch), counts: Arc::clone(&counts) };
        let routes = Router::new()
            .route("/onvif/{service}", post(answer))
            .route("/snapshot", get(async || ([(header::CONTENT_TYPE, "image/jpeg")], SNAPSHOT)))
            .with_state(Arc::new(device));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(web, routes).await {
                eprintln!("simulated camera: {error}");
            }
        });
        Ok(Self { http, rtsp, watch, counts, _tasks: tasks })
    }

    /// The device service's address, as a camera is configured.
    #[must_use]
    pub fn device_url(&self) -> String {
        format!("http://{}/onvif/device_service", self.http)
    }

    /// Where its video is.
    #[must_use]
    pub fn stream_url(&self) -> String {
        format!("rtsp://{}/main", self.rtsp)
    }

    /// What it has been asked and has told.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Tells every subscriber that a state has changed.
    pub fn set(&self, topic: Topic, state: bool) {
        self.watch.set(topic, state, 0);
    }
}

async fn answer(State(device): State<Arc<Device>>, body: Bytes) -> Response {
    let Ok(asked) = std::str::from_utf8(&body).map_err(|_| ()).and_then(|text| soap::parse(text).ok_or(()))
    else {
        return fault(
            StatusCode::BAD_REQUEST,
            "SOAP-ENV:Sender",
            "ter:WellFormed",
            "the request is not SOAP",
        );
    };
    // Only these may be asked without a token (ONVIF Core, 5.9.4.3: access class PRE_AUTH).
    let open = matches!(asked.operation.as_str(), "GetSystemDateAndTime" | "GetCapabilities" | "GetServices");
    if !open && !permitted(&device, &asked) {
        device.counts.refused.fetch_add(1, Ordering::Relaxed);
        let why = "sender not authorized";
        return fault(StatusCode::BAD_REQUEST, "SOAP-ENV:Sender", "ter:NotAuthorized", why);
    }
    match answers::of(&device, &asked).await {
        Ok(body) => envelope(StatusCode::OK, &body),
        Err((code, why)) => fault(StatusCode::BAD_REQUEST, "SOAP-ENV:Sender", code, &why),
    }
}

fn permitted(device: &Device, asked: &soap::Asked) -> bool {
    let now = moment::skewed(device.settings.skew_secs);
    let Some(token) = &asked.token else { return false };
    token.username == device.settings.username
        && moment::seconds_from(now, &token.created).is_some_and(|away| away <= TOKEN_WINDOW_SECS)
        && password_digest(&token.nonce, &token.created, &device.settings.password)
            .is_some_and(|digest| digest == token.digest)
}

fn envelope(status: StatusCode, body: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope \
         xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsa5=\"http://www.w3.org/2005/08/addressing\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:ter=\"http://www.onvif.org/ver10/error\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\" \
         xmlns:tev=\"http://www.onvif.org/ver10/events/wsdl\" xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" \
         xmlns:tns1=\"http://www.onvif.org/ver10/topics\" xmlns:sim=\"urn:schoolgate:simulated-camera\">\
         <SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
    );
    (status, [(header::CONTENT_TYPE, "application/soap+xml; charset=utf-8")], text).into_response()
}

fn fault(status: StatusCode, code: &str, subcode: &str, why: &str) -> Response {
    let why = quick_xml::escape::escape(why);
    envelope(
        status,
        &format!(
            "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>{code}</SOAP-ENV:Value><SOAP-ENV:Subcode>\
             <SOAP-ENV:Value>{subcode}</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code><SOAP-ENV:Reason>\
             <SOAP-ENV:Text xml:lang=\"en\">{why}</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>"
        ),
    )
}

#[cfg(test)]
mod tests;
