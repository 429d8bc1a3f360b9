//! What is handed over at the end of a shift: the report, and the forms in which it is read.
//!
//! A [`Shift`] is the content: what is signed for, with a hash. A [`Document`] is the same in the words of one language,
//! as sections with tables; [`text`], [`csv`], [`html`] and [`pdf`] print any document.

pub mod csv;
mod document;
mod duty;
pub mod energy;
mod figures;
pub mod html;
pub mod pdf;
mod period;
mod shift;
mod sums;
pub mod text;
mod wording;

pub use document::{Column, Document, LISTED, Section};
pub use duty::{DEFAULT_SHIFTS, Duty, MAX_GUARDS, MAX_SHIFTS};
pub use figures::{Figure, figures};
pub use period::{Delivered, Period, Unit, Uptime, Used};
pub use shift::{AreaLine, Entry, Head, MAX_ENTRIES, Quiet, Rest, Shift, Silent, Upload, Writing};
pub use sums::{Over, Sums};
pub use wording::{figures_document, shift_document};

/// The longest span of a report, milliseconds: 31 days.
pub const MAX_SPAN_MS: i64 = 31 * 24 * 3600 * 1000;

#[cfg(test)]
mod tests;
