//! What tests of drivers stand on: the field of a school, and what comes out of its lanes.

use super::Field;
use super::polled::CommandBook;
use crate::config::Site;
use crate::model::{DeviceId, SiteKey};
use crate::runtime::lanes::{Outlet, lanes};
use crate::runtime::{Clock, Tally};
use jiff::tz::TimeZone;
use std::sync::Arc;

pub(super) fn field(clock: Arc<dyn Clock>) -> (Field, Outlet) {
    let (inlet, outlet) = lanes();
    let gateway = DeviceId::new("gw").unwrap();
    let site = Site { gateway, name: "school".into(), school_code: None, zone: TimeZone::UTC };
    let field = Field {
        inlet,
        clock,
        tally: Arc::new(Tally::default()),
        site_key: SiteKey::new([1; 32]),
        site: Arc::new(site),
        commands: CommandBook::default(),
        allow_health: false,
    };
    (field, outlet)
}
