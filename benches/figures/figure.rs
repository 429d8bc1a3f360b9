//! One figure: its value beside its goal and what it was compared to, as a line and in `target/figures.json`.

use serde::Serialize;
use serde_json::Value;
use std::error::Error;
use std::path::Path;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// Told for what it explains; there is nothing to reach.
    Info,
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
            Self::Info => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!(">= {limit}"),
            Self::AtMost(limit) => format!("<= {limit}"),
            Self::Below(limit) => format!("< {limit}"),
            Self::Info => "info".to_owned(),
        }
    }
}

/// One figure as it is printed and written down.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    value: f64,
    unit: &'static str,
    goal: String,
    pass: bool,
    compared_to: String,
}

impl Figure {
    /// Keeps four digits: more would be noise.
    pub(crate) fn new(
        name: &'static str,
        value: f64,
        unit: &'static str,
        goal: Goal,
        compared_to: String,
    ) -> Self {
        let value = format!("{value:.3e}").parse().unwrap_or(value);
        Self { name, value, unit, goal: goal.text(), pass: goal.met(value), compared_to }
    }

    pub(crate) fn line(&self) -> String {
        let Self { name, value, unit, goal, pass, compared_to } = self;
        format!("{name:<24} {value:>9} {unit:<10} {goal:<8} {pass:<5} {compared_to}")
    }
}

/// Writes figures into `target/figures.json`, in place of those of the same name; the others stay.
pub(crate) fn add(figures: &[Figure]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/figures.json");
    // What is no list of figures is written anew.
    let old = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Vec<Value>>(&bytes).ok());
    let mut all = old.unwrap_or_default();
    for figure in figures {
        let new = serde_json::to_value(figure)?;
        match all.iter_mut().find(|old| old.get("name") == new.get("name")) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut text = serde_json::to_string_pretty(&all)?;
    text.push('\n');
    Ok(std::fs::write(path, text)?)
}
