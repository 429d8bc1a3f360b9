//! What became of an order, in words.

use crate::model::Text;
use std::time::Duration;

/// What became of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The device was read to be so.
    Done {
        /// What it is now.
        value: f64,
        /// When rest will be written by itself.
        back_in: Option<Duration>,
    },
    /// It would have been written.
    DryRun {
        /// What.
        value: f64,
    },
    /// It was not, or no longer, to be done.
    Refused(Refusal),
    /// It was tried.
    Failed(Failure),
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// Control is not switched on in the configuration.
    Off,
    /// The value is not one of those that are allowed.
    NotAllowed {
        /// What was ordered.
        value: f64,
        /// What may be.
        allowed: String,
    },
    /// It is on the way out, and never locked by software.
    Exit,
    /// There is fire, and it could lock somebody in.
    Fire,
    /// Something else must hold first.
    Interlock(Text),
    /// It was switched a moment ago.
    TooSoon {
        /// How long to wait.
        wait: Duration,
    },
    /// It was switched often enough.
    TooMany {
        /// Orders in an hour.
        per_hour: u32,
        /// How long to wait.
        wait: Duration,
    },
    /// Another order is being carried out.
    UnderWay {
        /// Whose.
        by: String,
    },
    /// The intent could not be made durable.
    NotStored,
    /// It was to be switched to rest before this order was done.
    Overtaken {
        /// By whom.
        by: String,
    },
}

impl Refusal {
    /// One word, for the audit trail and the metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Exit => "exit",
            Self::Fire => "fire",
            Self::Interlock(_) => "interlock",
            Self::TooSoon { .. } => "too_soon",
            Self::TooMany { .. } => "too_many",
            Self::UnderWay { .. } => "under_way",
            Self::NotStored => "not_stored",
            Self::Overtaken { .. } => "overtaken",
        }
    }

    /// For people.
    #[must_use]
    pub fn says(&self) -> Text {
        match self {
            Self::Off => Text::new(
                "远程控制未启用：在配置中写 [controls] enabled = true，检查后重启网关",
                "control is off: write `enabled = true` under [controls] in the configuration, check it and restart",
            ),
            Self::NotAllowed { value, allowed } => Text::new(
                format!("不允许的值 {value}，允许：{allowed}"),
                format!("{value} is not allowed; allowed: {allowed}"),
            ),
            Self::Exit => Text::new(
                "这是疏散门：软件只能使它恢复到静止值",
                "it is an exit: software only ever brings it to rest",
            ),
            Self::Fire => Text::new(
                "有未结束的火警：火警复位之前只能恢复到静止值",
                "a fire alarm is open: until it is reset this only goes to rest",
            ),
            Self::Interlock(what) => what.clone(),
            Self::TooSoon { wait } => Text::new(
                format!("刚刚切换过，请 {} 秒后再试", secs(*wait)),
                format!("it was switched a moment ago: try again in {} s", secs(*wait)),
            ),
            Self::TooMany { per_hour, wait } => Text::new(
                format!("一小时内最多 {per_hour} 次，请 {} 秒后再试", secs(*wait)),
                format!("at most {per_hour} orders in an hour: try again in {} s", secs(*wait)),
            ),
            Self::UnderWay { by } => Text::new(
                format!("{by} 的命令正在执行，请稍候"),
                format!("an order of {by} is being carried out; wait until it is done"),
            ),
            Self::NotStored => Text::new(
                "命令无法写入磁盘，因此没有执行；请检查存储",
                "the order could not be written to disk, so it was not carried out; look after the disk",
            ),
            Self::Overtaken { by } => Text::new(
                format!("执行完成前已被 {by} 恢复到静止值"),
                format!("it was switched back to rest by {by} before it was done"),
            ),
        }
    }
}

/// Why an order that was tried is not known to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The device, or the bus, said no.
    Refused(Text),
    /// The device reads otherwise.
    NotDone {
        /// What was written.
        wanted: f64,
        /// What it reads.
        read: f64,
    },
    /// The device could not be read.
    Silent(Text),
}

impl Failure {
    /// One word, for the audit trail and the metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "device_refused",
            Self::NotDone { .. } => "not_done",
            Self::Silent(_) => "not_read",
        }
    }

    /// For people.
    #[must_use]
    pub fn says(&self) -> Text {
        match self {
            Self::Refused(why) => {
                Text::new(format!("写入被拒绝：{}", why.zh), format!("the write was refused: {}", why.en))
            }
            Self::NotDone { wanted, read } => Text::new(
                format!("没有执行：写入 {wanted}，回读为 {read}；请检查设备、本地/远程开关和接线"),
                format!(
                    "not done: {wanted} was written and {read} is read; check the device, its local/remote switch \
                     and the wiring"
                ),
            ),
            Self::Silent(why) => Text::new(
                format!("无法确认：写入后读不到设备（{}）", why.zh),
                format!("not confirmed: the device could not be read after the write ({})", why.en),
            ),
        }
    }
}

impl Outcome {
    /// One word, for the audit trail and the metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::DryRun { .. } => "dry_run",
            Self::Refused(refusal) => refusal.word(),
            Self::Failed(failure) => failure.word(),
        }
    }

    /// For people.
    #[must_use]
    pub fn says(&self) -> Text {
        match self {
            Self::Done { value, back_in: None } => {
                Text::new(format!("已执行，回读为 {value}"), format!("done: {value} is read back"))
            }
            Self::Done { value, back_in: Some(left) } => Text::new(
                format!("已执行，回读为 {value}；{} 秒后自动恢复", secs(*left)),
                format!("done: {value} is read back; back to rest by itself in {} s", secs(*left)),
            ),
            Self::DryRun { value } => Text::new(
                format!("演练：检查全部通过，将写入 {value}，实际未写"),
                format!("dry run: all checks passed, {value} would be written; nothing was"),
            ),
            Self::Refused(refusal) => refusal.says(),
            Self::Failed(failure) => failure.says(),
        }
    }
}

/// Whole seconds, rounded up: who waits so long waits enough.
fn secs(span: Duration) -> u64 {
    u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)
}
