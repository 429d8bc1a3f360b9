//! What the tests of several channels stand on.

use super::{Means, Message, Occasion};
use crate::config::{Channel, ChannelKind, Languages, Robot, Site, Web};
use crate::model::{AlarmClass, AlarmId, ChannelId, DeviceId, Priority, Secret, Text, Wall};
use crate::runtime::{ManualClock, Tally, control_desk};
use std::sync::Arc;

/// 2026-09-01 08:00:00 in China.
pub(super) const AT: Wall = Wall(1_788_220_800_000);

pub(super) fn message() -> Message {
    Message {
        number: 7,
        occasion: Occasion::Raised,
        priority: Priority::Critical,
        class: Some(AlarmClass::Help),
        drill: false,
        title: Text::new("求助按钮被按下", "help button pressed"),
        place: Some(Text::new("1号楼 3层", "Building 1, floor 3")),
        lines: vec![Text::new("请立即前往", "go there at once")],
        at: AT,
        alarms: vec![AlarmId(12)],
    }
}

pub(super) fn site() -> Site {
    Site {
        gateway: DeviceId::new("gw-1").unwrap(),
        name: "示例小学".into(),
        school_code: None,
        zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(8)),
    }
}

pub(super) fn means() -> Means {
    Means {
        clock: Arc::new(ManualClock::new(AT)),
        tally: Arc::new(Tally::default()),
        site: Arc::new(site()),
        controls: control_desk::desk(true).0,
    }
}

pub(super) fn channel(kind: ChannelKind) -> Channel {
    let id = ChannelId::new("people").unwrap();
    Channel {
        name: id.to_string(),
        id,
        languages: Languages::Zh,
        quiet: None,
        max_per_minute: None,
        drill: false,
        kind,
    }
}

pub(super) fn robot(url: &str) -> Robot {
    Robot { url: Secret::from_file_text(url), secret: None, web: Web::default(), keyword: None }
}
