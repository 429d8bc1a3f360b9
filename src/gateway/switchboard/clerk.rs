//! Has notes of controls made durable in their order, all that wait in one commit.

use crate::model::ControlId;
use crate::pipeline::Commit;
use crate::runtime::Chain;
use crate::store;
use tokio::sync::mpsc;

/// Most notes in one commit.
const AT_ONCE: usize = 64;

/// What a restart has to know of a control, and rows of the audit trail.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) control: ControlId,
    /// Who waits until it is durable.
    pub(super) ticket: Option<u64>,
    pub(super) commit: Commit,
}

/// Where notes come in, and where it is told that they are durable.
pub(in crate::gateway) struct Desk {
    pub(super) notes: mpsc::Receiver<Note>,
    pub(super) stored: mpsc::Sender<(ControlId, u64)>,
}

/// Works until nobody brings notes any more, or the store gives up; the process has to end then.
pub(in crate::gateway) async fn clerk(mut desk: Desk, store: store::Handle) {
    let mut waiting = Vec::new();
    while desk.notes.recv_many(&mut waiting, AT_ONCE).await > 0 {
        let mut commit = Commit::default();
        let mut tickets = Vec::new();
        for note in waiting.drain(..) {
            commit.absorb(note.commit);
            tickets.extend(note.ticket.map(|ticket| (note.control, ticket)));
        }
        if let Err(error) = store.commit(commit).await {
            tracing::error!(error = %Chain(&error), "what was switched could not be written down");
            return;
        }
        for told in tickets {
            if desk.stored.send(told).await.is_err() {
                break;
            }
        }
    }
}
