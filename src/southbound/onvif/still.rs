//! A still picture of a camera: ONVIF says where it is, HTTP fetches it.

use super::client::Client;
use super::{STILL, device_url, failure, media_address, services};
use crate::config::{Device, Login, Onvif};
use crate::model::Fault;
use crate::runtime::Clock;
use crate::runtime::tally::Count;
use crate::southbound::Failure;
use crate::southbound::http_login::LoginHold;
use crate::southbound::noticed::web::Web;
use reqwest::Method;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Largest picture that is taken, bytes: twice what a camera of 8 megapixels sends.
pub const MAX_STILL: usize = 4 * 1024 * 1024;
/// How a JPEG begins (ITU-T T.81, B.2.1: SOI and the next marker).
const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF];

/// One camera's still pictures.
pub struct Still {
    client: Client,
    login: Option<Login>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    requests: Arc<Count>,
    hold: Arc<LoginHold>,
    /// Where the pictures are, once the camera has told; path and query on its host.
    place: Option<(Web, String)>,
}

impl Still {
    /// Of the camera `device` on a bus of these settings.
    ///
    /// # Errors
    /// When its address is none.
    pub fn new(
        device: &Device,
        settings: &Onvif,
        clock: Arc<dyn Clock>,
        requests: Arc<Count>,
    ) -> Result<Self, Failure> {
        let (login, timeout) = (settings.login.clone(), settings.timeout);
        let url = device_url(device)?;
        let client = Client::new(url, login.clone(), timeout, Arc::clone(&clock), Arc::clone(&requests));
        let client = client.map_err(|error| failure("preparing to speak ONVIF", error))?;
        Ok(Self { client, login, timeout, clock, requests, hold: Arc::default(), place: None })
    }

    /// Fetches a JPEG of at most [`MAX_STILL`] bytes. Where the pictures are is asked once, and again after a failure.
    ///
    /// # Errors
    /// What the camera did instead. After a refused login it is left alone for half an hour.
    pub async fn take(&mut self) -> Result<Vec<u8>, Failure> {
        let now = self.clock.now().mono;
        if self.hold.holds(now) {
            return Err(Failure::new(
                Fault::Unauthorized,
                "fetch a still picture: the login was refused, and is not tried again for half an hour",
            ));
        }
        let (mut web, path) = match self.place.take() {
            Some(place) => place,
            None => self.find().await.inspect_err(|failure| {
                if failure.fault == Fault::Unauthorized {
                    self.hold.begin(now);
                }
            })?,
        };
        let doing = "fetch a still picture";
        let answer = web.ask(Method::GET, &path, None, now).await.map_err(|error| error.doing(doing))?;
        let picture = web.whole(answer, MAX_STILL).await.map_err(|error| error.doing(doing))?;
        if !picture.starts_with(JPEG) {
            let doing =
                format!("fetch a still picture: expected a JPEG, and {} other bytes came", picture.len());
            return Err(Failure::new(Fault::Protocol, doing));
        }
        self.place = Some((web, path));
        Ok(picture)
    }

    async fn find(&mut self) -> Result<(Web, String), Failure> {
        // A camera that hides its clock is asked with ours.
        self.client.measure_clock().await.ok();
        let device = self.client.device().clone();
        let failed = |(doing, error)| failure(doing, error);
        let services = services(&mut self.client, &device).await.map_err(failed)?;
        let told = media_address(&mut self.client, &services, &STILL).await.map_err(failed)?;
        let place = told.and_then(|told| self.client.on_camera(&told)).ok_or_else(|| {
            Failure::new(Fault::Protocol, "ask for the address of still pictures: the camera tells none")
        })?;
        let path = place.query().map_or_else(|| place.path().to_owned(), |q| format!("{}?{q}", place.path()));
        let web = Web::new(
            root(place),
            self.login.clone(),
            self.timeout,
            Arc::clone(&self.hold),
            Arc::clone(&self.requests),
        );
        Ok((web.map_err(|error| error.doing("prepare to fetch a still picture"))?, path))
    }
}

/// Scheme, host and port.
fn root(mut url: Url) -> Url {
    url.set_path("");
    url.set_query(None);
    url.set_fragment(None);
    url
}
