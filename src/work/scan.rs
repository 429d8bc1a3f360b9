//! The scan itself: settings of a line one after another, or the hosts of a network; and a look at whatever answers.

use super::wire::{ANSWER_WITHIN, endpoint, place_of};
use super::{Teller, Told, left};
use crate::config::{BusKind, Parity, Serial, SerialPlace};
use crate::model::{ProfileId, Text};
use crate::profile::{Profile, RegisterSpan, RegisterTable};
use crate::runtime::Chain;
use crate::southbound::polled::{Ask, Block, Channel, Exception, ReadError, Said, Station};
use crate::southbound::serial::codec::Refusal;
use crate::southbound::serial::line::Wire;
use crate::southbound::survey::likely::{self, Match};
use crate::southbound::survey::network::{self, Network};
use crate::southbound::survey::plates::{self, Called, Plate};
use crate::southbound::survey::{self, Sweep};
use crate::southbound::{modbus, serial};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Unit ids that nobody sets, to see whether a device answers to every id.
const UNLIKELY_IDS: [u8; 2] = [231, 246];

/// Why a scan could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The line or connection could not be opened.
    #[error("nothing can be scanned")]
    Open(#[from] ReadError),
    /// The line broke.
    #[error("the line broke")]
    Broke(#[from] io::Error),
}

/// One line at one setting, or one endpoint, and who is there.
#[derive(Debug)]
pub struct Finding {
    /// How it is reached.
    pub bus: BusKind,
    /// Who answered, in order of address.
    pub devices: Vec<Found>,
    /// What else was noticed.
    pub remarks: Vec<Text>,
}

/// One device.
#[derive(Debug)]
pub struct Found {
    /// Its address.
    pub station: Station,
    /// What it says of itself: vendor, product, revision.
    pub identity: Vec<String>,
    /// The profiles it looks like, best first.
    pub matches: Vec<Match>,
    /// Whether it was compared with the profiles.
    pub looked_at: bool,
}

/// A scan; what was found stands here also when it is cut off.
pub struct Scan<'p> {
    profiles: &'p [Arc<Profile>],
    /// Endpoints that the running gateway uses.
    left_alone: BTreeSet<String>,
    findings: Vec<Finding>,
    progress: Teller<'p>,
    /// The sweep under way.
    sweep: Option<Sweep>,
    /// Hosts that took a connection and were not asked yet.
    open: Vec<SocketAddr>,
}

impl<'p> Scan<'p> {
    /// Compares whoever answers with these profiles, and says how far it is.
    pub fn new(profiles: &'p [Arc<Profile>], left_alone: BTreeSet<String>, progress: Teller<'p>) -> Self {
        Self { profiles, left_alone, findings: Vec::new(), progress, sweep: None, open: Vec::new() }
    }

    /// Everything that was found, also by what was cut off.
    #[must_use]
    pub fn finish(mut self) -> Vec<Finding> {
        self.keep_sweep();
        for address in std::mem::take(&mut self.open) {
            let bus = endpoint(address.ip().to_string(), address.port());
            let name = place_of(&bus);
            let remark = Text::new(
                format!("{name}：可以连接，还没有查询"),
                format!("{name}: takes connections, was not asked yet"),
            );
            self.findings.push(Finding { bus, devices: Vec::new(), remarks: vec![remark] });
        }
        self.findings
    }

    /// Whatever a sweep heard becomes part of the finding.
    fn keep_sweep(&mut self) {
        let (Some(sweep), Some(finding)) = (self.sweep.take(), self.findings.last_mut()) else { return };
        let BusKind::Serial(setting) = &finding.bus else { return };
        finding.remarks.extend(remarks(&name_of(setting), &sweep));
        finding.devices.extend(sweep.answers.keys().map(|unit| Found::at(Station::Unit(*unit))));
    }

    /// Tries the settings of a line.
    ///
    /// # Errors
    /// When the line cannot be opened or breaks; what was found by then is kept.
    pub async fn serial(&mut self, settings: &[Serial], ids: &[u8], patient: bool) -> Result<(), ScanError> {
        for (i, setting) in settings.iter().enumerate() {
            let later = settings.iter().skip(i + 1).map(|s| estimate(s, settings, ids)).sum();
            self.line(setting, has_meters(setting, settings), ids, patient, later).await?;
        }
        Ok(())
    }

    /// One setting of a line.
    async fn line(
        &mut self,
        setting: &Serial,
        meters: bool,
        ids: &[u8],
        patient: bool,
        later: Duration,
    ) -> Result<(), ScanError> {
        let name = name_of(setting);
        let mut wire = match survey::open(setting).await {
            Ok(wire) => wire,
            Err(error) if is_final(&error) => return Err(error.into()),
            Err(error) => {
                let error = Chain(&error);
                (self.progress)(Told::Stays(Text::new(
                    format!("{name}：端口不支持此设置：{error}"),
                    format!("{name}: the port does not take this setting: {error}"),
                )));
                return Ok(());
            }
        };
        self.findings.push(Finding {
            bus: BusKind::Serial(setting.clone()),
            devices: Vec::new(),
            remarks: Vec::new(),
        });
        let (sweep, progress) = (self.sweep.insert(sweep_of(setting)), &mut self.progress);
        let plated = if meters { plates::estimate(setting.baud) } else { Duration::ZERO };
        let mut told = |step: survey::Step| {
            let survey::Step { asked, of, answered, .. } = step;
            let left = left(step.left + plated + later);
            let words = Text::new(
                format!("{name}：地址 {asked}/{of}，已应答 {answered}，{}", left.zh),
                format!("{name}: id {asked} of {of}, {answered} answered, {}", left.en),
            );
            progress(Told::at(asked, of, words));
        };
        let swept = match sweep.quick(&mut *wire, ids, &mut told).await {
            Ok(()) if patient => sweep.patient(&mut *wire, Some(ids), &mut told).await,
            Ok(()) if sweep.doubts() > 0 && !sweep.is_only_noise() => {
                sweep.patient(&mut *wire, None, &mut told).await
            }
            other => other,
        };
        self.keep_sweep();
        swept?;
        let called = if meters { call_meters(&mut *wire, setting.baud).await?.to_vec() } else { Vec::new() };
        drop(wire);
        let Some(finding) = self.findings.last_mut() else { return Ok(()) };
        for (standard, called) in called {
            match called {
                Called::Nobody => {}
                Called::One(Plate::Electricity(address)) => finding.devices.push(Found::at(Station::Meter(address))),
                Called::One(Plate::Flow(kind, address)) => finding.devices.push(Found::at(Station::Flow(kind, address))),
                Called::Garbled => finding.remarks.push(Text::new(
                    format!("{name}：{standard} 地址查询收到乱码：可能有多块表同时应答，请按铭牌填写表号"),
                    format!(
                        "{name}: the call for a {standard} address was answered with bytes that make no sense: several \
                         meters at once, perhaps; take their addresses from their plates"
                    ),
                )),
            }
        }
        if finding.devices.is_empty() {
            return Ok(());
        }
        let mut channel = serial::open(setting.clone()).await?;
        self.look_at_all(&mut *channel, &name, later).await
    }

    /// Looks at every device of the last finding: what it says of itself, and which profiles it looks like.
    async fn look_at_all(
        &mut self,
        channel: &mut dyn Channel,
        name: &str,
        later: Duration,
    ) -> Result<(), ScanError> {
        let Some(finding) = self.findings.last_mut() else { return Ok(()) };
        let mut first: Vec<ProfileId> = Vec::new();
        let (began, of) = (Instant::now(), finding.devices.len());
        for (done, found) in finding.devices.iter_mut().enumerate() {
            let progress = &mut self.progress;
            let mut told = |compared: usize, profiles: usize| {
                let share = (done * 100 + compared * 100 / profiles.max(1)).max(1);
                let whole = began.elapsed() * u32::try_from(of * 100).unwrap_or(u32::MAX);
                let rest = (whole / u32::try_from(share).unwrap_or(1)).saturating_sub(began.elapsed());
                let (n, left) = (done + 1, left(rest + later));
                let words = Text::new(
                    format!("{name}：比对第 {n}/{of} 台设备，{}", left.zh),
                    format!("{name}: comparing device {n} of {of} with the profiles, {}", left.en),
                );
                progress(Told::at(done, of, words));
            };
            told(0, 1);
            if let Station::Unit(unit) = found.station {
                if let Ok(Said::Identity(objects)) = channel.ask(found.station, &Ask::Identify).await {
                    found.identity = objects.into_iter().map(|(_, text)| text).collect();
                }
                found.matches = likely::modbus(channel, unit, self.profiles, &first, &mut told).await?;
            } else {
                found.matches = likely::meter(channel, found.station, self.profiles).await?;
            }
            found.looked_at = true;
            if let Some(best) = found.matches.first() {
                first.retain(|id| *id != best.profile.id);
                first.insert(0, best.profile.id.clone());
                first.truncate(4);
            }
        }
        Ok(())
    }

    /// Tries the hosts of a network, and the units behind those that take a connection.
    ///
    /// # Errors
    /// None that ends the scan of the others.
    pub async fn network(&mut self, network: Network, port: u16, ids: &[u8]) -> Result<(), ScanError> {
        let (progress, began, whole) = (&mut self.progress, Instant::now(), network.estimate());
        network::scan(network, port, &mut self.open, &mut |tried, of| {
            let left = left(whole.saturating_sub(began.elapsed()));
            let (zh, en) =
                (format!("主机 {tried}/{of}，{}", left.zh), format!("host {tried} of {of}, {}", left.en));
            progress(Told::at(tried, of, Text::new(zh, en)));
        })
        .await;
        self.open.reverse();
        while let Some(address) = self.open.pop() {
            if let Err(error) = self.endpoint(address, ids).await {
                // One that cannot be read does not end the scan of the others.
                (self.progress)(Told::Stays(Text::same(format!("{address}: {}", Chain(&error)))));
            }
        }
        Ok(())
    }

    async fn endpoint(&mut self, address: SocketAddr, ids: &[u8]) -> Result<(), ScanError> {
        let bus = endpoint(address.ip().to_string(), address.port());
        let name = place_of(&bus);
        let mut finding = Finding { bus, devices: Vec::new(), remarks: Vec::new() };
        if self.left_alone.contains(&name) {
            finding.remarks.push(Text::new(
                format!("{name}：运行中的网关正在使用，未扫描"),
                format!("{name}: not scanned, the running gateway uses it"),
            ));
            self.findings.push(finding);
            return Ok(());
        }
        let connected =
            modbus::Connection::connect(&address.ip().to_string(), address.port(), ANSWER_WITHIN).await;
        let mut channel = match connected {
            Ok(channel) => channel,
            Err(_) => return Ok(()),
        };
        self.findings.push(finding);
        let Some(finding) = self.findings.last_mut() else { return Ok(()) };
        let mut everywhere = 0;
        for (asked, id) in ids.iter().chain(&UNLIKELY_IDS).enumerate() {
            let of = ids.len();
            let words =
                Text::new(format!("{name}：从站 {asked}/{of}"), format!("{name}: unit {asked} of {of}"));
            (self.progress)(Told::at(asked, of, words));
            match is_there(&mut channel, *id).await {
                Ok(true) if asked < ids.len() => finding.devices.push(Found::at(Station::Unit(*id))),
                Ok(there) => everywhere += usize::from(there),
                Err(ReadError::Malformed { .. } | ReadError::NoTransactionId { .. }) => {
                    finding.remarks.push(Text::new(
                        format!("{name}：端口已开放，但不是 Modbus TCP；若是串口转换器，请用 --converter {name}"),
                        format!(
                            "{name}: takes connections but does not speak Modbus TCP; if it is a converter, try \
                             --converter {name}"
                        ),
                    ));
                    break;
                }
                Err(_) => break,
            }
        }
        let everywhere = everywhere == UNLIKELY_IDS.len();
        if everywhere {
            finding.devices.truncate(1);
            finding.remarks.push(Text::new(
                format!("{name}：对任何从站地址都应答，按一台设备处理"),
                format!("{name}: answers to every unit id, so it is taken for one device"),
            ));
        }
        self.look_at_all(&mut channel, &name, Duration::ZERO).await
    }
}

impl Found {
    fn at(station: Station) -> Self {
        Self { station, identity: Vec::new(), matches: Vec::new(), looked_at: false }
    }
}

async fn call_meters(wire: &mut dyn Wire, baud: u32) -> io::Result<[(&'static str, Called); 2]> {
    let electricity = plates::electricity(wire, baud).await?;
    Ok([("DL/T 645", electricity), ("CJ/T 188", plates::flow(wire, baud).await?)])
}

/// Whether another setting of the same port would fail, too.
fn is_final(error: &ReadError) -> bool {
    let ReadError::Connect { cause, .. } = error else { return true };
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, ResourceBusy, TimedOut};
    matches!(cause.kind(), ConnectionRefused | NotFound | PermissionDenied | ResourceBusy | TimedOut)
}

/// Whether a unit is there: it answers a read with values, or with a refusal that is its own and not the converter's.
async fn is_there(channel: &mut dyn Channel, unit: u8) -> Result<bool, ReadError> {
    let span = RegisterSpan { table: RegisterTable::Holding, address: 0, words: 2, every: 1 };
    let block = Block { table: span.table, address: 0, words: 2, every: 1, points: vec![span] };
    match channel.ask(Station::Unit(unit), &Ask::Registers(block)).await {
        Ok(Said::Words(_)) => Ok(true),
        Err(ReadError::Refused(Refusal::Modbus(
            Exception::IllegalFunction | Exception::IllegalAddress | Exception::IllegalValue,
        ))) => Ok(true),
        Ok(_) | Err(ReadError::Refused(_) | ReadError::Timeout { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn sweep_of(setting: &Serial) -> Sweep {
    Sweep::new(setting.baud, matches!(setting.place, SerialPlace::Converter { .. }))
}

/// DL/T 645 and CJ/T 188 run with even parity; where a setting with it is tried, too, they are called there only.
fn has_meters(setting: &Serial, all: &[Serial]) -> bool {
    let is_even = |s: &Serial| {
        matches!(&s.place, SerialPlace::Port { parity: Parity::Even, .. } | SerialPlace::Converter { .. })
    };
    is_even(setting) || !all.iter().any(|other| other.baud == setting.baud && is_even(other))
}

/// How long a setting takes when nobody answers.
fn estimate(setting: &Serial, all: &[Serial], ids: &[u8]) -> Duration {
    let meters = if has_meters(setting, all) { plates::estimate(setting.baud) } else { Duration::ZERO };
    sweep_of(setting).estimate(ids.len()) + meters
}

/// A setting as technicians write it: `9600 8N1`.
#[must_use]
pub fn name_of(setting: &Serial) -> String {
    let baud = setting.baud;
    match &setting.place {
        SerialPlace::Port { parity, two_stop_bits, .. } => {
            let letter = match parity {
                Parity::None => 'N',
                Parity::Even => 'E',
                Parity::Odd => 'O',
            };
            format!("{baud} 8{letter}{}", if *two_stop_bits { 2 } else { 1 })
        }
        SerialPlace::Converter { host, port } => format!("{host}:{port}"),
    }
}

fn remarks(name: &str, sweep: &Sweep) -> Vec<Text> {
    let mut remarks = Vec::new();
    if sweep.others {
        remarks.push(Text::new(
            format!("{name}：扫描前线上已有通信，可能有另一台主机：先断开它"),
            format!(
                "{name}: somebody spoke before the scan did: another master, perhaps; disconnect it first"
            ),
        ));
    }
    if sweep.echo {
        remarks.push(Text::new(
            format!("{name}：读回了自己发出的请求：检查 RS-485 的 A/B 线，或关闭转换器回显"),
            format!("{name}: our own requests came back: check the RS-485 A and B wires, or turn off echo in the adapter"),
        ));
    }
    for unit in &sweep.garbled {
        remarks.push(Text::new(
            format!("{name}：地址 {unit} 有应答但无法读懂：可能两台设备地址相同，或接线、终端电阻有问题"),
            format!(
                "{name}: something answers as unit {unit}, but garbled: two devices with one id, or wiring and \
                 termination"
            ),
        ));
    }
    if sweep.is_only_noise() {
        remarks.push(Text::new(
            format!("{name}：线上只有噪声：检查 A/B 线、偏置和终端电阻"),
            format!("{name}: nothing but noise: check the A and B wires, bias and termination"),
        ));
    }
    remarks
}
