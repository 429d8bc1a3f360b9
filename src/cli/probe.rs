//! `schoolgate probe`: what a device says, byte by byte and value by value; and what its registers may mean.

use super::wired::{Target, block_on, gateway_runs, open, refuse, refuse_used, target, unless_stopped};
use super::words::{lang, say};
use super::{At, EXIT_UNAVAILABLE, configured, table};
use crate::config::{Config, Device};
use crate::model::{Body, Lang};
use crate::profile::{Decoded, Guess, RegisterSpan, RegisterTable, orders};
use crate::runtime::{Chain, Clock, SystemClock};
use crate::southbound::polled::{Ask, Block, Channel, Exception, Frame, ReadError, Said, Station};
use crate::southbound::serial::codec::Refusal;
use crate::southbound::survey::capture::hex;
use crate::work::look;
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Frames kept of one exchange.
const MAX_FRAMES: usize = 1024;
/// Most registers in one read of a range that is not known.
const AT_ONCE: u16 = 50;
/// Most registers of a range.
pub(super) const MAX_RANGE: u32 = 2000;

/// Look at what a device says: raw bytes, decoded values, word orders.
#[derive(Debug, Args)]
pub(super) struct Probe {
    #[command(flatten)]
    at: At,
    /// A device of the configuration, or BUS/UNIT for a Modbus unit that is not in it
    #[arg(value_name = "DEVICE")]
    target: String,
    /// Read these registers, such as 0-40, and show them in all word orders [otherwise: what the profile reads]
    #[arg(long, value_name = "FROM-TO", value_parser = range)]
    registers: Option<Range>,
    /// The table of the registers
    #[arg(long, value_enum, default_value_t = Table::Holding)]
    table: Table,
}

/// Registers from one to another, both with it, 0-based as on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) from: u16,
    pub(super) to: u16,
}

pub(super) fn range(text: &str) -> Result<Range, String> {
    let wrong =
        || format!("expected registers such as 0-40, from 0 to 65535 and at most {MAX_RANGE} at a time");
    let number = |text: &str| {
        let text = text.trim();
        let number = text
            .strip_prefix("0x")
            .map_or_else(|| text.parse().ok(), |hex| u16::from_str_radix(hex, 16).ok());
        number.ok_or_else(wrong)
    };
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (number(from)?, number(to)?);
    if from > to || u32::from(to - from) >= MAX_RANGE { Err(wrong()) } else { Ok(Range { from, to }) }
}

/// A table of registers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Table {
    /// Function 3
    Holding,
    /// Function 4
    Input,
}

impl Table {
    pub(super) fn wire(self) -> RegisterTable {
        match self {
            Self::Holding => RegisterTable::Holding,
            Self::Input => RegisterTable::Input,
        }
    }
}

impl Probe {
    /// Exits with 0 when the device answered, 64 when the command line or the configuration is wrong, 69 when it did not
    /// answer or the gateway uses its bus.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let target = match target(&config, &self.target)? {
            Ok(target) => target,
            Err(code) => return Ok(code),
        };
        if gateway_runs(config.http) {
            return refuse_used(&target.bus.id);
        }
        let mut outcome = Ok(ExitCode::SUCCESS);
        block_on(unless_stopped(async { outcome = self.probe(out, &config, &target).await }))?;
        outcome
    }

    async fn probe(
        &self,
        out: &mut impl Write,
        config: &Config,
        target: &Target<'_>,
    ) -> io::Result<ExitCode> {
        let mut channel = match open(target.bus).await {
            Ok(channel) => channel,
            Err(error) => return unreachable(&error),
        };
        let (tap, mut frames) = mpsc::channel(MAX_FRAMES);
        channel.set_tap(Some(tap));
        let mut looking = Looking { out, channel: &mut *channel, frames: &mut frames, answered: 0, asked: 0 };
        let unit = target.unit.map(Station::Unit).or_else(|| target.device.and_then(Station::of));
        match (unit, target.device, self.registers) {
            (Some(station @ Station::Unit(_)), _, Some(range)) => {
                looking.range(station, self.table.wire(), range).await?;
            }
            (Some(station), Some(device), None) => looking.device(config, station, device).await?,
            (Some(station), None, None) => {
                looking.range(station, self.table.wire(), Range { from: 0, to: 40 }).await?;
            }
            _ => {
                let zh = "请写设备名，或 总线/从站地址；--registers 只用于 Modbus 设备";
                let en = "name a device, or BUS/UNIT; --registers is for Modbus devices";
                return refuse(&say(zh, en));
            }
        }
        let (answered, asked) = (looking.answered, looking.asked);
        writeln!(
            out,
            "{}",
            say(
                format!("{asked} 次请求，{answered} 次应答"),
                format!("{asked} requests, {answered} answered")
            )
        )?;
        Ok(if answered > 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_UNAVAILABLE) })
    }
}

fn unreachable(error: &ReadError) -> io::Result<ExitCode> {
    super::complain(error, EXIT_UNAVAILABLE)
}

/// One look at one device.
struct Looking<'l, W> {
    out: &'l mut W,
    channel: &'l mut dyn Channel,
    frames: &'l mut mpsc::Receiver<Frame>,
    asked: u32,
    answered: u32,
}

impl<W: Write> Looking<'_, W> {
    /// One request, with the bytes of it and of what came shown.
    async fn ask(&mut self, station: Station, ask: &Ask) -> io::Result<Result<Said, ReadError>> {
        self.asked += 1;
        let said = self.channel.ask(station, ask).await;
        let mut came: Vec<u8> = Vec::new();
        while let Ok(frame) = self.frames.try_recv() {
            if frame.sent {
                self.show_came(&mut came)?;
                writeln!(self.out, "> {}", hex(&frame.bytes))?;
            } else {
                came.extend(frame.bytes);
            }
        }
        self.show_came(&mut came)?;
        match &said {
            Ok(_) => self.answered += 1,
            Err(error) => {
                self.answered += u32::from(matches!(error, ReadError::Refused(_)));
                writeln!(self.out, "! {}", Chain(error))?;
            }
        }
        Ok(said)
    }

    fn show_came(&mut self, came: &mut Vec<u8>) -> io::Result<()> {
        if !came.is_empty() {
            writeln!(self.out, "< {}", hex(came))?;
            came.clear();
        }
        Ok(())
    }

    /// Everything the profile of a device reads, and what it makes of it.
    async fn device(&mut self, config: &Config, station: Station, device: &Device) -> io::Result<()> {
        let now = SystemClock::new().now().wall;
        let mut decoded = Vec::new();
        for ask in look::asks(device) {
            if let Ok(said) = self.ask(station, &ask).await? {
                decoded.extend(look::decoded(device, now, &config.site.zone, &ask, &said));
            }
        }
        self.show(&decoded)
    }

    fn show(&mut self, decoded: &[Decoded]) -> io::Result<()> {
        let rows: Vec<[String; 4]> = decoded
            .iter()
            .filter_map(|one| match &one.body {
                Body::Reading(reading) => Some([
                    reading.point.to_string(),
                    reading.value.map_or_else(|| "-".to_owned(), |value| value.to_string()),
                    reading.unit.symbol().to_owned(),
                    reading.quality.doubt().map_or("good", |doubt| doubt.as_str()).to_owned(),
                ]),
                Body::Event(_) | Body::Link(_) => None,
            })
            .collect();
        let headings = match lang() {
            Lang::Zh => ["量", "值", "单位", "质量"],
            Lang::En => ["POINT", "VALUE", "UNIT", "QUALITY"],
        };
        writeln!(self.out)?;
        table::print(self.out, headings, &rows)
    }

    /// Registers without a profile: their words, and what each pair may mean.
    async fn range(&mut self, station: Station, table: RegisterTable, range: Range) -> io::Result<()> {
        let words = self.read(station, table, range).await?;
        let mut rows = Vec::new();
        for (i, (address, word)) in words.iter().enumerate() {
            let next = words.get(i + 1).filter(|(after, _)| address.checked_add(1) == Some(*after));
            let number = format!("{address} (0x{address:04X})");
            let Some((_, second)) = next else {
                let single = [
                    number,
                    format!("{word:04X}"),
                    "u16".into(),
                    word.to_string(),
                    String::new(),
                    String::new(),
                    String::new(),
                ];
                rows.push(single);
                continue;
            };
            let meanings = orders(&[*word, *second]);
            for kind in ["f32", "u32"] {
                let first = kind == "f32";
                let shown = |order| meanings.iter().find(|m| m.kind == kind && m.order == order).map(marked);
                let [abcd, cdab, badc, dcba] =
                    ["ABCD", "CDAB", "BADC", "DCBA"].map(|order| shown(order).unwrap_or_default());
                rows.push([
                    if first { number.clone() } else { String::new() },
                    if first { format!("{word:04X} {second:04X}") } else { word.to_string() },
                    kind.into(),
                    abcd,
                    cdab,
                    badc,
                    dcba,
                ]);
            }
        }
        let headings = match lang() {
            Lang::Zh => ["寄存器", "内容", "类型", "ABCD", "CDAB", "BADC", "DCBA"],
            Lang::En => ["REGISTER", "WORDS", "TYPE", "ABCD", "CDAB", "BADC", "DCBA"],
        };
        writeln!(self.out)?;
        table::print(self.out, headings, &rows)?;
        let zh = "* 合理的值；同一寄存器两行里各取其一";
        writeln!(self.out, "{}", say(zh, "* a value that a device may well have"))
    }

    /// Reads a range in pieces; where a piece is refused, its halves, down to single registers.
    async fn read(
        &mut self,
        station: Station,
        table: RegisterTable,
        range: Range,
    ) -> io::Result<Vec<(u16, u16)>> {
        let mut words = Vec::new();
        let mut pieces: Vec<(u16, u16)> = Vec::new();
        let mut from = u32::from(range.from);
        while let Ok(address) = u16::try_from(from)
            && address <= range.to
        {
            let count = AT_ONCE.min((range.to - address).saturating_add(1));
            pieces.push((address, count));
            from += u32::from(count);
        }
        pieces.reverse();
        let mut silent = 0;
        while let Some((address, count)) = pieces.pop() {
            match self.ask(station, &registers(table, address, count)).await? {
                Ok(Said::Words(read)) => words.extend((address..=u16::MAX).zip(read)),
                Err(ReadError::Refused(Refusal::Modbus(
                    Exception::IllegalAddress | Exception::IllegalValue,
                ))) if count > 1 => {
                    let half = count / 2;
                    pieces.push((address + half, count - half));
                    pieces.push((address, half));
                }
                Err(ReadError::Refused(_)) | Ok(_) => silent = 0,
                Err(_) => {
                    silent += 1;
                    if silent >= 3 {
                        let zh = "连续三次没有应答，停止";
                        writeln!(self.out, "{}", say(zh, "no answer three times in a row: given up"))?;
                        break;
                    }
                }
            }
        }
        Ok(words)
    }
}

/// A read of registers.
pub(super) fn registers(table: RegisterTable, address: u16, words: u16) -> Ask {
    let span = RegisterSpan { table, address, words, every: 1 };
    Ask::Registers(Block { table, address, words, every: 1, points: vec![span] })
}

/// A number in at most a dozen columns, with a mark when it is plausible.
fn marked(meaning: &Guess) -> String {
    let value = meaning.value;
    let plain = meaning.kind == "u32" || value == 0.0 || (1e-4..1e9).contains(&value.abs());
    let number = match (plain, meaning.kind) {
        (true, "u32") => format!("{value}"),
        (true, _) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    };
    if meaning.plausible { format!("{number} *") } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_people_write_them() {
        let read = |text| range(text).map(|r| (r.from, r.to));
        assert_eq!(read("0-40"), Ok((0, 40)));
        assert_eq!(read("0x61-0x63"), Ok((0x61, 0x63)));
        assert_eq!(read("7"), Ok((7, 7)));
        assert_eq!(read("65535"), Ok((65535, 65535)));
        assert_eq!(read("0-1999"), Ok((0, 1999)));
        for wrong in ["", "40-0", "0-2000", "65536", "a-b", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
