//! What the demonstration counts: legs that must carry something, and failures beside them.

use super::metrics::Metrics;
use crate::platform::Platform;
use crate::school::School;
use serde_json::{Value, json};

/// Figures at one moment. A leg counts what is committed in the gateway's store, or acknowledged by a platform.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) modbus_readings: u64,
    pub(super) mqtt_readings: u64,
    pub(super) card_events: u64,
    pub(super) camera_events: u64,
    pub(super) all_events: u64,
    pub(super) alarms: u64,
    pub(super) open_alarms: u64,
    pub(super) uploads_province: u64,
    pub(super) uploads_city: u64,
    pub(super) backlog: u64,
    pub(super) devices_up: u64,
    pub(super) failed_devices: u64,
    failed_uploads_province: u64,
    failed_uploads_city: u64,
    failed_set_aside: u64,
    failed_decodes: u64,
    failed_order: u64,
    failed_signatures: u64,
}

impl Figures {
    pub(super) fn of(metrics: &Metrics, school: &School) -> Self {
        let readings = |bus| metrics.sum("schoolgate_readings_total", &[("bus", bus)]);
        let events = |labels: &[(&str, &str)]| metrics.sum("schoolgate_events_total", labels);
        let devices = |state| metrics.sum("schoolgate_devices", &[("state", state)]);
        let attempts =
            |destination| metrics.sum("schoolgate_upload_failures_total", &[("destination", destination)]);
        // Both sides must have counted it: the gateway that it was acknowledged, the platform that it was new.
        let uploads = |destination, platform: &Platform| {
            let settled = metrics.sum("schoolgate_uploads_total", &[("destination", destination)]);
            settled.min(platform.stats().acknowledged_total())
        };
        let (province, city) = (school.province.stats(), school.city.stats());
        Self {
            modbus_readings: readings("meters-*"),
            mqtt_readings: readings("mqtt"),
            card_events: events(&[("bus", "mqtt"), ("kind", "credential")]),
            camera_events: events(&[("bus", "cameras")]),
            all_events: events(&[]),
            alarms: metrics.sum("schoolgate_alarms_raised_total", &[]),
            open_alarms: metrics.sum("schoolgate_alarms_open", &[]),
            uploads_province: uploads("province", &school.province),
            uploads_city: uploads("city", &school.city),
            backlog: metrics.sum("schoolgate_backlog_records", &[]),
            devices_up: devices("up"),
            failed_devices: devices("down"),
            failed_uploads_province: attempts("province"),
            failed_uploads_city: attempts("city"),
            failed_set_aside: metrics.sum("schoolgate_set_aside_total", &[]),
            failed_decodes: metrics.sum("schoolgate_refused_total", &[]),
            failed_order: province.out_of_order + city.out_of_order,
            failed_signatures: province.refused + city.refused,
        }
    }

    /// The legs, by name.
    fn legs(&self) -> [(&'static str, u64); 7] {
        [
            ("modbus_readings", self.modbus_readings),
            ("mqtt_readings", self.mqtt_readings),
            ("card_events", self.card_events),
            ("camera_events", self.camera_events),
            ("alarms", self.alarms),
            ("uploads_province", self.uploads_province),
            ("uploads_city", self.uploads_city),
        ]
    }

    /// Legs that carried nothing.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        self.legs().into_iter().filter(|(_, count)| *count == 0).map(|(leg, _)| leg).collect()
    }

    /// All readings.
    pub(super) fn readings(&self) -> u64 {
        self.modbus_readings + self.mqtt_readings
    }

    /// The totals, as the last line says them.
    pub(super) fn json(&self) -> Value {
        let mut all = json!({
            "failed_devices": self.failed_devices,
            "failed_uploads_province": self.failed_uploads_province,
            "failed_uploads_city": self.failed_uploads_city,
            "failed_set_aside": self.failed_set_aside,
            "failed_decodes": self.failed_decodes,
            "failed_order": self.failed_order,
            "failed_signatures": self.failed_signatures,
        });
        for (leg, count) in self.legs() {
            all[leg] = count.into();
        }
        all
    }
}
