//! `schoolgate capture` and `schoolgate replay`: keep what goes over a bus, and serve it elsewhere.

use super::probe::{Range, Table, range, registers};
use super::profile::text_of;
use super::progress::{Progress, left};
use super::wired::{Target, block_on, gateway_runs, open, refuse, refuse_used, target, unless_stopped};
use super::words::{say, tell};
use super::{At, EXIT_UNAVAILABLE, EXIT_USAGE, complain, configured};
use crate::config::{BusKind, Config, Device};
use crate::document::Problems;
use crate::profile::Protocol;
use crate::runtime::Clock;
use crate::runtime::SystemClock;
use crate::southbound::polled::{Ask, Channel, Frame, ReadError, Station, plan};
use crate::southbound::survey::capture::{self as file, Kind, MAX_CAPTURE_BYTES};
use crate::southbound::survey::{self, replay};
use clap::Args;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Frames kept of one exchange.
const MAX_FRAMES: usize = 1024;
/// Registers asked for at once in a device that is not known: few, so that a hole costs little.
const AT_ONCE: u16 = 10;
/// So many requests in a row without an answer end the walk over a table.
const MOST_SILENT: u32 = 5;
/// Shortest time for a round of questions, so that a device that refuses everything is not stormed.
const ROUND: Duration = Duration::from_secs(1);
/// Bytes with less silence between them are one frame, when only listening.
const SILENCE: Duration = Duration::from_millis(5);
/// Longest frame when only listening.
const MAX_HEARD: usize = 1024;

/// Record what goes over a bus, one frame per line.
#[derive(Debug, Args)]
pub(super) struct Capture {
    #[command(flatten)]
    at: At,
    /// A device or bus of the configuration, or BUS/UNIT for a Modbus unit that is not in it
    #[arg(value_name = "DEVICE|BUS")]
    target: String,
    /// For how long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    secs: u64,
    /// The file to write; must not exist
    #[arg(long, value_name = "FILE")]
    write: PathBuf,
    /// Of BUS/UNIT: which registers to walk over
    #[arg(long, value_name = "FROM-TO", default_value = "0-199", value_parser = range)]
    registers: Range,
    /// Of BUS/UNIT: which table, otherwise both
    #[arg(long, value_enum)]
    table: Option<Table>,
    /// Ask nothing, only listen to what others say on a serial line
    #[arg(long)]
    listen: bool,
}

/// Serve a capture as if the device were here.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The capture
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to serve it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5020")]
    listen: SocketAddr,
}

/// Reads a capture; what is wrong is printed.
pub(super) fn read(path: &Path, out: &mut impl Write) -> io::Result<Result<file::Capture, ExitCode>> {
    let text = match text_of(path, MAX_CAPTURE_BYTES) {
        Ok(text) => text,
        Err(error) => {
            writeln!(io::stderr(), "schoolgate: {}", path.display())?;
            return Ok(Err(complain(&error, EXIT_USAGE)?));
        }
    };
    let problems = Problems::new();
    match file::parse(&path.display().to_string(), &text, &problems) {
        Some(capture) => Ok(Ok(capture)),
        None => {
            tell(&problems.into_sorted(), out)?;
            Ok(Err(ExitCode::from(EXIT_USAGE)))
        }
    }
}

impl Capture {
    /// Exits with 0 when something came, 64 when the command line or the configuration is wrong, 69 when nothing came or
    /// the gateway uses the bus.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let target = match target(&config, &self.target)? {
            Ok(target) => target,
            Err(code) => return Ok(code),
        };
        let kind = match (&target.bus.kind, self.listen) {
            (BusKind::Serial(settings), _) => Kind::Serial(settings.baud),
            (BusKind::ModbusTcp(_), false) => Kind::ModbusTcp,
            (BusKind::ModbusTcp(_), true) => {
                let zh = "--listen 只用于串行总线";
                return refuse(&say(zh, "--listen is for serial lines"));
            }
            _ => {
                let zh = "只能记录 modbus-tcp 和 serial 总线";
                return refuse(&say(zh, "only modbus-tcp and serial buses can be recorded"));
            }
        };
        if gateway_runs(config.http) {
            return refuse_used(&target.bus.id);
        }
        let mut record = match Record::create(&self.write, kind) {
            Ok(record) => record,
            Err(error) => {
                writeln!(io::stderr(), "schoolgate: {}", self.write.display())?;
                return complain(&error, EXIT_USAGE);
            }
        };
        let mut outcome = Ok(());
        block_on(unless_stopped(async { outcome = self.record(&mut record, &config, &target).await }))?;
        record.file.flush()?;
        let (name, sent, came) = (self.write.display(), record.sent, record.came);
        let zh = format!("已写入 {name}：发出 {sent} 帧，收到 {came} 段");
        writeln!(out, "{}", say(zh, format!("wrote {name}: {sent} frames sent, {came} received")))?;
        match outcome {
            Err(CaptureError::Bus(error)) => complain(&error, EXIT_UNAVAILABLE),
            Err(CaptureError::File(error)) => Err(error),
            Ok(()) if record.came == 0 => Ok(ExitCode::from(EXIT_UNAVAILABLE)),
            Ok(()) => Ok(ExitCode::SUCCESS),
        }
    }

    async fn record(
        &self,
        record: &mut Record,
        config: &Config,
        target: &Target<'_>,
    ) -> Result<(), CaptureError> {
        let until = Instant::now() + Duration::from_secs(self.secs);
        let devices: Vec<&Device> = match (target.device, target.unit) {
            (Some(device), _) => vec![device],
            (None, Some(_)) => Vec::new(),
            (None, None) => config.devices.values().filter(|device| device.bus == target.bus.id).collect(),
        };
        if let (BusKind::Serial(settings), true) =
            (&target.bus.kind, self.listen || (devices.is_empty() && target.unit.is_none()))
        {
            let mut wire = survey::open(settings).await?;
            return record.listen(&mut *wire, until).await;
        }
        let mut channel = open(target.bus).await?;
        let (tap, frames) = mpsc::channel(MAX_FRAMES);
        channel.set_tap(Some(tap));
        let mut recording =
            Recording { record, channel: &mut *channel, frames, until, progress: Progress::new() };
        match target.unit {
            Some(unit) => recording.walk(unit, self.registers, self.table).await,
            None => recording.poll(&devices).await,
        }
    }
}

/// Why recording ended early.
#[derive(Debug, thiserror::Error)]
enum CaptureError {
    #[error("the bus cannot be read")]
    Bus(#[from] ReadError),
    #[error("the capture cannot be written")]
    File(#[from] io::Error),
}

/// The file, and how much is in it.
struct Record {
    file: BufWriter<File>,
    bytes: usize,
    sent: u64,
    came: u64,
}

impl Record {
    fn create(path: &Path, kind: Kind) -> io::Result<Self> {
        let mut file = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path)?);
        let now = SystemClock::new().now().wall;
        let head = file::head(kind, &[format!("schoolgate {}, {now}", env!("CARGO_PKG_VERSION"))]);
        file.write_all(head.as_bytes())?;
        Ok(Self { file, bytes: head.len(), sent: 0, came: 0 })
    }

    fn add(&mut self, frame: &Frame) -> io::Result<()> {
        let line = file::line(frame, 0);
        self.bytes += line.len() + 1;
        if frame.sent {
            self.sent += 1;
        } else {
            self.came += 1;
        }
        writeln!(self.file, "{line}")
    }

    fn is_full(&self) -> bool {
        self.bytes + 4 * MAX_HEARD >= MAX_CAPTURE_BYTES
    }

    /// Listens to what others say.
    async fn listen(
        &mut self,
        wire: &mut dyn crate::southbound::serial::line::Wire,
        until: Instant,
    ) -> Result<(), CaptureError> {
        let began = Instant::now();
        let mut held: Vec<u8> = Vec::new();
        let mut at_ms = 0;
        let mut bytes = [0; 256];
        loop {
            let wait = if held.is_empty() { until } else { until.min(Instant::now() + SILENCE) };
            match timeout_at(wait, wire.read(&mut bytes)).await {
                Ok(read) => {
                    let n = read?;
                    if n == 0 {
                        return Err(ReadError::Closed.into());
                    }
                    if held.is_empty() {
                        at_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    }
                    held.extend(bytes.iter().take(n));
                    if held.len() < MAX_HEARD {
                        continue;
                    }
                }
                Err(_) if held.is_empty() => return Ok(()),
                Err(_) => {}
            }
            self.add(&Frame { at_ms, sent: false, bytes: std::mem::take(&mut held) })?;
            if self.is_full() {
                return Ok(());
            }
        }
    }
}

/// Recording what is asked and answered.
struct Recording<'r> {
    record: &'r mut Record,
    channel: &'r mut dyn Channel,
    frames: mpsc::Receiver<Frame>,
    until: Instant,
    progress: Progress,
}

impl Recording<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.record.is_full()
    }

    /// One request, recorded.
    async fn ask(&mut self, station: Station, ask: &Ask) -> Result<Answer, CaptureError> {
        let said = self.channel.ask(station, ask).await;
        // What came in pieces is one frame: pieces are joined until something is sent.
        let mut came: Option<Frame> = None;
        while let Ok(frame) = self.frames.try_recv() {
            match &mut came {
                Some(held) if !frame.sent => held.bytes.extend(frame.bytes),
                _ if frame.sent => {
                    came.take().map_or(Ok(()), |held| self.record.add(&held))?;
                    self.record.add(&frame)?;
                }
                _ => came = Some(frame),
            }
        }
        came.map_or(Ok(()), |held| self.record.add(&held))?;
        let left = left(self.until.saturating_duration_since(Instant::now()));
        let (sent, came) = (self.record.sent, self.record.came);
        self.progress.at(|| {
            say(format!("发出 {sent}，收到 {came}，{left}"), format!("{sent} sent, {came} received, {left}"))
        });
        match said {
            Ok(_) => Ok(Answer::Read),
            Err(ReadError::Refused(_)) => Ok(Answer::Refused),
            Err(error @ ReadError::Connect { .. }) => Err(error.into()),
            Err(_) => Ok(Answer::Silent),
        }
    }

    /// Asks devices for what their profiles say, again and again.
    async fn poll(&mut self, devices: &[&Device]) -> Result<(), CaptureError> {
        while !self.is_over() {
            let begin = Instant::now();
            for device in devices {
                let Some(station) = Station::of(device) else { continue };
                let profile = &device.profile;
                let asks: Vec<Ask> = if profile.protocol == Protocol::Modbus {
                    plan(&profile.registers(), &profile.modbus_limits())
                        .into_iter()
                        .map(Ask::Registers)
                        .collect()
                } else {
                    profile.identifiers().into_iter().map(Ask::Quantity).collect()
                };
                for ask in asks {
                    if self.is_over() {
                        return Ok(());
                    }
                    self.ask(station, &ask).await?;
                }
            }
            tokio::time::sleep_until((begin + ROUND).min(self.until)).await;
        }
        Ok(())
    }

    /// Walks over the registers of a unit that is not known, again and again; what does not answer is asked once.
    async fn walk(&mut self, unit: u8, range: Range, table: Option<Table>) -> Result<(), CaptureError> {
        let station = Station::Unit(unit);
        self.ask(station, &Ask::Identify).await?;
        let tables = table.map_or(vec![Table::Holding, Table::Input], |table| vec![table]);
        let mut holes: BTreeSet<(usize, u16)> = BTreeSet::new();
        while !self.is_over() {
            let begin = Instant::now();
            for (which, table) in tables.iter().enumerate() {
                let (mut at, mut silent) = (u32::from(range.from), 0);
                while let Ok(address) = u16::try_from(at)
                    && address <= range.to
                    && silent < MOST_SILENT
                    && !self.is_over()
                {
                    let words = AT_ONCE.min((range.to - address).saturating_add(1));
                    at += u32::from(words);
                    if !holes.contains(&(which, address)) {
                        let answer = self.piece(station, *table, address, words).await?;
                        silent = if matches!(answer, Answer::Silent) { silent + 1 } else { 0 };
                        if !matches!(answer, Answer::Read) {
                            holes.insert((which, address));
                        }
                    }
                }
            }
            tokio::time::sleep_until((begin + ROUND).min(self.until)).await;
        }
        Ok(())
    }

    /// A piece of a table, and its halves where it is refused as a whole, down to single registers.
    async fn piece(
        &mut self,
        station: Station,
        table: Table,
        address: u16,
        words: u16,
    ) -> Result<Answer, CaptureError> {
        let (mut answer, mut pieces) = (Answer::Silent, vec![(address, words)]);
        while let Some((address, words)) = pieces.pop() {
            let one = self.ask(station, &registers(table.wire(), address, words)).await?;
            if matches!(one, Answer::Refused) && words > 1 {
                // Pairs stay together: some meters refuse half a number.
                let half = if words > 2 { (words / 2).next_multiple_of(2) } else { 1 };
                pieces.push((address.saturating_add(half), words - half));
                pieces.push((address, half));
            }
            answer = answer.max(one);
            if self.is_over() {
                break;
            }
        }
        Ok(answer)
    }
}

/// What came of a request, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Silent,
    Refused,
    Read,
}

impl Replay {
    /// Exits with 0 after Ctrl-C, 64 when the capture is wrong, 69 when the address cannot be served.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let capture = match read(&self.file, out)? {
            Ok(capture) => capture,
            Err(code) => return Ok(code),
        };
        let Some(replay) = replay::Replay::new(&capture) else {
            let zh = "这份记录里没有任何应答";
            writeln!(io::stderr(), "schoolgate: {}", say(zh, "nothing answers anything in this capture"))?;
            return Ok(ExitCode::from(EXIT_USAGE));
        };
        let mut outcome = Ok(ExitCode::SUCCESS);
        block_on(unless_stopped(async { outcome = self.serve(replay, out).await }))?;
        outcome
    }

    async fn serve(&self, replay: replay::Replay, out: &mut impl Write) -> io::Result<ExitCode> {
        let listener = match tokio::net::TcpListener::bind(self.listen).await {
            Ok(listener) => listener,
            Err(error) => {
                writeln!(io::stderr(), "schoolgate: {}", self.listen)?;
                return complain(&error, EXIT_UNAVAILABLE);
            }
        };
        let at = listener.local_addr()?;
        let units: Vec<String> = replay.units().map(|unit| unit.to_string()).collect();
        let units = if units.is_empty() { "-".to_owned() } else { units.join(", ") };
        let (host, port) = (at.ip(), at.port());
        let bus = match replay.kind() {
            Kind::ModbusTcp => format!("kind = \"modbus-tcp\"\nhost = \"{host}\"\nport = {port}"),
            Kind::Serial(baud) => {
                format!("kind = \"serial\"\nhost = \"{host}\"\nport = {port}\nbaud = {baud}")
            }
        };
        let zh = format!("回放中（Modbus 从站：{units}），Ctrl-C 结束；在配置中写：");
        let en = format!("serving (Modbus units: {units}) until Ctrl-C; write in the configuration:");
        writeln!(out, "{}\n\n[[bus]]\nid = \"replay\"\n{bus}", say(zh, en))?;
        out.flush()?;
        replay::serve(replay, listener).await?;
        Ok(ExitCode::SUCCESS)
    }
}
