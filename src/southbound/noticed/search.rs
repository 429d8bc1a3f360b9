//! Asks an access terminal for the passes of a span of time, page by page (ISAPI, `AcsEvent`).

use super::web::{MAX_ANSWER, Web, WebError};
use crate::model::{Mono, Wall};
use crate::notice::isapi::{self, Page};
use jiff::tz::TimeZone;
use reqwest::Method;

/// Most pages of one search, 30 passes each: more than a terminal keeps.
const MAX_PAGES: u32 = 5_000;

/// One search.
pub(crate) struct Search {
    id: String,
    from: String,
    to: String,
    position: u64,
    pages: u32,
    over: bool,
}

impl Search {
    /// From and to are times of the device, which it wants in its own zone.
    pub(crate) fn new(from: Wall, to: Wall, zone: &TimeZone) -> Self {
        let mut id = [0; 8];
        // Two searches of the same name are kept apart by their times; without random bytes nothing is lost.
        getrandom::fill(&mut id).ok();
        Self {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            from: local(from, zone),
            to: local(to, zone),
            position: 0,
            pages: 0,
            over: false,
        }
    }

    /// The next page, or `None` behind the last.
    pub(crate) async fn next(&mut self, web: &mut Web, now: Mono) -> Result<Option<Page>, WebError> {
        if self.over || self.pages >= MAX_PAGES {
            return Ok(None);
        }
        let question = isapi::ask(&self.id, self.position, &self.from, &self.to);
        let path = "/ISAPI/AccessControl/AcsEvent?format=json";
        let answer = web.ask(Method::POST, path, Some(question), now).await?;
        let page = isapi::page(&web.whole(answer, MAX_ANSWER).await?).map_err(WebError::Unreadable)?;
        let step = page.count.max(u64::try_from(page.notices.len()).unwrap_or(0));
        self.position = self.position.saturating_add(step);
        self.pages += 1;
        self.over = !page.more || step == 0;
        Ok(Some(page))
    }
}

fn local(at: Wall, zone: &TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => at.to_string(),
    }
}
