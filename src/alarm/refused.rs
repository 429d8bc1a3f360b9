//! Why an order of a person was not carried out, and what to do instead.

use crate::model::{AlarmClass, AlarmId, AlarmKey, AreaId, ArmMode, Handled, HazardId, Stage};

/// Most subjects that a refusal lists.
const MAX_LISTED: usize = 8;

/// Why an order was not carried out. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// There is no open alarm of this number.
    #[error("alarm {0} is not open: it was closed already, or never existed")]
    NotOpen(AlarmId),
    /// Somebody was first; both see who and when.
    #[error("alarm {id} was acknowledged already, by {} at {}", .by.by.as_str(), .by.at)]
    AlreadyAcknowledged {
        /// Which.
        id: AlarmId,
        /// Who was first.
        by: Handled,
    },
    /// It does not latch; it closes by itself.
    #[error("alarm {0} does not latch: it closes by itself once it is acknowledged and its cause is gone")]
    NotLatched(AlarmId),
    /// A latched alarm is acknowledged first, then reset; what it was is known to who took it.
    #[error("alarm {0} is not acknowledged yet: acknowledge it first")]
    NotAcknowledged(AlarmId),
    /// The cause is still there.
    #[error("the cause of alarm {0} still holds: it can be reset once the device reports it gone")]
    StillActive(AlarmId),
    /// It was reset, and stays open for another reason.
    #[error("alarm {id} was reset already, by {} at {}", .by.by.as_str(), .by.at)]
    AlreadyReset {
        /// Which.
        id: AlarmId,
        /// Who did.
        by: Handled,
    },
    /// Nobody may keep it quiet.
    #[error(
        "alarm {id} is of the class {class}: calls for help, duress and fire are never shelved, suppressed or taken out of \
         service (GB 50394-2007, 5.2.3); acknowledge it, and reset it when the cause is gone"
    )]
    Protected {
        /// Which.
        id: AlarmId,
        /// Of which class.
        class: AlarmClass,
    },
    /// Who comes after must know why.
    #[error("say why: a note is needed for this order")]
    NoReason,
    /// It would last too long.
    #[error("this may last from 1 to {most} s: shelving and taking out of service always have an end")]
    BadSpan {
        /// The longest, seconds.
        most: u32,
    },
    /// It is over already.
    #[error("the cause of alarm {0} is gone: there is nothing to wait for until it clears; acknowledge it")]
    NotActive(AlarmId),
    /// It is not shelved.
    #[error("alarm {0} is not shelved")]
    NotShelved(AlarmId),
    /// It is in service.
    #[error("alarm {0} is not out of service")]
    InService(AlarmId),
    /// There is no such hazard, or it is over.
    #[error("hazard {0} is not open: it was closed already, or never existed")]
    NoHazard(HazardId),
    /// Stages follow one another.
    #[error("hazard {id} is at '{at}': the next step is '{next}'")]
    WrongStage {
        /// Which.
        id: HazardId,
        /// Where it is.
        at: Stage,
        /// What comes next.
        next: Stage,
    },
    /// It is not said what it is.
    #[error("say in words what the hazard is, in at most {0} characters")]
    NoWords(usize),
    /// There are too many.
    #[error("there are {0} open hazards: close some of them first")]
    TooMany(usize),
    /// There is no such area.
    #[error("there is no area '{0}' in the configuration")]
    NoArea(AreaId),
    /// It stands so already.
    #[error("the area '{area}' is '{mode}' already")]
    AlreadySo {
        /// Which.
        area: AreaId,
        /// How it stands.
        mode: ArmMode,
    },
    /// No device of it is on its outer side.
    #[error("the area '{0}' cannot be armed in part: its configuration names no `perimeter`")]
    NoPerimeter(AreaId),
    /// Something is open.
    #[error("the area '{area}' is not armed, because something is open: {}; close it, or arm with force, which passes it over", listed(.open))]
    Open {
        /// Which.
        area: AreaId,
        /// What is.
        open: Vec<AlarmKey>,
    },
    /// One drill at a time.
    #[error("drill {number} is running, begun by {} at {}: stop it first", .by.by.as_str(), .by.at)]
    DrillRunning {
        /// Its number.
        number: u64,
        /// Who began it.
        by: Handled,
    },
    /// There is none.
    #[error("no drill is running: start one first (schoolgate drill start)")]
    NoDrill,
    /// It would last too long.
    #[error("a drill may last from 1 to {most} s")]
    DrillSpan {
        /// The longest, seconds.
        most: u32,
    },
    /// Nobody practises that.
    #[error("a drill has alarms of the classes fire, help, intrusion and security, not {0}")]
    DrillClass(AlarmClass),
    /// It is not said what happens, or at length.
    #[error("say in at most {0} characters what happens in the drill, or leave it out")]
    DrillWords(usize),
    /// There are too many.
    #[error("this drill has had {0} alarms, more are not possible: stop it and start another")]
    DrillFull(u32),
}

fn listed(open: &[AlarmKey]) -> String {
    let some: Vec<&str> = open.iter().take(MAX_LISTED).map(|key| key.subject.as_str()).collect();
    let more = open.len().saturating_sub(MAX_LISTED);
    if more == 0 { some.join(", ") } else { format!("{} (+{more})", some.join(", ")) }
}

impl OrderRefused {
    /// The same in Chinese.
    #[must_use]
    pub fn zh(&self) -> String {
        match self {
            Self::NotOpen(id) => format!("报警 {id} 不存在或已关闭"),
            Self::AlreadyAcknowledged { id, by } => {
                format!("报警 {id} 已由 {} 于 {} 确认", by.by.as_str(), by.at)
            }
            Self::NotLatched(id) => format!("报警 {id} 不自锁：确认且原因消除后自动关闭"),
            Self::NotAcknowledged(id) => format!("报警 {id} 尚未确认：请先确认"),
            Self::StillActive(id) => format!("报警 {id} 的原因仍然存在：设备恢复后才能复位"),
            Self::AlreadyReset { id, by } => format!("报警 {id} 已由 {} 于 {} 复位", by.by.as_str(), by.at),
            Self::Protected { id, class } => format!(
                "报警 {id} 属于{}类：求助、胁迫和火警不得搁置、抑制或停用（GB 50394-2007 第 5.2.3 条）；请确认，原因消除后复位",
                class.name().zh
            ),
            Self::NoReason => "请写明原因（note）".to_owned(),
            Self::BadSpan { most } => format!("时长必须在 1 至 {most} 秒之间：搁置和停用都必须有期限"),
            Self::NotActive(id) => format!("报警 {id} 的原因已消除，不能再“搁置到恢复”：请确认"),
            Self::NotShelved(id) => format!("报警 {id} 未被搁置"),
            Self::InService(id) => format!("报警 {id} 未停用"),
            Self::NoHazard(id) => format!("隐患 {id} 不存在或已销号"),
            Self::WrongStage { id, at, next } => {
                format!("隐患 {id} 处于“{}”：下一步是“{}”", at.name().zh, next.name().zh)
            }
            Self::NoWords(most) => format!("请写明是什么隐患，最多 {most} 字"),
            Self::TooMany(open) => format!("未销号的隐患已有 {open} 条：请先销号一部分"),
            Self::NoArea(area) => format!("配置中没有防区“{area}”"),
            Self::AlreadySo { area, mode } => format!("防区“{area}”已经是{}状态", mode.name().zh),
            Self::NoPerimeter(area) => format!("防区“{area}”没有配置 perimeter，不能留守布防"),
            Self::Open { area, open } => {
                format!("防区“{area}”未布防，以下未关闭：{}；请关闭，或强制布防（将旁路它们）", listed(open))
            }
            Self::DrillRunning { number, by } => {
                format!("演练 {number} 正在进行，由 {} 于 {} 开始：请先结束", by.by.as_str(), by.at)
            }
            Self::NoDrill => "没有正在进行的演练：请先开始（schoolgate drill start）".to_owned(),
            Self::DrillSpan { most } => format!("演练时长必须在 1 至 {most} 秒之间"),
            Self::DrillClass(class) => {
                format!("演练只有火警、求助、入侵和安防四类报警，没有{}", class.name().zh)
            }
            Self::DrillWords(most) => format!("请用最多 {most} 字写明演练中发生什么，或者不写"),
            Self::DrillFull(most) => format!("本次演练已有 {most} 条报警：请结束后重新开始"),
        }
    }
}
