//! How everything stands now: the last value of each point, which devices answer, which alarms are open.

use super::LinkChange;
use crate::campus::Picture;
use crate::model::few::Few;
use crate::model::{
    Alarm, AreaState, Body, DeviceId, Doubt, Drill, EventKind, Link, Observation, PointId, Reading, Stamp,
    Wall,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The last value of a point.
#[derive(Debug, Clone, PartialEq)]
pub struct PointLive {
    /// The value.
    pub reading: Reading,
    /// When.
    pub stamp: Stamp,
}

/// How a device stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceLive {
    /// Whether it answers, and since when; `None` until it is known.
    pub link: Option<(Link, Wall)>,
    /// When it last said anything.
    pub last_seen: Option<Wall>,
    /// The last value of each point.
    pub points: Few<PointId, PointLive>,
    /// The last event of each kind.
    pub events: BTreeMap<EventKind, Wall>,
}

/// How everything stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// When this was so.
    pub at: Option<Wall>,
    /// Every configured device; shared with the board until it says something new.
    pub devices: BTreeMap<DeviceId, Arc<DeviceLive>>,
    /// Every open alarm, the most urgent first.
    pub alarms: Vec<Alarm>,
    /// How every area stands.
    pub areas: Vec<AreaState>,
    /// The drill that is running.
    pub drill: Option<Drill>,
    /// Good values that came too late for any roll-up.
    pub too_late: u64,
    /// Who is where, in numbers.
    pub campus: Arc<Picture>,
}

#[derive(Debug)]
pub(super) struct LiveBoard(BTreeMap<DeviceId, Arc<DeviceLive>>);

impl LiveBoard {
    pub(super) fn new<'a>(devices: impl Iterator<Item = &'a DeviceId>, links: &[LinkChange]) -> Self {
        let mut board: BTreeMap<_, Arc<DeviceLive>> = devices.map(|d| (d.clone(), Arc::default())).collect();
        for change in links {
            if let Some(device) = board.get_mut(&change.device) {
                Arc::make_mut(device).link = Some((change.link, change.at));
            }
        }
        Self(board)
    }

    pub(super) fn observe(&mut self, seen: &Observation, now: Wall) {
        let Some(device) = self.0.get_mut(&seen.device).map(Arc::make_mut) else { return };
        // What a broker kept says nothing of when the device last spoke.
        if !seen.retained && !matches!(seen.body, Body::Link(_)) {
            device.last_seen = Some(now);
        }
        match &seen.body {
            Body::Link(link) => device.link = Some((*link, now)),
            Body::Reading(reading) => {
                let reading =
                    if seen.retained { reading.clone().doubted(Doubt::Retained) } else { reading.clone() };
                let point = PointLive { reading, stamp: seen.stamp };
                device.points.insert(point.reading.point.clone(), point);
            }
            Body::Event(event) => {
                device.events.insert(event.kind, seen.stamp.effective());
            }
        }
    }

    pub(super) fn picture<'a>(
        &self,
        now: Wall,
        open: impl Iterator<Item = &'a Alarm>,
        too_late: u64,
    ) -> Live {
        let mut alarms: Vec<Alarm> = open.cloned().collect();
        alarms.sort_by_key(|alarm| (alarm.priority, std::cmp::Reverse(alarm.id)));
        Live { at: Some(now), devices: self.0.clone(), alarms, too_late, ..Live::default() }
    }
}
