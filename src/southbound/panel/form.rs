//! The two forms in which panels speak, as one.

use crate::model::{EventKind, Phase};
use crate::notice::{Notice, Unreadable, contact_id, fire};
use crate::southbound::noticed::desk::Cry;

/// Which form a bus hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// GB/T 26875.3.
    Fire {
        /// Whether the lowest byte of an address comes first, as the standard says.
        lowest_first: bool,
    },
    /// Contact ID in SIA DC-09.
    ContactId,
}

/// What was found in the stream.
#[derive(Debug)]
pub(super) struct Heard {
    /// Who says it; `None` of bytes that are no frame.
    pub(super) address: Option<String>,
    pub(super) said: Result<Vec<Notice>, Unreadable>,
    /// Bytes that could not be read.
    pub(super) len: usize,
    /// What to answer when it is kept; nothing where no answer is wanted.
    pub(super) yes: Vec<u8>,
    /// What to answer when it cannot be understood.
    pub(super) no: Vec<u8>,
}

/// Finds what is said in the bytes of one connection.
#[derive(Debug)]
pub(super) enum Ear {
    Fire(fire::Frames, bool),
    ContactId(contact_id::Frames),
}

impl Ear {
    pub(super) fn new(form: Form) -> Self {
        match form {
            Form::Fire { lowest_first } => Self::Fire(fire::Frames::new(), lowest_first),
            Form::ContactId => Self::ContactId(contact_id::Frames::new()),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Fire(frames, _) => frames.feed(bytes),
            Self::ContactId(frames) => frames.feed(bytes),
        }
    }

    pub(super) fn next(&mut self) -> Option<Heard> {
        let heard = match self {
            Self::Fire(frames, lowest_first) => frames.next()?.map(|frame| of_fire(&frame, *lowest_first)),
            Self::ContactId(frames) => frames.next()?.map(|frame| of_intrusion(&frame)),
        };
        Some(heard.unwrap_or_else(|wrong| Heard {
            address: None,
            said: Err(wrong),
            len: 0,
            yes: Vec::new(),
            no: Vec::new(),
        }))
    }
}

fn of_fire(frame: &fire::Frame, lowest_first: bool) -> Heard {
    let address = if lowest_first {
        fire::address(frame)
    } else {
        frame.source.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let mut said = fire::read(frame);
    for notice in said.iter_mut().flatten() {
        // A frame that came twice may tell a fire twice; a number that came round again must not swallow one.
        if notice.phase != Some(Phase::Moment) {
            notice.serial = None;
        }
    }
    let (yes, no) = if frame.wants_answer() {
        (fire::acknowledge(frame), fire::refuse(frame))
    } else {
        (Vec::new(), Vec::new())
    };
    Heard { address: Some(address.to_string()), said, len: frame.data.len(), yes, no }
}

fn of_intrusion(frame: &contact_id::Frame) -> Heard {
    let mut said = contact_id::read(frame);
    for notice in said.iter_mut().flatten() {
        if cry(notice).is_some() {
            notice.serial = None;
        }
    }
    Heard {
        address: Some(frame.account.clone()),
        said,
        len: 0,
        yes: contact_id::acknowledge(frame),
        no: contact_id::refuse(frame),
    }
}

/// Whether a notice is a fire or a call for help whoever sent it: a fire of GB/T 26875.3 or its manual alarm, or Contact
/// ID's 11x (fire), 100 (medical) and 12x (panic and duress).
pub(super) fn cry(notice: &Notice) -> Option<Cry> {
    let kind = match notice.code.as_str() {
        "fire" | "op_manual_alarm" => EventKind::Fire,
        "121" | "124" | "125" => EventKind::Duress,
        "100" => EventKind::Help,
        code if code.len() == 3 && code.starts_with("11") => EventKind::Fire,
        code if code.len() == 3 && code.starts_with("12") => EventKind::Help,
        _ => return None,
    };
    Some(Cry { kind, phase: notice.phase.unwrap_or(Phase::Moment) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fire_help_and_duress_of_strangers_are_alarms() {
        for (code, kind) in [
            ("fire", Some(EventKind::Fire)),
            ("110", Some(EventKind::Fire)),
            ("118", Some(EventKind::Fire)),
            ("120", Some(EventKind::Help)),
            ("121", Some(EventKind::Duress)),
            ("100", Some(EventKind::Help)),
            ("130", None),
            ("401", None),
            ("fault", None),
            ("1100", None),
        ] {
            assert_eq!(cry(&Notice::bare(code)).map(|cry| cry.kind), kind, "{code}");
        }
    }
}
