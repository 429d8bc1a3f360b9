//! Terminals, recorders and panels: which of a device's own codes is which event.

use super::{Context, Decoded, Refusal};
use crate::document::Reader;
use crate::model::{Body, Event, EventKind, Phase};
use crate::notice::{At, Notice};

/// A device's table of codes.
#[derive(Debug, Clone)]
pub(super) struct Codes;

impl Codes {
    /// Reads every `[[code]]`.
    pub(super) fn parse(_reader: &Reader<'_>) -> Self {
        Self
    }

    /// The kinds of events it gives.
    pub(super) fn events(&self) -> Vec<EventKind> {
        vec![EventKind::Other]
    }

    pub(super) fn decode(&self, cx: &Context<'_>, notice: &Notice) -> Result<Vec<Decoded>, Refusal> {
        let mut event = Event::bare(EventKind::Other, notice.phase.unwrap_or(Phase::Moment));
        event.code = Some(notice.code.clone());
        event.serial.clone_from(&notice.serial);
        let device_time = match notice.at {
            Some(At::Wall(at)) => Some(at),
            Some(At::Local(at)) => {
                cx.zone.to_timestamp(at).ok().map(|at| crate::model::Wall(at.as_millisecond()))
            }
            None => None,
        };
        Ok(vec![Decoded { device_time, body: Body::Event(event) }])
    }
}
