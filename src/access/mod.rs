//! Who may do what: roles, and the rights that each of them has. What nobody was given, nobody may.

mod role;

pub use role::{Right, Role};
