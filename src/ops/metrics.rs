//! The only file that names a metric.

use super::Figures;
use crate::alarm::kpi::{LIFE_PROMPT_MS, OTHER_PROMPT_MS};
use crate::config::Device;
use crate::model::{DestinationId, DeviceId, Lane, Link, Priority};
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
    KPI_ANNOUNCED,
    KPI_PRIORITY,
    KPI_PER_GUARD,
    KPI_MOST,
    KPI_FLOODS,
    KPI_FLOOD_SHARE,
    KPI_STANDING,
    KPI_CHATTERING,
    KPI_TOP_SHARE,
    KPI_TAKEN,
    KPI_PROMPT,
    KPI_UNTAKEN,
    KPI_FALSE_SHARE,
    KPI_INHIBITED,
    KPI_QUIET,
    KPI_AT,
    KPI_COST,
    DRILL_RUNNING,
    UNTOLD,
    FAILED_OVER,
    ONLY_COUNTED,
    NOTIFY_ATTEMPTS,
    NOTIFY_SECONDS,
    PICTURES,
    CONTROL_ORDERS,
    SIGN_INS,
    STREAMS,
    CUT_OFF,
    PASSWORD_HASHES,
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
const KPI_ANNOUNCED: Metric =
    ("schoolgate_alarm_kpi_announced", &[], "Alarms announced in the last 24 hours.");
const KPI_PRIORITY: Metric = (
    "schoolgate_alarm_kpi_announced_by_priority",
    &["priority"],
    "Alarms announced in the last 24 hours by priority; 80 of 100 low, 15 medium, 5 high are wanted.",
);
const KPI_PER_GUARD: Metric = (
    "schoolgate_alarm_kpi_per_guard",
    &[],
    "Alarms announced per guard and 10 minutes over the last 24 hours; 1 is acceptable, 2 can be managed.",
);
const KPI_MOST: Metric =
    ("schoolgate_alarm_kpi_most", &[], "Most alarms announced within 10 minutes of the last 24 hours.");
const KPI_FLOODS: Metric = (
    "schoolgate_alarm_kpi_floods",
    &[],
    "Floods of the last 24 hours: from more than 10 alarms in 10 minutes until fewer than 5.",
);
const KPI_FLOOD_SHARE: Metric = (
    "schoolgate_alarm_kpi_flood_ratio",
    &[],
    "Share of the last 24 hours that was flood; less than 0.01 is wanted.",
);
const KPI_STANDING: Metric = (
    "schoolgate_alarm_kpi_standing",
    &[],
    "Alarms that are there for more than 24 hours; fewer than 5 are wanted.",
);
const KPI_CHATTERING: Metric = (
    "schoolgate_alarm_kpi_chattering",
    &[],
    "Alarms of the last 24 hours that came and went too often; none is wanted.",
);
const KPI_TOP_SHARE: Metric = (
    "schoolgate_alarm_kpi_top_ratio",
    &[],
    "Share of the ten busiest in the alarms announced in the last 24 hours; less than 0.05 is wanted.",
);
const KPI_TAKEN: Metric = (
    "schoolgate_alarm_kpi_acknowledge_seconds",
    &["priority", "percentile"],
    "Time to acknowledge that so many of 100 alarms of the last 24 hours did not exceed.",
);
const KPI_PROMPT: Metric = (
    "schoolgate_alarm_kpi_prompt_ratio",
    &["class", "within"],
    "Share of the alarms acknowledged in the last 24 hours that were in time: life is help and fire.",
);
const KPI_UNTAKEN: Metric =
    ("schoolgate_alarm_kpi_unacknowledged", &[], "Alarms announced and not acknowledged yet.");
const KPI_FALSE_SHARE: Metric = (
    "schoolgate_alarm_kpi_false_ratio",
    &[],
    "Share of false alarms in those confirmed in the last 24 hours; absent while none is.",
);
const KPI_INHIBITED: Metric =
    ("schoolgate_alarm_kpi_inhibited", &[], "Times an alarm was put down to another in the last 24 hours.");
const KPI_QUIET: Metric =
    ("schoolgate_alarm_kpi_kept_quiet", &["how"], "Alarms that a person keeps quiet now.");
const KPI_AT: Metric =
    ("schoolgate_alarm_kpi_timestamp_seconds", &[], "When the figures of alarms were reckoned.");
const KPI_COST: Metric =
    ("schoolgate_alarm_kpi_reckoning_seconds", &[], "How long reckoning the figures of alarms took.");
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
const SIGN_INS: Metric =
    ("schoolgate_sign_ins_total", &["outcome"], "Tries to sign in, by what became of them.");
const STREAMS: Metric = ("schoolgate_live_streams", &[], "Pages that follow the live stream now.");
const CUT_OFF: Metric = (
    "schoolgate_live_streams_cut_off_total",
    &[],
    "Live streams that were cut off because nobody read them.",
);
const PASSWORD_HASHES: Metric =
    ("schoolgate_password_hashes_total", &[], "Passwords hashed, to keep one or to compare.");
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
    figures: Option<&Figures>,
    streams: usize,
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
    if let Some(figures) = figures {
        page.alarm_figures(figures)?;
    }
    page.level(DRILL_RUNNING, u64::from(live.drill.is_some()))?;
    page.levels(UNTOLD, tally.untold.all().iter().map(|(channel, n)| ([channel.as_str()], *n)))?;
    page.total(FAILED_OVER, tally.failed_over.get())?;
    page.total(ONLY_COUNTED, tally.only_counted.get())?;
    page.notified(tally)?;
    page.totals(PICTURES, tally.pictures.all().iter().map(|(outcome, n)| ([*outcome], *n)))?;
    page.totals(CONTROL_ORDERS, tally.control_orders.all().iter().map(|(outcome, n)| ([*outcome], *n)))?;
    page.totals(SIGN_INS, tally.sign_ins.all().iter().map(|(outcome, n)| ([*outcome], *n)))?;
    page.level(STREAMS, u64::try_from(streams).unwrap_or(u64::MAX))?;
    page.total(CUT_OFF, tally.streams_cut_off.get())?;
    page.total(PASSWORD_HASHES, tally.password_hashes.get())?;
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

/// Seconds of milliseconds.
fn millis(ms: i64) -> f64 {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
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

    fn share<'a, const N: usize>(
        &self,
        (name, labels, help): Metric,
        values: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), prometheus::Error> {
        let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
        for (values, share) in values {
            gauges.get_metric_with_label_values(&values)?.set(share);
        }
        self.add(gauges)
    }

    fn alarm_figures(&self, figures: &Figures) -> Result<(), prometheus::Error> {
        let kpi = &figures.kpi;
        let many = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.level(KPI_ANNOUNCED, kpi.announced.into())?;
        let of = |priority: &Priority| kpi.by_priority.get(priority).copied().unwrap_or(0);
        self.levels(KPI_PRIORITY, Priority::ALL.iter().map(|p| ([p.as_str()], of(p).into())))?;
        self.share(KPI_PER_GUARD, [([], kpi.per_guard)])?;
        self.level(KPI_MOST, kpi.most.into())?;
        self.level(KPI_FLOODS, many(kpi.floods.len()))?;
        self.share(KPI_FLOOD_SHARE, [([], kpi.flood_share)])?;
        self.level(KPI_STANDING, many(kpi.standing.len()))?;
        self.level(KPI_CHATTERING, kpi.chattering.into())?;
        self.share(KPI_TOP_SHARE, [([], kpi.top_share)])?;
        let taken = kpi.taken.iter().flat_map(|(priority, taken)| {
            let percentiles = [("50", taken.p50_ms), ("95", taken.p95_ms)];
            percentiles.map(|(percentile, ms)| ([priority.as_str(), percentile], millis(ms)))
        });
        self.share(KPI_TAKEN, taken)?;
        let prompt = [("life", kpi.life, LIFE_PROMPT_MS), ("other", kpi.others, OTHER_PROMPT_MS)];
        let prompt =
            prompt.iter().filter(|(_, prompt, _)| prompt.count > 0).flat_map(|(class, prompt, bounds)| {
                let shares = [prompt.first, prompt.second].map(|n| f64::from(n) / f64::from(prompt.count));
                let within = bounds.map(|ms| format!("{}s", ms / 1000));
                within.into_iter().zip(shares).map(move |(within, share)| (*class, within, share))
            });
        let prompt: Vec<(&str, String, f64)> = prompt.collect();
        self.share(KPI_PROMPT, prompt.iter().map(|(class, within, n)| ([*class, within.as_str()], *n)))?;
        self.level(KPI_UNTAKEN, kpi.untaken.into())?;
        self.share(KPI_FALSE_SHARE, kpi.false_share.map(|share| ([], share)))?;
        self.level(KPI_INHIBITED, kpi.inhibited.into())?;
        let quiet = [(["shelved"], kpi.shelved.len()), (["out_of_service"], kpi.out_of_service.len())];
        self.levels(KPI_QUIET, quiet.map(|(how, n)| (how, many(n))))?;
        self.share(KPI_AT, [([], millis(figures.at.0))])?;
        self.share(KPI_COST, [([], figures.took.as_secs_f64())])
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
