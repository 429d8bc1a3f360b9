//! Whether a camera's stream plays: one short RTSP session over TCP, from DESCRIBE to the third frame and TEARDOWN.

use crate::config::Login;
use crate::model::event::words;
use crate::model::reach::Forbidden;
use crate::runtime::reach::reach;
use futures_util::StreamExt as _;
use retina::client::{
    Credentials, Described, PacketItem, PlayOptions, Playing, Session, SessionGroup, SessionOptions,
    SetupOptions, Transport,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

words! {
    /// How a stream is.
    Liveness {
        /// Frames arrive.
        Playing = "playing",
        /// The camera is there, but frames do not come or no longer come.
        Stalled = "stalled",
        /// No connection, no such stream, or it ends at once.
        Gone = "gone",
        /// User name or password refused.
        Unauthorized = "unauthorized",
        /// The camera answers that it will not, or offers no video.
        Refused = "refused",
    }
}

/// Frames that must arrive: one is often still in the server's queue when its source has died.
const FRAMES: usize = 3;
/// How long the TEARDOWN may take; it goes on behind our back if it takes longer.
const TEARDOWN: Duration = Duration::from_secs(1);

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For the TCP connection.
    pub connect: Duration,
    /// For DESCRIBE, SETUP and PLAY together.
    pub answer: Duration,
    /// For three frames after PLAY.
    pub media: Duration,
}

impl Default for Deadlines {
    /// 3 s, 5 s and 7 s: a stall is known within 15 s, and a camera at one frame in two seconds still plays.
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { connect: secs(3), answer: secs(5), media: secs(7) }
    }
}

/// Looks once. The password is sent by Digest where the camera offers it, else by Basic. Dropping the future ends
/// the session as well.
pub async fn probe(url: &Url, login: Option<&Login>, deadlines: Deadlines) -> Liveness {
    let Some(url) = without_login(url) else { return Liveness::Refused };
    if !reachable(&url, deadlines.connect).await {
        return Liveness::Gone;
    }
    let group = Arc::new(SessionGroup::default());
    let liveness = match timeout(deadlines.answer, start(url, login, &group)).await {
        Err(_) => Liveness::Stalled,
        Ok(Err(liveness)) => liveness,
        Ok(Ok(mut session)) => frames(&mut session, deadlines.media).await,
    };
    // The outcome of TEARDOWN changes nothing: the session is over, and the camera forgets it by itself in time.
    drop(timeout(TEARDOWN, group.await_teardown()).await);
    liveness
}

/// The address of a stream that the camera at `device` tells, at the machine that it leads to now; `None` where nobody is
/// let reach that: a camera does not choose what the gateway asks, and with which password.
pub async fn pinned(url: &Url, device: &Url) -> Option<Url> {
    let mut url = without_login(url)?;
    let addresses = match reach(&url, Some(device), &["rtsp"], 554).await {
        Ok(addresses) => addresses,
        Err(Forbidden::NoAddress) => return None,
        Err(why) => {
            tracing::warn!(%why, "the camera gives an RTSP address that is not asked");
            return None;
        }
    };
    url.set_ip_host(addresses.first()?.ip()).ok()?;
    Some(url)
}

/// A login written in the address would be logged with it, and retina refuses it.
fn without_login(url: &Url) -> Option<Url> {
    let mut url = url.clone();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}

async fn reachable(url: &Url, limit: Duration) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connect = tokio::net::TcpStream::connect((host, url.port().unwrap_or(554)));
    matches!(timeout(limit, connect).await, Ok(Ok(_)))
}

async fn start(
    url: Url,
    login: Option<&Login>,
    group: &Arc<SessionGroup>,
) -> Result<Session<Playing>, Liveness> {
    let login =
        login.map(|l| Credentials { username: l.username.clone(), password: l.password.expose().to_owned() });
    let options = SessionOptions::default()
        .creds(login)
        .user_agent("Schoolgate".into())
        .session_group(Arc::clone(group));
    let mut session: Session<Described> = Session::describe(url, options).await.map_err(sort)?;
    let video = session.streams().iter().position(|s| s.media() == "video").ok_or(Liveness::Refused)?;
    let setup = SetupOptions::default().transport(Transport::default());
    session.setup(video, setup).await.map_err(sort)?;
    session.play(PlayOptions::default()).await.map_err(sort)
}

/// Counts frames by their RTP timestamps, which needs no decoder and works for every codec.
async fn frames(session: &mut Session<Playing>, limit: Duration) -> Liveness {
    let mut seen = BTreeSet::new();
    let ended = timeout(limit, async {
        while seen.len() < FRAMES {
            match session.next().await {
                Some(Ok(PacketItem::Rtp(packet))) => {
                    seen.insert(packet.timestamp().timestamp());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(sort(error)),
                None => return Some(Liveness::Gone),
            }
        }
        None
    });
    match ended.await {
        Ok(None) => Liveness::Playing,
        Ok(Some(liveness)) => liveness,
        Err(_) => Liveness::Stalled,
    }
}

fn sort(error: retina::Error) -> Liveness {
    tracing::debug!(%error, "the stream was not reached");
    match error.status_code() {
        Some(401 | 403) => Liveness::Unauthorized,
        Some(404 | 410) | None => Liveness::Gone,
        Some(_) => Liveness::Refused,
    }
}
