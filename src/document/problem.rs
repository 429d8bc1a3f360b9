//! What is wrong in a file, where, and what to write instead.

use crate::model::{Lang, Text};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The file, as the person named it.
    pub file: Arc<str>,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// What stands there: one line, at most 120 characters.
    pub text: String,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub spot: Spot,
    /// What is wrong.
    pub message: Text,
    /// What to write instead.
    pub advice: Text,
}

impl Problem {
    /// `file:line:column: message`, and the offending text and the advice on lines of their own.
    #[must_use]
    pub fn in_lang(&self, lang: Lang) -> String {
        let Spot { file, line, column, text } = &self.spot;
        let (message, advice) = (self.message.in_lang(lang), self.advice.in_lang(lang));
        let quoted = if text.is_empty() { String::new() } else { format!("    {text}\n") };
        format!("{file}:{line}:{column}: {message}\n{quoted}    -> {advice}")
    }
}

impl fmt::Display for Problem {
    /// In English, as logs are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_lang(Lang::En))
    }
}

/// All the problems found so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one.
    pub fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Notes one at a place.
    pub fn at(&self, spot: &Spot, message: impl Into<Text>, advice: impl Into<Text>) {
        self.add(Problem { spot: spot.clone(), message: message.into(), advice: advice.into() });
    }

    /// How many so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All of them by file, line and column, each once.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut all = self.0.into_inner();
        // In every language in the same order.
        all.sort_by(|a, b| {
            (&a.spot, &a.message.en, &a.advice.en).cmp(&(&b.spot, &b.message.en, &b.advice.en))
        });
        all.dedup();
        all
    }
}
