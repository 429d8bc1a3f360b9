//! What takes time and somebody asks for: scans of a line or a network, one device on the spot, rules on the past. The
//! command line and the API both work with it; neither progress nor stop is its own.

pub mod look;
pub mod past;
pub mod replay;
pub mod scan;
mod survey;
mod wire;
pub mod written;

pub use survey::{Survey, Where, endpoints, host_and_port, ids, parity};
pub use wire::{open, place_of};

use crate::model::Text;
use std::time::Duration;

/// What a long piece of work says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Where it stands: so much of so much, in words.
    At {
        /// So much is done.
        done: u64,
        /// Of so much.
        of: u64,
        /// In words.
        words: Text,
    },
    /// Something that stays.
    Stays(Text),
}

impl Told {
    fn at(done: usize, of: usize, words: Text) -> Self {
        let number = |n| u64::try_from(n).unwrap_or(u64::MAX);
        Self::At { done: number(done), of: number(of), words }
    }
}

/// Who hears it.
pub type Teller<'p> = Box<dyn FnMut(Told) + Send + 'p>;

/// A time left, for people.
#[must_use]
pub fn left(time: Duration) -> Text {
    let secs = time.as_secs() + 1;
    if secs < 90 {
        Text::new(format!("还需约 {secs} 秒"), format!("about {secs} s left"))
    } else {
        let minutes = secs.div_ceil(60);
        Text::new(format!("还需约 {minutes} 分钟"), format!("about {minutes} min left"))
    }
}
