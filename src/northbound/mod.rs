//! The platforms: what is owed to each is sent in order, signed its way, until it says that it has it.
//!
//! [`Pump`] decides and takes the time as an argument; a [`PlatformAdapter`] knows one family of interfaces; both are
//! pure. [`Uplink`] does all the I/O, one task per destination, so that one destination never delays another.

mod adapter;
mod batch;
mod eduyun;
mod envelope;
mod outage;
mod pump;
mod reply;
mod shield;
mod status;
mod uplink;

pub use adapter::{
    ADAPTER_KINDS, AdapterError, AdapterKind, EncodeContext, Interface, MakeAdapter, PlatformAdapter,
    Request, TokenVerdict, Verdict, Why, adapter_for,
};
pub use batch::{Batch, Sender};
pub use eduyun::{Eduyun, key_info};
pub use envelope::{Envelope, PartialFailure};
pub use outage::{OUTAGE_AFTER, Outages};
pub use pump::{Limits, Outcome, Pump, Step};
pub use reply::{Lost, NoReply, Reply, parse_http_date, parse_retry_after};
pub use shield::{Shield, content_md5, signature, string_to_sign};
pub use status::{DestinationStatus, UplinkState};
pub use uplink::{Owed, STOP_GRACE, Uplink, UplinkError};
