//! The simulated school: meters, sensors, readers, cameras, broker and platforms over real sockets.
//!
//! It knows the standards and nothing of Schoolgate's code, so that it can be a witness against it. Everything binds
//! to 127.0.0.1, on a port the system chooses unless one is given, and ends when its owner is dropped.

pub mod broker;
pub mod camera;
pub mod chance;
pub mod demo;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "doubles")]
pub mod doubles;
pub mod fleet;
pub mod line;
pub mod meters;
pub mod moment;
pub mod paced;
pub mod platform;
pub mod school;
pub mod tasks;
pub mod things;
