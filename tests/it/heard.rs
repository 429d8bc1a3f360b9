//! What a driver puts into the pipe, committed at once or held back.

use crate::daemon::until;
use crate::rig;
use schoolgate::config::{Bus, BusKind, Device, Network};
use schoolgate::model::{Body, BusId, DeviceId, Event, Input, Link, Observation, PlaceId, Refused};
use schoolgate::profile::Profile;
use schoolgate::runtime::lanes::Parcel;
use schoolgate::runtime::tls::install_provider;
use schoolgate::runtime::{SystemClock, Tally, Tasks};
use schoolgate::southbound::{drivers, supervise};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

/// A profile of a protocol whose codes are all kept as they are.
pub fn profile(protocol: &str) -> Arc<Profile> {
    rig::profile(&format!(
        "id = \"test-{protocol}\"\nclass = \"test\"\nvendor = \"Test\"\nmodel = \"{protocol}\"\nname_zh = \"测试\"\n\
         name_en = \"test\"\nsource = \"made for this test\"\nconfirmed = false\nprotocol = \"{protocol}\"\n\
         [[code]]\nmatch = [\"5/75\", \"AccessControl/1\"]\nkind = \"credential\"\nresult = \"granted\"\n\
         [[code]]\nmatch = [\"fire\"]\nkind = \"fire\"\n"
    ))
}

/// A device on the bus `source`.
pub fn device(id: &str, profile: &Arc<Profile>, address: &str) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(profile),
        bus: BusId::new("source").unwrap(),
        address: address.into(),
        place: PlaceId::new("gate").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    }
}

/// This machine's own network.
pub fn loopback() -> Vec<Network> {
    vec![Network { address: "127.0.0.0".parse().unwrap(), bits: 8 }]
}

/// A port of this machine that is free now.
pub fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], rig::free_port()))
}

/// A bus at work under supervision, and everything it put into the pipe.
pub struct Heard {
    inputs: Arc<Mutex<Vec<Input>>>,
    hold: watch::Sender<bool>,
    pub tally: Arc<Tally>,
    _stop: watch::Sender<bool>,
    _tasks: Tasks,
}

impl Heard {
    pub fn start(kind: BusKind, devices: &[Device]) -> Self {
        install_provider();
        let bus = Bus { id: BusId::new("source").unwrap(), kind };
        let (field, mut outlet) = rig::field(Arc::new(SystemClock::new()));
        let tally = Arc::clone(&field.tally);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::new();
        for driver in drivers(&bus, devices) {
            tasks.spawn("driver", supervise(driver, field.clone(), stopped.clone()));
        }
        let inputs = Arc::new(Mutex::new(Vec::new()));
        let (hold, mut held) = watch::channel(false);
        let kept = Arc::clone(&inputs);
        tasks.spawn("committer", async move {
            let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
            loop {
                tokio::select! {
                    parcel = outlet.events.recv() => {
                        let Some(Parcel { delivery, committed, .. }) = parcel else { return };
                        kept.lock().unwrap().extend(delivery.inputs);
                        waiting.extend(committed);
                    }
                    changed = held.changed() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                }
                if !*held.borrow() {
                    // Whoever gave it up does not need the answer.
                    waiting.drain(..).for_each(|sender| {
                        sender.send(()).ok();
                    });
                }
            }
        });
        Self { inputs, hold, tally, _stop: stop, _tasks: tasks }
    }

    /// Commits nothing from now on, or everything that waits.
    pub fn hold(&self, hold: bool) {
        self.hold.send(hold).unwrap();
    }

    pub fn inputs(&self) -> Vec<Input> {
        self.inputs.lock().unwrap().clone()
    }

    /// Waits until there is something among the inputs.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&[Input]) -> Option<T>) -> T {
        until(what, async || look(&self.inputs())).await
    }

    /// Every event so far: device, event, and whether it came late.
    pub fn events(&self) -> Vec<(String, Event, bool)> {
        let event = |input| match input {
            Input::Observed(Observation { device, body: Body::Event(event), retained, .. }) => {
                Some((device.to_string(), event, retained))
            }
            _ => None,
        };
        self.inputs().into_iter().filter_map(event).collect()
    }

    /// Waits for the `n`th event whose code begins like this.
    pub async fn event(&self, code: &str, n: usize) -> (String, Event, bool) {
        let begins = |event: &Event| event.code.as_deref().is_some_and(|told| told.starts_with(code));
        until(&format!("{n} events {code}"), async || {
            self.events().into_iter().filter(|(_, event, _)| begins(event)).nth(n - 1)
        })
        .await
    }

    pub fn refused(&self) -> Vec<Refused> {
        let refused = |input| if let Input::Refused(refused) = input { Some(refused) } else { None };
        self.inputs().into_iter().filter_map(refused).collect()
    }

    /// Who is not configured and sent something.
    pub fn strangers(&self) -> Vec<String> {
        let origin = |input| if let Input::Unknown(unknown) = input { Some(unknown.origin) } else { None };
        self.inputs().into_iter().filter_map(origin).collect()
    }

    /// Waits until the last that was told of a device's link is this.
    pub async fn link(&self, device: &str, wanted: Link) {
        self.until(&format!("{device} is {wanted:?}"), |inputs| {
            let mut links = inputs.iter().filter_map(|input| match input {
                Input::Observed(seen) if seen.device.as_str() == device => match seen.body {
                    Body::Link(link) => Some(link),
                    _ => None,
                },
                _ => None,
            });
            (links.next_back() == Some(wanted)).then_some(())
        })
        .await;
    }
}

/// Waits until somebody listens.
pub async fn listening(at: SocketAddr) {
    until("somebody listens", async || TcpStream::connect(at).await.ok().map(drop)).await;
}
