//! What the tests of several counterparts stand on: this tree, a profile, the field with its lanes, a free port, a
//! signal.

use schoolgate::config::Site;
use schoolgate::document::Problems;
use schoolgate::model::{DeviceId, SiteKey};
use schoolgate::profile::{Profile, parse};
use schoolgate::runtime::lanes::lanes;
use schoolgate::runtime::{Clock, Outlet, Tally};
use schoolgate::southbound::Field;
use schoolgate::southbound::polled::CommandBook;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The root of this tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A profile that must be a good one.
pub fn profile(text: &str) -> Arc<Profile> {
    let problems = Problems::new();
    let profile = parse("profile.toml", text, &problems);
    let problems = problems.into_sorted();
    Arc::new(profile.unwrap_or_else(|| panic!("{problems:?}")))
}

/// What drivers work with, and what comes out of the lanes.
pub fn field(clock: Arc<dyn Clock>) -> (Field, Outlet) {
    let (inlet, outlet) = lanes();
    let site = Site {
        gateway: DeviceId::new("gw").unwrap(),
        name: "school".into(),
        school_code: None,
        zone: jiff::tz::TimeZone::UTC,
    };
    let field = Field {
        inlet,
        clock,
        tally: Arc::new(Tally::default()),
        site_key: SiteKey::new([1; 32]),
        site: site.into(),
        commands: CommandBook::default(),
        allow_health: false,
    };
    (field, outlet)
}

/// A port that nobody listens on; somebody else may take it before it is used.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Sends a signal, by its name without SIG, to a process that is there.
pub fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill runs").success(), "SIG{name} to {process}");
}
