//! hil

#[cfg(feature = "doubles")]
pub mod doubles;
