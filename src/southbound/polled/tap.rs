//! The bytes of a bus as they go and come, for whoever wants to look on.

use tokio::sync::mpsc;
use tokio::time::Instant;

/// Where the bytes are copied to. A full one misses some; the bus never waits for it.
pub type Tap = mpsc::Sender<Frame>;

/// Bytes that went over the bus together: a whole request, or what was received at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When, in milliseconds since the tap was set.
    pub at_ms: u64,
    /// Whether we sent it.
    pub sent: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A tap, or none.
#[derive(Debug, Clone, Default)]
pub(in crate::southbound) struct Tapped(Option<(Tap, Instant)>);

impl Tapped {
    pub(in crate::southbound) fn new(tap: Option<Tap>) -> Self {
        Self(tap.map(|tap| (tap, Instant::now())))
    }

    pub(in crate::southbound) fn sent(&self, bytes: &[u8]) {
        self.copy(bytes, true);
    }

    pub(in crate::southbound) fn came(&self, bytes: &[u8]) {
        self.copy(bytes, false);
    }

    fn copy(&self, bytes: &[u8], sent: bool) {
        let Some((tap, since)) = &self.0 else { return };
        let at_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Whoever looks on too slowly misses something.
        tap.try_send(Frame { at_ms, sent, bytes: bytes.to_vec() }).ok();
    }
}
