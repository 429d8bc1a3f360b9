//! The only file that names a metric.

use crate::config::Device;
use crate::model::{DestinationId, DeviceId, Lane, Link};
use crate::northbound::DestinationStatus;
use crate::pipeline::{DeviceLive, Live};
use crate::runtime::Tally;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Counter, CounterVec, Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Every metric of ours: name, labels, help.
pub const METRICS: &[(&str, &[&str], &str)] = &[
    READINGS,
    EVENTS,
    DUPLICATES,
    REPEATED,
    SHED,
    REFUSED,
    WRONG_CLOCKS,
    WITHHELD,
    UNKNOWN,
    AT_MOST_ONCE,
    SHED_DEVICE,
    SHED_UNKNOWN,
    REFUSED_LOGINS,
    NOT_ALLOWED,
    GAPS,
    GAPS_LEFT,
    TOO_LATE,
    REQUESTS,
    SKIPPED,
    STALE,
    CONNECTS,
    FAULTS,
    DEVICES,
    PLACE_DEVICES,
    ALARMS_RAISED,
    ALARMS_OPEN,
    DRILL_RUNNING,
    UNTOLD,
    FAILED_OVER,
    ONLY_COUNTED,
    NOTIFY_ATTEMPTS,
    NOTIFY_SECONDS,
    PICTURES,
    CONTROL_ORDERS,
    COMMITS,
    COMMIT_SECONDS,
    COMMIT_MAX,
    COMMIT_FAILURES,
    STAGED,
    DROPPED,
    STORE_BYTES,
    STORE_BUDGET,
    CLOCK_STEPS,
    UPLOADS,
    FAILURES,
    SET_ASIDE,
    BACKLOG,
    LAG,
    UPLINK_UP,
    BUILD,
];

type Metric = (&'static str, &'static [&'static str], &'static str);

const READINGS: Metric = ("schoolgate_readings_total", &["bus"], "Readings committed.");
const EVENTS: Metric = ("schoolgate_events_total", &["bus", "kind"], "Events committed.");
const DUPLICATES: Metric =
    ("schoolgate_duplicates_total", &["bus"], "Messages left out because they were here before.");
const REPEATED: Metric =
    ("schoolgate_repeated_events_total", &[], "Events left out because their serial was stored before.");
const SHED: Metric =
    ("schoolgate_shed_deliveries_total", &[], "Polled deliveries shed because the pipe could not follow.");
const REFUSED: Metric =
    ("schoolgate_refused_total", &["bus", "kind"], "Payloads that could not be understood.");
const WRONG_CLOCKS: Metric =
    ("schoolgate_wrong_clocks_total", &["bus"], "Readings and events whose device time cannot be true.");
const WITHHELD: Metric =
    ("schoolgate_withheld_values_total", &["what"], "Values of health and pictures that were not taken.");
const UNKNOWN: Metric =
    ("schoolgate_unknown_total", &["bus"], "Messages from devices that are not configured.");
const AT_MOST_ONCE: Metric = (
    "schoolgate_at_most_once_total",
    &["device"],
    "Messages that came at QoS 0: what is lost of them on the way, nobody misses.",
);
const SHED_DEVICE: Metric = (
    "schoolgate_shed_messages_total",
    &["device"],
    "Messages thrown away because their device sent too many.",
);
const SHED_UNKNOWN: Metric = (
    "schoolgate_shed_unknown_total",
    &["bus"],
    "Messages of strangers thrown away because there were too many.",
);
const REFUSED_LOGINS: Metric = ("schoolgate_refused_logins_total", &["bus"], "Logins refused.");
const NOT_ALLOWED: Metric =
    ("schoolgate_not_allowed_total", &["bus"], "What a login may not publish or subscribe to.");
const GAPS: Metric = ("schoolgate_gaps_total", &["bus"], "Gaps in the numbers of a terminal's events.");
const GAPS_LEFT: Metric =
    ("schoolgate_gaps_left_total", &["bus"], "Gaps that could not be filled by asking the terminal.");
const TOO_LATE: Metric =
    ("schoolgate_too_late_readings", &[], "Good values since start that came too late for any roll-up.");
const REQUESTS: Metric = ("schoolgate_requests_total", &["bus"], "Requests made to devices.");
const SKIPPED: Metric =
    ("schoolgate_skipped_polls_total", &["bus"], "Polls left out because the bus was behind its schedule.");
const STALE: Metric =
    ("schoolgate_stale_replies_total", &["bus"], "Replies thrown away: too late, or to another request.");
const CONNECTS: Metric = ("schoolgate_connects_total", &["bus"], "Sessions opened.");
const FAULTS: Metric = ("schoolgate_device_faults_total", &["device", "fault"], "Failures of devices.");
const DEVICES: Metric = ("schoolgate_devices", &["state"], "Configured devices by state.");
const PLACE_DEVICES: Metric =
    ("schoolgate_place_devices", &["place", "state"], "Configured devices of a place by state.");
const ALARMS_RAISED: Metric = ("schoolgate_alarms_raised_total", &["class"], "Alarms raised.");
const ALARMS_OPEN: Metric =
    ("schoolgate_alarms_open", &["class", "priority", "acknowledged"], "Alarms that are not over.");
const DRILL_RUNNING: Metric =
    ("schoolgate_drill_running", &[], "1 while a drill is running; its alarms are in no other figure.");
const UNTOLD: Metric = ("schoolgate_notify_waiting_alarms", &["channel"], "Alarms that wait for a channel.");
const FAILED_OVER: Metric = (
    "schoolgate_notify_failovers_total",
    &[],
    "Times a further channel was asked because the one before it had failed.",
);
const ONLY_COUNTED: Metric = (
    "schoolgate_notify_only_counted_total",
    &[],
    "Alarms that digests only count, because too many were followed.",
);
const NOTIFY_ATTEMPTS: Metric = (
    "schoolgate_notify_attempts_total",
    &["channel", "verdict"],
    "Tries to tell people, by what became of them.",
);
const NOTIFY_SECONDS: Metric =
    ("schoolgate_notify_seconds_total", &["channel"], "Time spent on tries to tell people.");
const PICTURES: Metric =
    ("schoolgate_pictures_total", &["outcome"], "Pictures for alarms by what became of them.");
const CONTROL_ORDERS: Metric =
    ("schoolgate_control_orders_total", &["outcome"], "Orders to switch something, by what became of them.");
const COMMITS: Metric = ("schoolgate_commits_total", &[], "Transactions made durable.");
const COMMIT_SECONDS: Metric =
    ("schoolgate_commit_seconds_total", &[], "Time spent making transactions durable.");
const COMMIT_MAX: Metric = ("schoolgate_commit_seconds_max", &[], "Longest commit since start.");
const COMMIT_FAILURES: Metric = (
    "schoolgate_commit_failures_total",
    &["fault"],
    "Commits that failed and were tried again on a new connection.",
);
const STAGED: Metric = ("schoolgate_staged_rows", &[], "Rows stepped and not committed yet.");
const DROPPED: Metric = ("schoolgate_dropped_rows_total", &["reason"], "Rows given up since start.");
const STORE_BYTES: Metric = ("schoolgate_store_bytes", &[], "Room that the data takes.");
const STORE_BUDGET: Metric = ("schoolgate_store_budget_bytes", &[], "Room that the data may take.");
const CLOCK_STEPS: Metric =
    ("schoolgate_clock_steps_total", &[], "Times the wall clock was set while it ran.");
const UPLOADS: Metric =
    ("schoolgate_uploads_total", &["destination", "record"], "Records acknowledged by a platform.");
const FAILURES: Metric =
    ("schoolgate_upload_failures_total", &["destination", "reason"], "Requests that will be tried again.");
const SET_ASIDE: Metric =
    ("schoolgate_set_aside_total", &["destination"], "Records set aside because the platform rejects them.");
const BACKLOG: Metric = ("schoolgate_backlog_records", &["destination"], "Records waiting.");
const LAG: Metric = ("schoolgate_upload_lag_seconds", &["destination"], "Age of the oldest record waiting.");
const UPLINK_UP: Metric =
    ("schoolgate_uplink_state", &["destination", "state"], "1 for the state the uplink is in.");
const BUILD: Metric = ("schoolgate_build_info", &["version"], "Always 1.");

/// Writes every metric in the Prometheus text format.
pub(super) fn render(
    tally: &Tally,
    live: &Live,
    devices: &BTreeMap<DeviceId, Device>,
    destinations: &BTreeMap<DestinationId, watch::Receiver<DestinationStatus>>,
) -> Result<String, prometheus::Error> {
    let page = Page(Registry::new());
    page.totals(READINGS, tally.readings.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(EVENTS, tally.events.all().iter().map(|((bus, kind), n)| ([bus.as_str(), *kind], *n)))?;
    page.totals(DUPLICATES, tally.duplicates.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.total(REPEATED, tally.repeated_events.get())?;
    page.total(SHED, tally.shed_deliveries.get())?;
    page.totals(REFUSED, tally.refused.all().iter().map(|((bus, kind), n)| ([bus.as_str(), *kind], *n)))?;
    page.totals(WRONG_CLOCKS, tally.wrong_clocks.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    let withheld = [(["health"], tally.withheld_health.get()), (["picture"], tally.withheld_pictures.get())];
    page.totals(WITHHELD, withheld)?;
    page.totals(UNKNOWN, tally.unknown.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    let at_most_once = tally.at_most_once.all();
    page.totals(AT_MOST_ONCE, at_most_once.iter().map(|(device, n)| ([device.as_str()], *n)))?;
    let shed = tally.shed_device.all();
    page.totals(SHED_DEVICE, shed.iter().map(|(device, n)| ([device.as_str()], *n)))?;
    page.totals(SHED_UNKNOWN, tally.shed_unknown.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(REFUSED_LOGINS, tally.refused_logins.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(NOT_ALLOWED, tally.not_allowed.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(GAPS, tally.gaps.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(GAPS_LEFT, tally.gaps_left.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.level(TOO_LATE, live.too_late)?;
    page.totals(REQUESTS, tally.requests.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(SKIPPED, tally.skipped_polls.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(STALE, tally.stale_replies.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    page.totals(CONNECTS, tally.connects.all().iter().map(|(bus, n)| ([bus.as_str()], *n)))?;
    let faults = tally.device_faults.all();
    page.totals(FAULTS, faults.iter().map(|((device, fault), n)| ([device.as_str(), fault.as_str()], *n)))?;
    page.devices(live, devices)?;
    page.totals(ALARMS_RAISED, tally.alarms_raised.all().iter().map(|(class, n)| ([*class], *n)))?;
    page.open_alarms(live)?;
    page.level(DRILL_RUNNING, u64::from(live.drill.is_some()))?;
    page.levels(UNTOLD, tally.untold.all().iter().map(|(channel, n)| ([channel.as_str()], *n)))?;
    page.total(FAILED_OVER, tally.failed_over.get())?;
    page.total(ONLY_COUNTED, tally.only_counted.get())?;
    page.notified(tally)?;
    page.totals(PICTURES, tally.pictures.all().iter().map(|(outcome, n)| ([*outcome], *n)))?;
    page.totals(CONTROL_ORDERS, tally.control_orders.all().iter().map(|(outcome, n)| ([*outcome], *n)))?;
    page.total(COMMITS, tally.commits.get())?;
    let spent = Counter::new(COMMIT_SECONDS.0, COMMIT_SECONDS.2)?;
    spent.inc_by(seconds(tally.commit_micros_sum.get()));
    page.add(spent)?;
    let longest = Gauge::new(COMMIT_MAX.0, COMMIT_MAX.2)?;
    longest.set(seconds(tally.commit_micros_max.get()));
    page.add(longest)?;
    let failures = tally.commit_failures.all();
    page.totals(COMMIT_FAILURES, failures.iter().map(|(fault, n)| ([*fault], *n)))?;
    page.level(STAGED, tally.staged_rows.get())?;
    page.totals(DROPPED, tally.dropped.all().iter().map(|(reason, n)| ([*reason], *n)))?;
    page.level(STORE_BYTES, tally.store_bytes.get())?;
    page.level(STORE_BUDGET, tally.store_budget_bytes.get())?;
    page.total(CLOCK_STEPS, tally.clock_steps.get())?;
    page.uploads(tally, live, destinations)?;
    page.levels(BUILD, [([env!("CARGO_PKG_VERSION")], 1)])?;
    page.add(ProcessCollector::for_self())?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.0.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

struct Page(Registry);

impl Page {
    fn add(&self, metric: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.0.register(Box::new(metric))
    }

    fn total(&self, (name, _, help): Metric, n: u64) -> Result<(), prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(n);
        self.add(counter)
    }

    fn totals<'a, const N: usize>(
        &self,
        (name, labels, help): Metric,
        values: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) -> Result<(), prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (values, n) in values {
            counters.get_metric_with_label_values(&values)?.inc_by(n);
        }
        self.add(counters)
    }

    fn level(&self, (name, _, help): Metric, n: u64) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        self.add(gauge)
    }

    fn levels<'a, const N: usize>(
        &self,
        (name, labels, help): Metric,
        values: impl IntoIterator<Item = ([&'a str; N], u64)>,
    ) -> Result<(), prometheus::Error> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        for (values, n) in values {
            gauges.get_metric_with_label_values(&values)?.add(i64::try_from(n).unwrap_or(i64::MAX));
        }
        self.add(gauges)
    }

    /// Every state is there even when no device is in it, so that a rule on it never lacks its series.
    fn devices(&self, live: &Live, devices: &BTreeMap<DeviceId, Device>) -> Result<(), prometheus::Error> {
        const STATES: [&str; 3] = ["unknown", "up", "down"];
        let state = |device: &DeviceLive| match device.link {
            None => "unknown",
            Some((Link::Up, _)) => "up",
            Some((Link::Down(_), _)) => "down",
        };
        let none = STATES.map(|state| ([state], 0));
        self.levels(DEVICES, none.into_iter().chain(live.devices.values().map(|d| ([state(d)], 1))))?;
        let places = devices.iter().filter_map(|(id, device)| {
            let state = state(live.devices.get(id)?);
            Some(STATES.map(|one| ([device.place.as_str(), one], u64::from(one == state))))
        });
        self.levels(PLACE_DEVICES, places.flatten())
    }

    fn open_alarms(&self, live: &Live) -> Result<(), prometheus::Error> {
        let real = live.alarms.iter().filter(|alarm| !alarm.marks.drill);
        let open = real.map(|alarm| {
            let acknowledged = if alarm.acknowledged.is_some() { "yes" } else { "no" };
            ([alarm.class.as_str(), alarm.priority.as_str(), acknowledged], 1)
        });
        self.levels(ALARMS_OPEN, open)
    }

    fn notified(&self, tally: &Tally) -> Result<(), prometheus::Error> {
        let attempts = tally.notify_attempts.all();
        self.totals(
            NOTIFY_ATTEMPTS,
            attempts.iter().map(|((channel, verdict), n)| ([channel.as_str(), *verdict], *n)),
        )?;
        let spent = CounterVec::new(Opts::new(NOTIFY_SECONDS.0, NOTIFY_SECONDS.2), NOTIFY_SECONDS.1)?;
        for (channel, millis) in tally.notify_millis.all() {
            let seconds = std::time::Duration::from_millis(millis).as_secs_f64();
            spent.get_metric_with_label_values(&[channel.as_str()])?.inc_by(seconds);
        }
        self.add(spent)
    }

    fn uploads(
        &self,
        tally: &Tally,
        live: &Live,
        destinations: &BTreeMap<DestinationId, watch::Receiver<DestinationStatus>>,
    ) -> Result<(), prometheus::Error> {
        let uploads = tally.uploads.all();
        let kinds = Lane::ALL.iter().map(|lane| lane.as_str());
        let none = destinations.keys().flat_map(|d| kinds.clone().map(move |kind| ([d.as_str(), kind], 0)));
        let sent = uploads.iter().map(|((d, record), n)| ([d.as_str(), *record], *n));
        self.totals(UPLOADS, none.chain(sent))?;
        let failures = tally.upload_failures.all();
        self.totals(FAILURES, failures.iter().map(|((d, reason), n)| ([d.as_str(), *reason], *n)))?;
        self.totals(SET_ASIDE, tally.set_aside.all().iter().map(|(d, n)| ([d.as_str()], *n)))?;
        let backlog = tally.backlog.all();
        let nothing = destinations.keys().map(|d| ([d.as_str()], 0));
        self.levels(BACKLOG, nothing.chain(backlog.iter().map(|(d, n)| ([d.as_str()], *n))))?;
        let lag = GaugeVec::new(Opts::new(LAG.0, LAG.2), LAG.1)?;
        let states = IntGaugeVec::new(Opts::new(UPLINK_UP.0, UPLINK_UP.2), UPLINK_UP.1)?;
        for (id, status) in destinations {
            let status = status.borrow();
            let behind = live.at.map_or(0.0, |now| status.lag(now).as_secs_f64());
            lag.get_metric_with_label_values(&[id.as_str()])?.set(behind);
            states.get_metric_with_label_values(&[id.as_str(), status.state.as_str()])?.set(1);
        }
        self.add(lag)?;
        self.add(states)
    }
}
