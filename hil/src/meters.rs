//! Modbus TCP meters: Eastron SDM630 and Acrel ADL400 register maps, with values that move as a school's do.

use crate::chance::Chance;
use crate::moment;
use crate::tasks::{Tasks, listen};
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio_modbus::prelude::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};

/// Registers served by every meter: 0 up to here.
const REGISTERS: usize = 0x0200;
/// Most registers in one read (Modbus application protocol 1.1b3, 6.3).
const MAX_READ: u16 = 125;

/// Whose register map a meter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// Eastron SDM630: input registers (function 4), 32-bit floats, high word first.
    EastronSdm630,
    /// Acrel ADL400: holding registers (function 3), scaled integers.
    AcrelAdl400,
}

/// What a meter measures at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Phase voltages in V.
    pub volts: [f64; 3],
    /// Phase currents in A.
    pub amps: [f64; 3],
    /// Phase powers in W.
    pub watts: [f64; 3],
    /// Frequency in Hz.
    pub hertz: f64,
    /// Energy taken in kWh.
    pub import_kwh: f64,
    /// Energy given back in kWh.
    pub export_kwh: f64,
}

impl Measured {
    /// Total power in W.
    #[must_use]
    pub fn total_watts(&self) -> f64 {
        self.watts.iter().sum()
    }
}

/// One meter: the load behind it and the energy it has counted.
#[derive(Debug)]
struct Meter {
    make: Make,
    chance: Chance,
    day_watts: f64,
    night_watts: f64,
    import_kwh: f64,
    last: Measured,
    seen: Instant,
}

impl Meter {
    fn new(make: Make, number: u64) -> Self {
        let mut chance = Chance::seeded(number);
        let day_watts = chance.between(2_000.0, 9_000.0);
        // Every fifth room leaves something on at night: that is what the rules look for.
        let night_watts = if number.is_multiple_of(5) { day_watts * 0.6 } else { day_watts * 0.04 };
        let import_kwh = chance.between(1_000.0, 60_000.0);
        let last = Measured {
            volts: [230.0; 3],
            amps: [0.0; 3],
            watts: [0.0; 3],
            hertz: 50.0,
            import_kwh,
            export_kwh: 0.0,
        };
        Self { make, chance, day_watts, night_watts, import_kwh, last, seen: Instant::now() }
    }

    /// Measures now; energy grows by the power since the last look.
    fn measure(&mut self) -> Measured {
        let hours = self.seen.elapsed().as_secs_f64() / 3_600.0;
        self.seen = Instant::now();
        self.import_kwh += self.last.total_watts() * hours / 1_000.0;
        let load = if (7..18).contains(&moment::china().hour()) { self.day_watts } else { self.night_watts };
        let mut now = self.last;
        now.import_kwh = self.import_kwh;
        now.hertz = self.chance.between(49.95, 50.05);
        for phase in 0..3 {
            now.volts[phase] = self.chance.between(226.0, 234.0);
            now.watts[phase] = load / 3.0 * self.chance.between(0.9, 1.1);
            now.amps[phase] = now.watts[phase] / (now.volts[phase] * 0.95);
        }
        self.last = now;
        now
    }

    fn read(&mut self, function: u8, address: u16, count: u16) -> Result<Vec<u16>, ExceptionCode> {
        let served = match self.make {
            Make::EastronSdm630 => 4,
            Make::AcrelAdl400 => 3,
        };
        if function != served {
            return Err(ExceptionCode::IllegalFunction);
        }
        if count == 0 || count > MAX_READ {
            return Err(ExceptionCode::IllegalDataValue);
        }
        let start = usize::from(address);
        let registers = match self.make {
            Make::EastronSdm630 => sdm630(&self.measure()),
            Make::AcrelAdl400 => adl400(&self.measure()),
        };
        registers
            .get(start..start + usize::from(count))
            .map(<[u16]>::to_vec)
            .ok_or(ExceptionCode::IllegalDataAddress)
    }
}

/// The SDM630's input registers.
#[must_use]
pub fn sdm630(now: &Measured) -> Vec<u16> {
    let mut registers = vec![0; REGISTERS];
    let mut put = |address: usize, value: f64| {
        let bits = (value as f32).to_bits();
        registers[address] = (bits >> 16) as u16;
        registers[address + 1] = bits as u16;
    };
    for phase in 0..3 {
        put(2 * phase, now.volts[phase]);
        put(0x06 + 2 * phase, now.amps[phase]);
        put(0x0c + 2 * phase, now.watts[phase]);
        put(0x12 + 2 * phase, now.watts[phase] / 0.95);
        put(0x18 + 2 * phase, now.watts[phase] * 0.3287);
        put(0x1e + 2 * phase, 0.95);
        put(0x15a + 2 * phase, now.import_kwh / 3.0);
        put(0x160 + 2 * phase, now.export_kwh / 3.0);
        put(0x166 + 2 * phase, (now.import_kwh + now.export_kwh) / 3.0);
    }
    put(0x34, now.total_watts());
    put(0x38, now.total_watts() / 0.95);
    put(0x3c, now.total_watts() * 0.3287);
    put(0x3e, 0.95);
    put(0x46, now.hertz);
    put(0x48, now.import_kwh);
    put(0x4a, now.export_kwh);
    put(0x156, now.import_kwh + now.export_kwh);
    registers
}

/// The ADL400's holding registers; direct connection, so PT and CT are 1.
#[must_use]
pub fn adl400(now: &Measured) -> Vec<u16> {
    let mut registers = vec![0; REGISTERS];
    let mut put16 = |address: usize, value: f64| registers[address] = value.round() as u16;
    for phase in 0..3 {
        put16(0x61 + phase, now.volts[phase] * 10.0);
        put16(0x64 + phase, now.amps[phase] * 100.0);
        put16(0x17c + phase, 950.0);
    }
    put16(0x77, now.hertz * 100.0);
    put16(0x17f, 950.0);
    put16(0x8d, 1.0);
    put16(0x8e, 1.0);
    let mut put32 = |address: usize, value: f64| {
        let bits = value.round() as i32 as u32;
        registers[address] = (bits >> 16) as u16;
        registers[address + 1] = bits as u16;
    };
    put32(0x00, (now.import_kwh + now.export_kwh) * 100.0);
    put32(0x0a, now.import_kwh * 100.0);
    put32(0x14, now.export_kwh * 100.0);
    for phase in 0..3 {
        put32(0x164 + 2 * phase, now.watts[phase]);
        put32(0x16c + 2 * phase, now.watts[phase] * 0.3287);
        put32(0x174 + 2 * phase, now.watts[phase] / 0.95);
        put32(0x87 + 2 * phase, now.import_kwh * 100.0 / 3.0);
    }
    put32(0x16a, now.total_watts());
    put32(0x172, now.total_watts() * 0.3287);
    put32(0x17a, now.total_watts() / 0.95);
    registers
}

#[derive(Debug)]
struct Units {
    meters: Vec<Mutex<Meter>>,
    served: AtomicU64,
}

impl Service for Units {
    type Request = SlaveRequest<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, asked: Self::Request) -> Self::Future {
        // A unit that is not there stays silent, as on a real line.
        let Some(meter) = usize::from(asked.slave).checked_sub(1).and_then(|index| self.meters.get(index))
        else {
            return ready(Ok(None));
        };
        let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match asked.request {
            Request::ReadInputRegisters(address, count) => {
                meter.read(4, address, count).map(Response::ReadInputRegisters)
            }
            Request::ReadHoldingRegisters(address, count) => {
                meter.read(3, address, count).map(Response::ReadHoldingRegisters)
            }
            _ => Err(ExceptionCode::IllegalFunction),
        };
        if answer.is_ok() {
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        ready(answer.map(Some))
    }
}

/// A Modbus TCP endpoint with several meters behind it, as units 1, 2, 3…
#[derive(Debug)]
pub struct Meters {
    address: SocketAddr,
    units: Arc<Units>,
    _tasks: Tasks,
}

impl Meters {
    /// Starts `count` meters on 127.0.0.1:`port` (0: the system chooses). `seed` makes one endpoint's loads differ
    /// from another's.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, make: Make, count: u8, seed: u64) -> io::Result<Self> {
        let (listener, address) = listen(port).await?;
        let meters =
            (0..u64::from(count)).map(|unit| Mutex::new(Meter::new(make, seed * 100 + unit + 1))).collect();
        let units = Arc::new(Units { meters, served: AtomicU64::new(0) });
        let served = Arc::clone(&units);
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            let on_connected = |stream, from| {
                let units = Arc::clone(&served);
                async move { accept_tcp_connection(stream, from, move |_| Ok(Some(Arc::clone(&units)))) }
            };
            if let Err(error) = Server::new(listener).serve(&on_connected, |_| ()).await {
                eprintln!("simulated meters: {error}");
            }
        });
        Ok(Self { address, units, _tasks: tasks })
    }

    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads answered with values so far.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.units.served.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_modbus::client::{Reader, tcp};
    use tokio_modbus::prelude::Slave;

    fn float(words: &[u16]) -> f32 {
        f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]))
    }

    #[tokio::test]
    async fn an_independent_client_reads_both_makes() {
        let eastron = Meters::start(0, Make::EastronSdm630, 10, 1).await.unwrap();
        let mut client = tcp::connect_slave(eastron.address(), Slave(10)).await.unwrap();
        let volts = float(&client.read_input_registers(0, 2).await.unwrap().unwrap());
        assert!((220.0..240.0).contains(&volts), "{volts} V");
        let total = float(&client.read_input_registers(0x34, 2).await.unwrap().unwrap());
        assert!(total > 0.0, "{total} W");
        let before = float(&client.read_input_registers(0x48, 2).await.unwrap().unwrap());
        let after = float(&client.read_input_registers(0x48, 2).await.unwrap().unwrap());
        assert!(after >= before && before > 0.0, "{before} kWh, then {after} kWh");

        let acrel = Meters::start(0, Make::AcrelAdl400, 2, 2).await.unwrap();
        let mut client = tcp::connect_slave(acrel.address(), Slave(1)).await.unwrap();
        let volts = client.read_holding_registers(0x61, 3).await.unwrap().unwrap();
        assert!(volts.iter().all(|decivolts| (2_200..2_400).contains(decivolts)), "{volts:?}");
        assert_eq!(acrel.served(), 1);
        let wrong = client.read_input_registers(0, 2).await.unwrap();
        assert_eq!(wrong, Err(ExceptionCode::IllegalFunction));
        let beyond = client.read_holding_registers(0x01ff, 2).await.unwrap();
        assert_eq!(beyond, Err(ExceptionCode::IllegalDataAddress));
    }

    #[test]
    fn registers_follow_the_makers_maps() {
        let now = Measured {
            volts: [220.1; 3],
            amps: [5.02; 3],
            watts: [400.0, 300.0, 300.0],
            hertz: 50.0,
            import_kwh: 1234.56,
            export_kwh: 0.0,
        };
        let eastron = sdm630(&now);
        assert_eq!(eastron[0..2], [0x435c, 0x199a]);
        assert_eq!(eastron[6..8], [0x40a0, 0xa3d7]);
        assert_eq!(eastron[0x48..0x4a], [0x449a, 0x51ec]);
        let acrel = adl400(&now);
        assert_eq!(acrel[0..2], [0x0001, 0xe240]);
        assert_eq!((acrel[0x61], acrel[0x64], acrel[0x77]), (2201, 502, 5000));
        assert_eq!(acrel[0x16a..0x16c], [0, 1000]);
    }
}
