//! A drill (演练): what is alarmed in it did not happen, and says so wherever it is read.

use super::{Handled, Text, Wall};
use serde::{Deserialize, Serialize};

/// What a text begins with that is of a drill, in Chinese and English.
const MARK: (&str, &str) = ("【演练】", "[DRILL] ");

/// A drill that a person began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Its number, counted from 1.
    pub number: u64,
    /// Who began it, when, and what for.
    pub begun: Handled,
    /// When it is over at the latest.
    pub until: Wall,
    /// How many alarms were raised in it.
    pub alarms: u32,
    /// Who ended it and when: the gateway where its time had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Handled>,
}

/// The text with the mark of a drill before it, once.
#[must_use]
pub fn marked(text: &Text) -> Text {
    let Text { zh, en } = unmarked(text);
    Text::new(format!("{}{zh}", MARK.0), format!("{}{en}", MARK.1))
}

/// The text without the mark: for what shows the mark in its own way.
#[must_use]
pub fn unmarked(text: &Text) -> Text {
    let bare = |text: &str| {
        let mut text = text.trim();
        while let Some(rest) = [MARK.0, MARK.1.trim_end()].iter().find_map(|mark| text.strip_prefix(mark)) {
            text = rest.trim_start();
        }
        text.to_owned()
    };
    Text::new(bare(&text.zh), bare(&text.en))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_marked_once_and_in_both_languages() {
        let bare = Text::new("火警", "fire");
        let once = Text::new("【演练】火警", "[DRILL] fire");
        // What a person has marked, in whichever language, is not marked twice.
        for text in [bare.clone(), once.clone(), Text::new("【演练】【演练】火警", "[DRILL] 【演练】fire")]
        {
            assert_eq!((marked(&text), unmarked(&text)), (once.clone(), bare.clone()), "{text:?}");
        }
        assert_eq!(marked(&Text::same("")), Text::new("【演练】", "[DRILL] "));
    }
}
