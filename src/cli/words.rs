//! In which language the command line speaks: Chinese where the person's locale is, else English.

use crate::document::Problem;
use crate::model::{Lang, Text};
use std::io::{self, Write};

/// The language of the person's locale.
pub(super) fn lang() -> Lang {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    if locale.is_some_and(|value| value.starts_with("zh")) { Lang::Zh } else { Lang::En }
}

/// The one of two sentences that the person reads.
pub(super) fn say(zh: impl Into<String>, en: impl Into<String>) -> String {
    said(&Text::new(zh, en))
}

/// The sentence that the person reads.
pub(super) fn said(text: &Text) -> String {
    text.in_lang(lang()).to_owned()
}

/// What is to be mended, in the person's language.
pub(super) fn tell<'p>(
    problems: impl IntoIterator<Item = &'p Problem>,
    out: &mut impl Write,
) -> io::Result<()> {
    problems.into_iter().try_for_each(|problem| writeln!(out, "{}", problem.in_lang(lang())))
}
