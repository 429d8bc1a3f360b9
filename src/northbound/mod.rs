//! To come: the platforms.
