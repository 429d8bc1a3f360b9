//! How fast Modbus registers are read: Schoolgate's connection against the bare tokio-modbus client.

use crate::{Failure, Figure, Goal, median, spread};
use hil::meters::{Make, Meters};
use schoolgate::profile::RegisterTable;
use schoolgate::southbound::modbus::Connection;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_modbus::client::{Reader, tcp};
use tokio_modbus::prelude::{Slave, SlaveContext};

pub(crate) const FIGURES: &[&str] = &["pipe.modbus_ratio_bare", "pipe.modbus_reads_per_s"];

/// Reads of one run.
const READS: u16 = 1_000;
/// Pairs of runs that count; one more before them warms the caches.
const PAIRS: usize = 60;
/// Units behind the endpoint.
const UNITS: u8 = 10;
/// Registers of one read: voltages, currents and powers of three phases, as floats.
const REGISTERS: u16 = 18;
const TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let meters = runtime.block_on(Meters::start(0, Make::EastronSdm630, UNITS, 1))?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let ours = runtime.block_on(ours(meters.address()))?;
        let bare = runtime.block_on(bare(meters.address()))?;
        if pair > 0 {
            ratios.push(bare.as_secs_f64() / ours.as_secs_f64());
            rates.push(f64::from(READS) / ours.as_secs_f64());
        }
    }
    Ok(vec![
        Figure::new(
            "pipe.modbus_ratio_bare",
            median(&ratios),
            "ratio",
            Goal::AtLeast(0.8),
            format!(
                "the bare tokio-modbus TCP client, which has no deadline and keeps no account of late replies, with \
                 the same reads of {REGISTERS} registers of {UNITS} units from the same tokio-modbus server; {}",
                spread(&ratios)
            ),
        ),
        Figure::new(
            "pipe.modbus_reads_per_s",
            median(&rates),
            "1/s",
            Goal::Info,
            format!("one connection, one read at a time, as above; {}", spread(&rates)),
        ),
    ])
}

fn unit(read: u16) -> u8 {
    u8::try_from(read % u16::from(UNITS)).map_or(1, |unit| unit + 1)
}

async fn ours(address: SocketAddr) -> Result<Duration, Failure> {
    let mut connection = Connection::connect(&address.ip().to_string(), address.port(), TIMEOUT).await?;
    let begun = Instant::now();
    for read in 0..READS {
        let words = connection.read(unit(read), RegisterTable::Input, 0, REGISTERS).await?;
        whole(&words)?;
    }
    Ok(begun.elapsed())
}

async fn bare(address: SocketAddr) -> Result<Duration, Failure> {
    let mut client = tcp::connect_slave(address, Slave(1)).await?;
    let begun = Instant::now();
    for read in 0..READS {
        client.set_slave(Slave(unit(read)));
        let words = client.read_input_registers(0, REGISTERS).await??;
        whole(&words)?;
    }
    Ok(begun.elapsed())
}

fn whole(words: &[u16]) -> Result<(), Failure> {
    if words.len() == usize::from(REGISTERS) { Ok(()) } else { Err("a short reply".into()) }
}
