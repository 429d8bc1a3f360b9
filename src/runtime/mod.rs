//! What edges stand on: clocks, backoff, lanes into the pipe, tallies, error chains, TLS, the service manager.

pub mod backoff;
pub mod chain;
pub mod clock;
pub mod control_desk;
pub mod lanes;
pub mod reach;
pub mod response_desk;
pub mod sealing;
pub mod service;
pub mod tally;
pub mod tasks;
pub mod tls;
pub mod whole;

pub use backoff::Backoff;
pub use chain::Chain;
pub use clock::{Clock, ManualClock, SystemClock};
pub use control_desk::{ControlDesk, ControlOffice};
pub use lanes::{Inlet, Outlet, Receipt};
pub use response_desk::ResponseDesk;
pub use tally::Tally;
pub use tasks::Tasks;
