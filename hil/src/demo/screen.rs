//! One screen of status on a terminal; without a terminal, a line every five seconds.

use super::figures::Figures;
use serde_json::Value;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Pause between two lines when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where the status goes. It is written to standard error, so that standard output holds the totals alone.
pub(super) struct Screen {
    terminal: bool,
    drawn: bool,
    last_line: Option<Instant>,
    before: Option<(Instant, u64)>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = stdout().is_terminal() && stderr().is_terminal();
        Self { terminal, drawn: false, last_line: None, before: None }
    }

    /// Says what is being done.
    pub(super) fn step(&self, what: &str) {
        eprintln!("demo: {what}");
    }

    /// Shows the figures.
    pub(super) fn show(&mut self, running: Duration, of_secs: Option<u64>, now: &Figures, http: SocketAddr) {
        if !self.terminal && self.last_line.is_some_and(|at| at.elapsed() < LINE_EVERY) {
            return;
        }
        let readings = now.readings();
        let rate = self.before.map_or(0.0, |(at, before)| {
            readings.saturating_sub(before) as f64 / at.elapsed().as_secs_f64().max(0.001)
        });
        self.before = Some((Instant::now(), readings));
        let secs = running.as_secs();
        if self.terminal {
            self.draw(secs, of_secs, rate, now, http);
        } else {
            self.last_line = Some(Instant::now());
            eprintln!(
                "demo: {secs} s: devices up {} down {}, readings {readings} ({rate:.0}/s), events {}, open alarms {}, \
                 acknowledged province {} city {}, backlog {}",
                now.devices_up,
                now.failed_devices,
                now.all_events,
                now.open_alarms,
                now.uploads_province,
                now.uploads_city,
                now.backlog
            );
        }
    }

    fn draw(&mut self, secs: u64, of_secs: Option<u64>, rate: f64, now: &Figures, http: SocketAddr) {
        let whole = of_secs.map_or("until Ctrl-C".to_owned(), |whole| format!("of {whole} s"));
        let row = |name: &str, value: String| format!("  {name:<22}{value}\x1b[K\n");
        let mut text = String::new();
        // The first time clear the screen, then only go back to its beginning, which does not flicker.
        text.push_str(if self.drawn { "\x1b[H" } else { "\x1b[2J\x1b[H" });
        text.push_str(&format!(
            "  \x1b[1m校门 Schoolgate\x1b[0m  {secs} s {whole}   http://{http}/\x1b[K\n\x1b[K\n"
        ));
        text.push_str(&row("devices up", format!("{} ({} down)", now.devices_up, now.failed_devices)));
        text.push_str(&row("readings/s", format!("{rate:.0}")));
        text.push_str(&row(
            "readings",
            format!("{} Modbus, {} MQTT", now.modbus_readings, now.mqtt_readings),
        ));
        let events = format!("{} ({} cards, {} cameras)", now.all_events, now.card_events, now.camera_events);
        text.push_str(&row("events", events));
        text.push_str(&row("open alarms", format!("{} ({} raised)", now.open_alarms, now.alarms)));
        let uploads = format!("{} province, {} city", now.uploads_province, now.uploads_city);
        text.push_str(&row("uploads acknowledged", uploads));
        text.push_str(&row("backlog", now.backlog.to_string()));
        text.push_str("\x1b[J");
        self.drawn = true;
        let mut out = stderr().lock();
        // A terminal that has gone away must not end the demonstration.
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }

    /// Leaves the screen as it is and goes below it.
    pub(super) fn close(&self) {
        if self.drawn {
            eprintln!();
        }
    }
}

/// Writes the totals, the last line of standard output.
pub(super) fn last_line(totals: &Value) {
    let mut out = stdout().lock();
    drop(writeln!(out, "{totals}").and_then(|()| out.flush()));
}
