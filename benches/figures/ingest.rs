//! How fast what a school sends becomes durable: lanes, pipeline and store against rusqlite alone.

use crate::bare::Rows;
use crate::traffic::{self, Sent};
use crate::{Failure, Figure, Goal, median, quantile, scratch, spread};
use schoolgate::config::Config;
use schoolgate::gateway::Pipe;
use schoolgate::model::Delivery;
use schoolgate::pipeline::{Pipeline, Settings};
use schoolgate::rules::Engine;
use schoolgate::runtime::lanes::lanes;
use schoolgate::runtime::{Clock, Inlet, SystemClock, Tally};
use schoolgate::store::{self, FILE_NAME, Store, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const FIGURES: &[&str] = &["pipe.ingest_ratio_bare", "pipe.events_per_s", "pipe.commit_p99_ms"];

/// Deliveries of one run.
const DELIVERIES: u64 = 20_000;
/// Pairs of runs that count; one more before them warms the caches.
const PAIRS: usize = 15;
/// Sessions that send at the same time.
const SENDERS: usize = 4;
/// Deliveries sent one after another, each after the one before it was answered.
const ANSWERED: u64 = 400;

/// One run through the pipe.
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) transactions: usize,
    pub(crate) rows: Rows,
}

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let config = |name: &str| traffic::demo_config(&dir.path().join(name));
    let (mut ratios, mut rates, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let place = format!("pipe-{pair}");
        let run = flood(runtime, config(&place)?)?;
        let bare = run.rows.insert(&dir.path().join(format!("bare-{pair}.db")), run.transactions)?;
        if pair > 0 {
            ratios.push(bare.as_secs_f64() / run.took.as_secs_f64());
            rates.push(run.rows.observations() as f64 / run.took.as_secs_f64());
            batches.push(run.rows.observations() as f64 / run.transactions as f64);
        }
    }
    let waits = one_by_one(runtime, config("answered")?)?;
    let batch = median(&batches);
    Ok(vec![
        Figure::new(
            "pipe.ingest_ratio_bare",
            median(&ratios),
            "ratio",
            Goal::AtLeast(0.5),
            format!(
                "rusqlite alone inserting the same readings, events and message traces into the same tables, WAL \
                 and synchronous FULL, {batch:.0} observations in a transaction as the pipe had them; {}",
                spread(&ratios)
            ),
        ),
        Figure::new(
            "pipe.events_per_s",
            median(&rates),
            "1/s",
            Goal::Info,
            format!("durable readings and events a second, as above; {}", spread(&rates)),
        ),
        Figure::new(
            "pipe.commit_p99_ms",
            quantile(&waits, 0.99),
            "ms",
            Goal::Info,
            format!(
                "from putting one card pass into the idle pipe to its answer, of {ANSWERED}; median {:.2} ms",
                median(&waits)
            ),
        ),
    ])
}

/// A running pipe and its store.
struct Plant {
    inlet: Inlet,
    pipe: JoinHandle<Result<(), StoreError>>,
    thread: std::thread::JoinHandle<()>,
    tally: Arc<Tally>,
}

/// Joins pipe and store as `gateway::run` does.
fn build(runtime: &Runtime, config: Config) -> Result<Plant, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tally = Arc::new(Tally::default());
    let store = Store::open(&config.data_dir)?;
    let remembered = store.recall(config.aggregate_secs)?;
    let (handle, thread) = store::open(store, Arc::clone(&clock), Arc::clone(&tally))?;
    let settings = Settings {
        gateway: config.site.gateway.clone(),
        aggregate_secs: config.aggregate_secs,
        destinations: config.destinations.iter().map(|d| d.id.clone()).collect(),
        campus: config.campus.clone(),
        alarms: Default::default(),
        areas: Vec::new(),
    };
    let engine = Engine::new(config.rules);
    let pipeline = Pipeline::start(clock.now(), settings, Arc::new(config.world), engine, remembered);
    let (inlet, outlet) = lanes();
    let (live, _) = watch::channel(Arc::new(pipeline.live(clock.now().wall)));
    let buses = config.devices.values().map(|d| (d.id.clone(), d.bus.clone())).collect();
    let pipe = Pipe {
        pipeline,
        outlet,
        store: handle,
        clock,
        tally: Arc::clone(&tally),
        live,
        buses,
        findings: tokio::sync::mpsc::channel(1).1,
        bell: schoolgate::notify::bell::Bell::unheard(),
        feed: schoolgate::console::Feed::new(),
    };
    Ok(Plant { inlet, pipe: runtime.spawn(pipe.run()), thread, tally })
}

/// Waits until what was put in is durable.
fn drain(runtime: &Runtime, pipe: JoinHandle<Result<(), StoreError>>) -> Result<(), Failure> {
    runtime.block_on(pipe)??;
    Ok(())
}

/// Closes the database.
fn close(thread: std::thread::JoinHandle<()>) -> Result<(), Failure> {
    thread.join().map_err(|_| "the store's thread panicked".into())
}

/// Sends as fast as the lanes take it, until all of it is durable.
pub(crate) fn flood(runtime: &Runtime, config: Config) -> Result<Run, Failure> {
    let file = config.data_dir.join(FILE_NAME);
    let sent = traffic::deliveries(&config, DELIVERIES, SystemClock::new().now().wall)?;
    let expected: usize = sent.iter().map(|(Sent::Delivered(d) | Sent::Offered(d))| d.inputs.len()).sum();
    let traces: Vec<_> = sent.iter().filter_map(trace).collect();
    let mut shares: Vec<Vec<Sent>> = (0..SENDERS).map(|_| Vec::new()).collect();
    for (n, one) in sent.into_iter().enumerate() {
        shares.get_mut(n % SENDERS).ok_or("no sender")?.push(one);
    }
    let Plant { inlet, pipe, thread, tally } = build(runtime, config)?;
    let begun = Instant::now();
    let senders: Vec<_> = shares.into_iter().map(|share| runtime.spawn(send(inlet.clone(), share))).collect();
    drop(inlet);
    for sender in senders {
        runtime.block_on(sender)??;
    }
    drain(runtime, pipe)?;
    let took = begun.elapsed();
    close(thread)?;
    let rows = Rows::of_run(&file, &traces)?;
    if rows.observations() != expected {
        let stored = rows.observations();
        return Err(format!("{stored} of {expected} observations are in the store").into());
    }
    Ok(Run { took, transactions: usize::try_from(tally.commits.get())?, rows })
}

/// Sends a share, and waits until everything in it was answered. Polls go the way of what is answered, too: offered
/// faster than the disk takes them, they would be shed, as they must be.
async fn send(inlet: Inlet, share: Vec<Sent>) -> Result<(), Failure> {
    let mut receipts = Vec::with_capacity(share.len());
    for one in share {
        let (Sent::Delivered(delivery) | Sent::Offered(delivery)) = one;
        receipts.push(inlet.deliver(delivery).await?);
    }
    for receipt in receipts {
        receipt.await?;
    }
    Ok(())
}

/// Sends card passes one after another; how many milliseconds each waited for its answer.
fn one_by_one(runtime: &Runtime, config: Config) -> Result<Vec<f64>, Failure> {
    let sent = traffic::deliveries(&config, ANSWERED * 2, SystemClock::new().now().wall)?;
    let passes: Vec<Delivery> = sent
        .into_iter()
        .filter_map(|one| match one {
            Sent::Delivered(delivery) if delivery.inputs.len() == 1 => Some(delivery),
            Sent::Delivered(_) | Sent::Offered(_) => None,
        })
        .take(usize::try_from(ANSWERED)?)
        .collect();
    let Plant { inlet, pipe, thread, .. } = build(runtime, config)?;
    let sender = runtime.spawn(async move {
        let mut waits = Vec::with_capacity(passes.len());
        for delivery in passes {
            let begun = Instant::now();
            inlet.deliver(delivery).await?.await?;
            waits.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        Ok::<_, Failure>(waits)
    });
    let waits = runtime.block_on(sender)??;
    drain(runtime, pipe)?;
    close(thread)?;
    Ok(waits)
}

fn trace(sent: &Sent) -> Option<(String, u64)> {
    let (Sent::Delivered(delivery) | Sent::Offered(delivery)) = sent;
    Some((delivery.bus.as_ref()?.to_string(), delivery.key?.fingerprint))
}
