//! Rules on trial: what comes out of the past is what was raised then; the rules that are shipped do what their cases
//! say.

mod past;
mod shipped;
