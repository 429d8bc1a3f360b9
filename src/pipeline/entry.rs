//! Rows of the audit trail.

use crate::model::{Actor, Audit, Hazard, Wall};

/// What the gateway did or saw.
pub(super) fn noted(at: Wall, action: &'static str, subject: String, detail: &str) -> Audit {
    Audit { at, actor: "system".into(), action, subject: subject.into(), detail: detail.to_owned() }
}

/// A step of a hazard, for the audit trail.
pub(super) fn stepped(at: Wall, actor: &Actor, hazard: &Hazard, note: &str) -> Audit {
    let subject = format!("hazard {}", hazard.id).into();
    let detail = format!("{}: {note}", hazard.stage());
    Audit { at, actor: actor.as_str().to_owned().into(), action: "hazard", subject, detail }
}
