//! The registry, step by step and in random histories.
