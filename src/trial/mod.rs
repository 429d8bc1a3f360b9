//! Rules on trial: on cases that stand beside them as data, and on the past once more. Nothing of it is stored or told.
//!
//! A case runs through the same [`crate::pipeline::Pipeline`] as the gateway, in simulated time. The past runs through
//! the same engine and alarm book, fed with what is stored, in the order in which it arrived.

mod again;
mod case;
mod compare;
mod given;
mod play;
mod span;
mod wanted;

pub use again::{Again, Begin, Done, Told};
pub use case::{Case, Expected, cases};
pub use compare::{Compared, Episode, Episodes, compare};
pub use play::{Happened, Outcome, play};
pub use wanted::{Want, Wanted};
