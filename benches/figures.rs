//! The figures that say how good Schoolgate is, each beside its goal and what it was compared to: one line per figure
//! on standard output, and all of them in `target/figures.json`.
//!
//! `ONLY=pipe` measures one area and `ONLY=pipe.modbus_ratio_bare` one figure. A figure below its goal says so and is
//! no error; a figure that could not be measured is one.
#![expect(clippy::disallowed_methods, reason = "what is measured here is the real time")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are printed for people")]
#![expect(clippy::cast_precision_loss, reason = "counts here stay far below 2^52")]

#[path = "figures/alarms.rs"]
mod alarms;
#[path = "figures/bare.rs"]
mod bare;
#[path = "figures/console.rs"]
mod console;
#[path = "figures/daemon.rs"]
mod daemon;
#[path = "figures/events.rs"]
mod events;
#[path = "figures/figure.rs"]
mod figure;
#[path = "figures/ingest.rs"]
mod ingest;
#[path = "figures/latency.rs"]
mod latency;
#[path = "figures/meters.rs"]
mod meters;
#[path = "figures/modbus.rs"]
mod modbus;
#[path = "figures/replay.rs"]
mod replay;
#[path = "figures/scan.rs"]
mod scan;
#[path = "figures/school.rs"]
mod school;
#[path = "figures/store.rs"]
mod store;
#[path = "figures/store_disk.rs"]
mod store_disk;
#[path = "figures/store_sealed.rs"]
mod store_sealed;
#[path = "figures/store_years.rs"]
mod store_years;
#[path = "figures/traffic.rs"]
mod traffic;

use figure::{Figure, Goal};
use schoolgate::runtime::Chain;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::runtime::Runtime;

type Failure = Box<dyn Error + Send + Sync>;

/// Figures that are measured together.
struct Bench {
    figures: &'static [&'static str],
    measure: fn(&Runtime) -> Result<Vec<Figure>, Failure>,
}

const BENCHES: &[Bench] = &[
    Bench { figures: alarms::RULES, measure: alarms::rules },
    Bench { figures: replay::FIGURES, measure: replay::measure },
    Bench { figures: ingest::FIGURES, measure: ingest::measure },
    Bench { figures: modbus::FIGURES, measure: modbus::measure },
    Bench { figures: school::FIGURES, measure: school::measure },
    Bench { figures: meters::LOAD, measure: meters::load },
    Bench { figures: meters::RATIO, measure: meters::ratio },
    Bench { figures: meters::DEAD, measure: meters::dead },
    Bench { figures: scan::FIGURES, measure: scan::measure },
    Bench { figures: meters::STRETCH, measure: meters::stretch },
    Bench { figures: events::RATE, measure: events::rate },
    Bench { figures: events::BURST, measure: events::burst },
    Bench { figures: latency::FIGURES, measure: latency::measure },
    Bench { figures: console::FIGURES, measure: console::measure },
    Bench { figures: console::PAGES, measure: console::pages },
    Bench { figures: store::INGEST, measure: store::ingest },
    Bench { figures: store_sealed::FIGURES, measure: store_sealed::measure },
    Bench { figures: store_years::FIGURES, measure: store_years::measure },
    Bench { figures: store_disk::FIGURES, measure: store_disk::measure },
];

fn main() -> ExitCode {
    schoolgate::runtime::tls::install_provider();
    // As the daemon has it.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("figures: no threads from the system: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(dir) = school::asked_to_be_the_school() {
        return school::be_the_school(&runtime, dir);
    }
    if let Some(mix) = meters::asked_to_be_the_fleet() {
        return meters::be_the_fleet(&runtime, &mix);
    }
    if let Some((part, dir)) = store_years::asked() {
        return store_years::play(&runtime, &part, &dir);
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |name: &&'static str| name.starts_with(only.trim());
    if !BENCHES.iter().flat_map(|bench| bench.figures).any(&wanted) {
        let names: Vec<_> = BENCHES.iter().flat_map(|bench| bench.figures).copied().collect();
        eprintln!("figures: ONLY={only} is the beginning of no figure; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let mut figures = Vec::new();
    let mut missing = 0;
    for bench in BENCHES.iter().filter(|bench| bench.figures.iter().any(&wanted)) {
        let names: Vec<_> = bench.figures.iter().copied().filter(|name| wanted(name)).collect();
        eprintln!("figures: measuring {}", names.join(", "));
        match (bench.measure)(&runtime) {
            Ok(measured) => {
                for figure in measured.into_iter().filter(|figure| wanted(&figure.name)) {
                    println!("{}", figure.line());
                    figures.push(figure);
                }
            }
            Err(error) => {
                missing += names.len();
                eprintln!("figures: not measured: {}: {}", names.join(", "), Chain(error.as_ref()));
            }
        }
    }
    if let Err(error) = figure::add(&figures) {
        eprintln!("figures: target/figures.json cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    if missing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A new directory on the disk that also holds the build, so that a sync there is a real one.
fn scratch() -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A directory of the source tree.
fn source(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)
}

/// The value below which `share` of the values lie.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the values")]
    let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// How far repeated measurements lie apart, in words.
fn spread(values: &[f64]) -> String {
    format!(
        "median of {}, which lie between {:.3} and {:.3}",
        values.len(),
        quantile(values, 0.0),
        quantile(values, 1.0)
    )
}
