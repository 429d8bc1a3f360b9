//! Once a day the head of the audit trail is owed to every platform, so that a trail that was cut short or made anew
//! shows outside of the school.

use crate::model::{AuditHead, Input};
use crate::pipeline::AUDIT_HEAD;
use crate::runtime::lanes::PeopleDesk;
use crate::runtime::{Chain, Clock};
use crate::store::{Reader, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// From one head to the next, milliseconds.
const EVERY_MS: i64 = 24 * 60 * 60 * 1000;
/// Pause between two looks at whether it is time.
const LOOK: Duration = Duration::from_mins(10);
/// Pause until the next look at a trail that has no entry yet: the first commit brings one.
const BEGINNING: Duration = Duration::from_secs(1);

/// Whether a head is to be sent.
enum Due {
    Now(AuditHead),
    /// There is nothing to send yet.
    Soon,
    /// The last is not a day old.
    Later,
}

pub(super) async fn send(data_dir: PathBuf, pipe: PeopleDesk, clock: Arc<dyn Clock>) {
    loop {
        let (dir, now) = (data_dir.clone(), clock.now().wall);
        let look = tokio::task::spawn_blocking(move || -> Result<Due, StoreError> {
            let reader = Reader::open(&dir)?;
            // A clock that was set back must not keep the head at home.
            let last = reader.last_done(AUDIT_HEAD)?.filter(|last| (0..EVERY_MS).contains(&now.since(*last)));
            if last.is_some() {
                return Ok(Due::Later);
            }
            Ok(reader.audit_head(now)?.map_or(Due::Soon, Due::Now))
        });
        let mut pause = LOOK;
        match look.await {
            Ok(Ok(Due::Later)) => {}
            Ok(Ok(Due::Soon)) => pause = BEGINNING,
            Ok(Ok(Due::Now(head))) => {
                if pipe.deliver(vec![Input::AuditHead(head)]).await.is_err() {
                    // The gateway is stopping.
                    return;
                }
            }
            Ok(Err(error)) => tracing::error!(
                error = %Chain(&error),
                "the head of the audit trail could not be read for the platforms; it is tried again"
            ),
            Err(error) => tracing::error!(error = %error, "the look at the audit trail was cut off"),
        }
        tokio::time::sleep(pause).await;
    }
}
