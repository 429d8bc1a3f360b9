//! What the tools that talk to devices themselves have in common: a runtime, an end by Ctrl-C, and the care not to
//! disturb a gateway that runs.

use super::words::say;
use super::{EXIT_UNAVAILABLE, EXIT_USAGE};
use crate::config::{Bus, Config, Device};
use crate::model::BusId;
pub(super) use crate::work::open;
use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// How long a running gateway may take to accept a connection on this machine.
const GATEWAY_ANSWERS: Duration = Duration::from_millis(500);

/// Runs something that talks to the world.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Runs something to its end, or until Ctrl-C or SIGTERM; whether it came to its end.
pub(super) async fn unless_stopped(work: impl Future<Output = ()>) -> bool {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = work => true,
        () = interrupted => false,
        () = terminated => false,
    }
}

/// Whether the gateway of this configuration runs: its API takes a connection.
pub(super) fn gateway_runs(http: SocketAddr) -> bool {
    TcpStream::connect_timeout(&http, GATEWAY_ANSWERS).is_ok()
}

/// Says that the gateway uses a bus.
pub(super) fn refuse_used(bus: &BusId) -> io::Result<ExitCode> {
    let text = say(
        format!("网关正在运行并使用总线“{bus}”：先停止网关（systemctl stop schoolgate），或换一个端口"),
        format!(
            "the gateway runs and uses the bus '{bus}': stop it first (systemctl stop schoolgate), or use another port"
        ),
    );
    writeln!(io::stderr(), "schoolgate: {text}")?;
    Ok(ExitCode::from(EXIT_UNAVAILABLE))
}

/// A part of the wiring a person named: a device, or a bus, or an address on a bus (`BUS/ADDRESS`).
pub(super) struct Target<'c> {
    pub(super) bus: &'c Bus,
    pub(super) device: Option<&'c Device>,
    /// A Modbus unit without a device in the configuration.
    pub(super) unit: Option<u8>,
}

/// Finds what a person named; a name that is wrong is told, and gives an exit code.
pub(super) fn target<'c>(config: &'c Config, name: &str) -> io::Result<Result<Target<'c>, ExitCode>> {
    find(config, name).map_or_else(|wrong| refuse(&wrong).map(Err), |target| Ok(Ok(target)))
}

/// Says that the command line is wrong.
pub(super) fn refuse(wrong: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "schoolgate: {wrong}")?;
    Ok(ExitCode::from(EXIT_USAGE))
}

fn find<'c>(config: &'c Config, name: &str) -> Result<Target<'c>, String> {
    if let Some(device) = config.devices.values().find(|device| device.id.as_str() == name) {
        let bus = config.buses.iter().find(|bus| bus.id == device.bus);
        let bus = bus.ok_or_else(|| format!("{}: bus '{}'", device.id, device.bus))?;
        return Ok(Target { bus, device: Some(device), unit: None });
    }
    let (bus, unit) = name.split_once('/').map_or((name, None), |(bus, unit)| (bus, Some(unit)));
    let Some(bus) = config.buses.iter().find(|known| known.id.as_str() == bus) else {
        let mut known: Vec<&str> = config.devices.keys().map(|id| id.as_str()).collect();
        known.extend(config.buses.iter().map(|bus| bus.id.as_str()));
        let known = known.join(", ");
        return Err(say(
            format!("配置中没有设备或总线“{name}”；已有：{known}"),
            format!("the configuration has no device or bus '{name}'; it has: {known}"),
        ));
    };
    let unit = match unit {
        None => None,
        Some(unit) => Some(unit.parse().ok().filter(|unit| (1..=247).contains(unit)).ok_or_else(|| {
            say(
                format!("“{name}”：斜杠后应为 Modbus 从站地址 1 到 247"),
                format!("'{name}': behind the slash stands a Modbus unit id, 1 to 247"),
            )
        })?),
    };
    Ok(Target { bus, device: None, unit })
}
