//! A document in the words of one language: facts, sections with tables, signatures. Every form prints the same.

use crate::model::Lang;

/// Rows of a table that are printed; of further ones only how many there are. A CSV file has all.
pub const LISTED: usize = 500;

/// What is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// In which language.
    pub lang: Lang,
    /// What it is.
    pub title: String,
    /// Whose it is.
    pub site: String,
    /// What holds of all of it: a name and a value each.
    pub facts: Vec<(String, String)>,
    /// Its parts.
    pub sections: Vec<Section>,
    /// Who signs it, each on a line of their own.
    pub signatures: Vec<String>,
    /// SHA-256 of its content, 64 hexadecimal digits.
    pub hash: String,
}

/// A part of a document: a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub title: String,
    /// What stands there when there are no rows.
    pub empty: String,
    /// What stands below the rows.
    pub note: Option<String>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: as many cells as columns.
    pub rows: Vec<Vec<String>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands in it.
    pub title: String,
    /// How wide it is, beside the others.
    pub share: u16,
}

impl Section {
    /// The rows that are printed.
    #[must_use]
    pub fn listed(&self) -> &[Vec<String>] {
        self.rows.get(..LISTED).unwrap_or(&self.rows)
    }
}

impl Document {
    /// What stands below a table of which not all rows are printed.
    #[must_use]
    pub fn more(&self, section: &Section) -> Option<String> {
        let more = section.rows.len().saturating_sub(LISTED);
        (more > 0).then(|| match self.lang {
            Lang::Zh => format!("另有{more}条未列出，完整内容见 CSV"),
            Lang::En => format!("{more} more are not listed; the CSV file has all"),
        })
    }

    /// The lines below a section's table.
    pub(super) fn below(&self, section: &Section) -> impl Iterator<Item = String> {
        let empty = section.rows.is_empty().then(|| section.empty.clone());
        empty.into_iter().chain(self.more(section)).chain(section.note.clone())
    }

    /// The word before the hash.
    pub(super) fn hash_line(&self) -> String {
        format!("SHA-256 {}", self.hash)
    }
}
