//! Who may do what: accounts, sessions, tokens, and the roles that have rights. What nobody was given, nobody may.
//!
//! Nothing here knows a clock, a file or chance: the moment and the random bytes are given.

mod approvals;
mod lockout;
mod password;
mod registry;
mod role;
mod secret_text;

pub use approvals::{Approvals, Export, NotNow, Stage};
pub use lockout::Lockout;
pub use password::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, check as check_password};
pub use registry::{
    Account, Change, Denied, IDLE_LIMIT, KIOSK_LIMIT, MAX_ACCOUNTS, MAX_TOKENS, Opening, Registry,
    SESSION_LIMIT, Session, Token,
};
pub use role::{Right, Role};
pub use secret_text::{Digest, claim_code, csrf, text_of};
