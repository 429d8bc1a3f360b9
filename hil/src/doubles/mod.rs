//! ONVIF device servers written by others, started on a free port for tests.
//!
//! They come with dependencies that must not reach the gateway itself, so they live here behind the feature
//! `doubles`, which only the tests switch on. The two disagree with each other, which is what makes them useful:
//! oxvif's tells events at once and ignores how old a login is; onvif-server's insists on the reference parameters
//! of a subscription and on a fresh login, and tells no events.

use onvif_server::{DeviceInfo, DeviceService, EventService, MediaService, OnvifError, OnvifServer};
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The device server of the oxvif crate; stops when dropped.
pub struct Oxvif(oxvif::mock::MockServer);

impl Oxvif {
    /// Starts it. With `enforce_login` it wants WS-Security, user `admin`, password `admin`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(enforce_login: bool) -> io::Result<Self> {
        oxvif::mock::MockServer::builder().enforce_auth(enforce_login).start().await.map(Self)
    }

    /// The URL of its device service.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.device_url()
    }

    /// Makes the next call of the operation whose SOAP action ends so answer with a fault.
    pub fn fail_next(&self, action_suffix: &str, code: &str, reason: &str) {
        self.0.inject_fault(action_suffix, code, reason);
    }
}

/// The device server of the onvif-server crate; stops when dropped.
pub struct Onvifd {
    url: String,
    task: JoinHandle<()>,
}

/// What its login is.
pub const ONVIFD_LOGIN: (&str, &str) = ("admin", "camera1");

#[derive(Clone)]
struct TestCamera {
    stream: String,
    still: String,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, OnvifError>> + Send + 'a>>;

impl DeviceService for TestCamera {
    fn get_device_information<'a: 'b, 'b>(&'a self) -> Answer<'b, DeviceInfo>
    where
        Self: 'b,
    {
        Box::pin(async {
            Ok(DeviceInfo {
                manufacturer: "Test Works".into(),
                model: "T-1".into(),
                firmware_version: "1.0".into(),
                serial_number: "1".into(),
                hardware_id: "1".into(),
            })
        })
    }
}

impl MediaService for TestCamera {
    fn get_stream_uri<'a: 'c, 'b: 'c, 'c>(&'a self, _profile: &'b str) -> Answer<'c, String>
    where
        Self: 'c,
    {
        let stream = self.stream.clone();
        Box::pin(async move { Ok(stream) })
    }

    fn get_snapshot_uri<'a: 'c, 'b: 'c, 'c>(&'a self, _profile: &'b str) -> Answer<'c, String>
    where
        Self: 'c,
    {
        let still = self.still.clone();
        Box::pin(async move { Ok(still) })
    }
}

impl EventService for TestCamera {}

impl Onvifd {
    /// Starts a camera with [`ONVIFD_LOGIN`] that says its stream is at `stream` and its still pictures at `still`.
    ///
    /// # Errors
    /// When it cannot listen or start.
    pub async fn start(stream: &str, still: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let camera = TestCamera { stream: stream.to_owned(), still: still.to_owned() };
        let (username, password) = ONVIFD_LOGIN;
        let built = OnvifServer::builder()
            .port(port)
            .advertised_host("127.0.0.1")
            .device_service(camera.clone())
            .media_service(camera.clone())
            .event_service(camera)
            .auth(username, password)
            .build()
            .map_err(io::Error::other)?;
        // Reading its WSDL takes it a second or more, and it does so without yielding.
        let router = tokio::task::spawn_blocking(move || built.into_router())
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("onvif-server stopped: {error}");
            }
        });
        Ok(Self { url: format!("http://127.0.0.1:{port}/onvif/device_service"), task })
    }

    /// The URL of its device service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Onvifd {
    fn drop(&mut self) {
        self.task.abort();
    }
}
