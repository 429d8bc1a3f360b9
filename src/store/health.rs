//! How the store is, and the alarms that it is worth.

use super::StoreFault;
use crate::model::{AlarmClass, AlarmKey, Priority, RuleId, Text};
use crate::rules::{Finding, Level};
use std::path::PathBuf;

/// How the store is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be stored at the moment.
    pub fault: Option<StoreFault>,
    /// Old data is being given up because the room that the store may take is used up.
    pub sacrificing: bool,
    /// What was found damaged at start.
    pub rescued: Option<Rescued>,
}

/// A database that was found damaged and moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Where the damaged files are now.
    pub kept_in: PathBuf,
    /// Rows taken over into the new file.
    pub rows: u64,
    /// Tables of which some rows could not be read, or which were too long to be read at start.
    pub torn: Vec<String>,
}

impl Health {
    /// What to tell the pipeline, given what it was told before.
    #[must_use]
    pub fn findings(&self, before: &Self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for fault in [StoreFault::Full, StoreFault::ReadOnly, StoreFault::Busy, StoreFault::Io] {
            let (was, is) = (before.fault == Some(fault), self.fault == Some(fault));
            if was != is {
                findings.extend(finding(fault.as_str(), level(is), Priority::High, says(fault)));
            }
        }
        if self.sacrificing != before.sacrificing {
            let what = Text::new(
                "存储空间已用完，正在删除最早的读数",
                "the room for data is used up: the oldest readings are being given up",
            );
            findings.extend(finding("dropped", level(self.sacrificing), Priority::Medium, what));
        }
        if let Some(rescued) = self.rescued.as_ref().filter(|_| before.rescued.is_none()) {
            findings.extend(finding("damaged", Level::Happened, Priority::High, rescued.says()));
        }
        findings
    }
}

impl Rescued {
    fn says(&self) -> Text {
        let (dir, rows) = (self.kept_in.display(), self.rows);
        let torn = self.torn.join(", ");
        if torn.is_empty() {
            Text::new(
                format!("数据库损坏，已移至 {dir}；{rows} 行数据全部恢复"),
                format!(
                    "the database was damaged and moved to {dir}; all of its {rows} rows were taken over"
                ),
            )
        } else {
            Text::new(
                format!("数据库损坏，已移至 {dir}；恢复 {rows} 行，以下表不完整：{torn}"),
                format!(
                    "the database was damaged and moved to {dir}; {rows} rows were taken over, not all of: {torn}"
                ),
            )
        }
    }
}

fn level(holds: bool) -> Level {
    if holds { Level::Holds } else { Level::Ended }
}

fn says(fault: StoreFault) -> Text {
    match fault {
        StoreFault::Full => Text::new(
            "磁盘已满，无法保存数据；请清理空间",
            "the disk is full and nothing can be stored; free some room",
        ),
        StoreFault::ReadOnly => Text::new(
            "存储只读，无法保存数据；请检查存储卡和挂载状态",
            "the storage is read-only and nothing can be stored; check the card and how it is mounted",
        ),
        StoreFault::Busy => Text::new(
            "数据库被其他程序锁定，无法保存数据",
            "another program holds the database and nothing can be stored",
        ),
        StoreFault::Io | StoreFault::Corrupt | StoreFault::Other => {
            Text::new("存储读写出错；请更换存储卡", "the storage fails to read or write; replace the card")
        }
    }
}

fn finding(word: &str, level: Level, priority: Priority, what: Text) -> Option<Finding> {
    // `store.<word>` is an id by its form.
    let rule = RuleId::new(&format!("store.{word}")).ok()?;
    Some(Finding {
        key: AlarmKey { rule, subject: "store".into() },
        level,
        class: AlarmClass::Equipment,
        priority,
        device: None,
        place: None,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &Health, after: &Health) -> Vec<(String, Level)> {
        after.findings(before).into_iter().map(|f| (f.key.rule.to_string(), f.level)).collect()
    }

    #[test]
    fn each_trouble_begins_and_ends_once() {
        let sound = Health::default();
        let full = Health { fault: Some(StoreFault::Full), ..sound.clone() };
        let read_only = Health { fault: Some(StoreFault::ReadOnly), ..sound.clone() };
        let dropping = Health { sacrificing: true, ..full.clone() };
        let (holds, ended) = (Level::Holds, Level::Ended);
        let said = |words: &[(&str, Level)]| -> Vec<(String, Level)> {
            words.iter().map(|(word, level)| (format!("store.{word}"), *level)).collect()
        };
        assert_eq!(told(&sound, &sound), []);
        assert_eq!(told(&sound, &full), said(&[("full", holds)]));
        assert_eq!(told(&full, &read_only), said(&[("full", ended), ("read_only", holds)]));
        assert_eq!(told(&full, &dropping), said(&[("dropped", holds)]));
        assert_eq!(told(&dropping, &sound), said(&[("full", ended), ("dropped", ended)]));
        let rescued = Rescued { kept_in: "damaged/x".into(), rows: 3, torn: vec!["reading".into()] };
        let damaged = Health { rescued: Some(rescued), ..sound.clone() };
        assert_eq!(told(&sound, &damaged), said(&[("damaged", Level::Happened)]));
        assert_eq!(told(&damaged, &damaged), []);
        let text = &damaged.findings(&sound)[0].what.en;
        assert!(text.contains("damaged/x") && text.contains("3 rows") && text.contains("reading"), "{text}");
    }
}
