//! The pump against scripted platforms, in virtual time.
