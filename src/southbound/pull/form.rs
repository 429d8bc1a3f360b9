//! The two forms of a pulled stream, as one.

use crate::notice::parts::Part;
use crate::notice::{Notice, Unreadable, dahua, isapi};
use std::time::Duration;

/// Whose stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Hikvision.
    Isapi,
    /// Dahua.
    Dahua,
}

impl Form {
    /// Where it is.
    pub(super) fn path(self, heartbeat: Duration) -> String {
        match self {
            Self::Isapi => "/ISAPI/Event/notification/alertStream".into(),
            Self::Dahua => {
                let secs = heartbeat.as_secs();
                format!("/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat={secs}")
            }
        }
    }

    /// What one part says; nothing, if it is a heartbeat.
    pub(super) fn read(self, part: &Part) -> Result<Vec<Notice>, Unreadable> {
        match self {
            Self::Isapi => Ok(isapi::read(&part.content_type, &part.body)?.notices),
            Self::Dahua => Ok(dahua::read(&part.body)?.into_iter().collect()),
        }
    }
}
