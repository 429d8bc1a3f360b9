//! `schoolgate discover`: who answers on a line or in a network, what it looks like, and configuration ready to use.

use super::progress::Progress;
use super::wired::{block_on, gateway_runs, refuse_used, unless_stopped};
use super::words::{lang, said, say, tell};
use super::{DEFAULT_CONFIG, EXIT_UNAVAILABLE, EXIT_USAGE, complain, configured};
use crate::config::{self, Config, Parity};
use crate::model::PlaceId;
use crate::profile::Profile;
use crate::southbound::survey::network::Network;
use crate::work::scan::{Scan, ScanError};
use crate::work::written::{self, Known};
use crate::work::{self, Survey, Told, Where, host_and_port, parity};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Nothing was found, or the scan failed.
const EXIT_NOTHING: u8 = 1;

/// Find meters and sensors on a serial line or in a network, and write configuration for them.
#[derive(Debug, Args)]
pub(super) struct Discover {
    #[command(flatten)]
    place: Place,
    /// Baud rates to try on a serial port; of a converter, the one that is set in it
    #[arg(long, value_delimiter = ',', default_value = "9600,2400,4800,19200",
          value_parser = clap::value_parser!(u32).range(300..=921_600))]
    bauds: Vec<u32>,
    /// Parities to try on a serial port
    #[arg(long, value_delimiter = ',', default_value = "none,even", value_parser = parity)]
    parities: Vec<Parity>,
    /// Modbus unit ids to ask: 1-247, or 1,2,10-20 [default: 1-247, in a network 1-16]
    #[arg(long, value_parser = ids)]
    ids: Option<Ids>,
    /// The TCP port to try in a network
    #[arg(long, default_value_t = 502)]
    port: u16,
    /// Ask every id that is silent once more, with 0.3 s each: for slow devices
    #[arg(long)]
    patient: bool,
    /// The file to write; must not exist. Otherwise the configuration is printed
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// The id of a [[place]] of the configuration where the devices are
    #[arg(long, value_name = "ID")]
    place_id: Option<String>,
    /// The device profiles, instead of those of the configuration
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// The configuration: its buses in use are not scanned, its ids not used twice
    #[arg(long, value_name = "PATH", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// A serial port, such as /dev/ttyUSB0
    #[arg(long, value_name = "PORT")]
    serial: Option<String>,
    /// A converter that passes the bytes of a serial line on over TCP
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    converter: Option<(String, u16)>,
    /// A network, such as 192.168.1.0/24: Modbus TCP devices in it, and nowhere else
    #[arg(long, value_name = "NETWORK")]
    tcp: Option<Network>,
}

/// Modbus unit ids, each once.
#[derive(Debug, Clone)]
struct Ids(Vec<u8>);

fn ids(text: &str) -> Result<Ids, String> {
    work::ids(text).map(Ids)
}

impl Discover {
    /// Exits with 0 when something was found, 1 when not, 64 when the command line or the configuration is wrong, 69
    /// when the gateway or another program uses the line, or it cannot be opened.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match self.known(out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let profiles = match config::load_profiles(&self.config, self.profiles.as_deref()) {
            Ok(set) => set,
            Err(problems) => {
                tell(&problems, out)?;
                let zh = "没有可用的设备模板：用 --profiles 指明目录";
                writeln!(
                    io::stderr(),
                    "{}",
                    say(zh, "no device profiles: name their directory with --profiles")
                )?;
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        };
        let profiles: Vec<Arc<Profile>> = profiles.ids().filter_map(|id| profiles.get(id)).collect();
        let place = match self.existing_place(config.as_ref()) {
            Ok(place) => place,
            Err(wrong) => {
                writeln!(io::stderr(), "schoolgate: {wrong}")?;
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        };
        let running = config.as_ref().filter(|config| gateway_runs(config.http));
        let Some(survey) = self.survey() else { return Ok(ExitCode::from(EXIT_USAGE)) };
        if let Some(bus) = running.and_then(|config| survey.used(&config.buses)) {
            return refuse_used(&bus);
        }
        // Made before the scan, so that its minutes are not lost to a name that cannot be written.
        let file = match self
            .write
            .as_ref()
            .map(|path| (path, OpenOptions::new().write(true).create_new(true).open(path)))
        {
            None => None,
            Some((_, Ok(file))) => Some(file),
            Some((path, Err(error))) => {
                let name = path.display();
                writeln!(
                    io::stderr(),
                    "schoolgate: {}",
                    say(format!("不能新建 {name}"), format!("cannot make the file {name}"))
                )?;
                return complain(&error, EXIT_USAGE);
            }
        };
        let left_alone = running.map(|config| work::endpoints(&config.buses)).unwrap_or_default();
        let mut progress = Progress::new();
        let teller = |told| match told {
            Told::At { words, .. } => progress.at(|| said(&words)),
            Told::Stays(words) => progress.tell(&said(&words)),
        };
        let mut scan = Scan::new(&profiles, left_alone, Box::new(teller));
        let mut outcome = Ok(());
        let ended = block_on(unless_stopped(async { outcome = survey.run(&mut scan).await }))?;
        let findings = scan.finish();
        if !ended {
            progress.tell(&say("已中止，下面是到此为止找到的", "stopped; what was found so far follows"));
        }
        let found: usize = findings.iter().map(|finding| finding.devices.len()).sum();
        for finding in &findings {
            for remark in &finding.remarks {
                progress.tell(&said(remark));
            }
        }
        let text = written::configuration(&findings, Known::of(config.as_ref(), lang()), place.as_ref());
        match file.zip(self.write.as_ref()) {
            None if found > 0 => write!(out, "{text}")?,
            None => {}
            Some((mut file, _)) if found > 0 => file.write_all(text.as_bytes())?,
            // A file without a device would be in the way of the next scan.
            Some((_, path)) => std::fs::remove_file(path)?,
        }
        progress.tell(&self.summary(found));
        if let Err(error) = outcome {
            let code = if matches!(error, ScanError::Open(_)) { EXIT_UNAVAILABLE } else { EXIT_NOTHING };
            return complain(&error, code);
        }
        Ok(if found > 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOTHING) })
    }

    fn summary(&self, found: usize) -> String {
        match &self.write {
            _ if found == 0 => say("没有找到设备", "No device was found"),
            None => say(format!("找到 {found} 台设备"), format!("found {found} devices")),
            Some(path) => {
                let name = path.display();
                let zh = format!(
                    "找到 {found} 台设备，配置已写入 {name}；选好安装位置后放入 conf.d/，再运行 schoolgate check"
                );
                let en = format!(
                    "found {found} devices; the configuration is in {name}: choose their places, put it into conf.d/ \
                     and run schoolgate check"
                );
                say(zh, en)
            }
        }
    }

    /// The configuration, if there is one; a box that has none yet is scanned all the same.
    fn known(&self, out: &mut impl Write) -> io::Result<Result<Option<Config>, ExitCode>> {
        if self.config.as_os_str() == DEFAULT_CONFIG && !self.config.exists() {
            return Ok(Ok(None));
        }
        Ok(configured(&self.config, out)?.map(Some))
    }

    fn existing_place(&self, config: Option<&Config>) -> Result<Option<PlaceId>, String> {
        let Some(id) = &self.place_id else { return Ok(None) };
        let known: Vec<&PlaceId> = config.into_iter().flat_map(|config| config.places.keys()).collect();
        match known.iter().find(|place| place.as_str() == id) {
            Some(place) => Ok(Some((*place).clone())),
            None => {
                let known: Vec<&str> = known.iter().map(|place| place.as_str()).collect();
                let known = known.join(", ");
                let zh = format!("配置中没有地点“{id}”；已有：{known}");
                Err(say(zh, format!("the configuration has no place '{id}'; it has: {known}")))
            }
        }
    }

    /// `None` where no place is named, which the command line does not let through.
    fn survey(&self) -> Option<Survey> {
        let place = match &self.place {
            Place { serial: Some(path), .. } => Where::Serial(path.clone()),
            Place { converter: Some((host, port)), .. } => Where::Converter(host.clone(), *port),
            Place { tcp, .. } => Where::Network((*tcp)?),
        };
        Some(Survey {
            place,
            bauds: self.bauds.clone(),
            parities: self.parities.clone(),
            ids: self.ids.as_ref().map(|ids| ids.0.clone()),
            port: self.port,
            patient: self.patient,
        })
    }
}
