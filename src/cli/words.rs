//! In which language the command line speaks: Chinese where the person's locale is, else English.

use crate::model::{Lang, Text};

/// The language of the person's locale.
pub(super) fn lang() -> Lang {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if locale.is_some_and(|value| value.starts_with("zh")) { Lang::Zh } else { Lang::En }
}

/// The one of two sentences that the person reads.
pub(super) fn say(zh: impl Into<String>, en: impl Into<String>) -> String {
    said(Text::new(zh, en))
}

/// The sentence that the person reads.
pub(super) fn said(text: Text) -> String {
    match lang() {
        Lang::Zh => text.zh,
        Lang::En => text.en,
    }
}
