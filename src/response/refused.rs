//! Why a step was not taken, in words.

use super::CODE_FOR;
use crate::model::Text;

/// Why a step was not taken. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is none of this id.
    Unknown,
    /// A fire alarm is open, and it could keep people in.
    Fire,
    /// Everybody is being led out.
    Evacuating,
    /// Another one that is on uses the same output.
    InUse {
        /// Its name.
        by: Text,
        /// The output.
        output: String,
    },
    /// One is on in earnest: no drill now.
    InEarnest,
    /// No drill is running.
    NoDrill,
    /// The first step was not taken, was taken too long ago, or the code was used.
    NotPrepared,
    /// The code is another.
    WrongCode,
    /// It is not on.
    NotOn,
    /// Whoever began it does not end it alone.
    SamePerson,
    /// Whoever ends it alone says why.
    NoReason,
}

impl Refused {
    /// For people.
    #[must_use]
    pub fn says(&self) -> Text {
        match self {
            Self::Unknown => Text::new("没有这个应急响应", "there is no such response"),
            Self::Fire => Text::new(
                "有未结束的火警：不能启动可能把人关在里面的响应；需要时启动疏散",
                "a fire alarm is open: nothing that could keep people in is begun; evacuate if need be",
            ),
            Self::Evacuating => Text::new(
                "正在疏散：先解除疏散",
                "an evacuation is on: nothing that could keep people in is begun before it is clear",
            ),
            Self::InUse { by, output } => Text::new(
                format!("“{}”正在使用“{output}”：先解除它", by.zh),
                format!("'{}' is on and uses '{output}': clear it first", by.en),
            ),
            Self::InEarnest => {
                Text::new("有真实的响应正在进行：现在不能演练", "a response is on in earnest: no drill now")
            }
            Self::NoDrill => Text::new(
                "没有正在进行的演练：先开始演练（schoolgate drill start）",
                "no drill is running: start one first (schoolgate drill start)",
            ),
            Self::NotPrepared => {
                let secs = CODE_FOR.as_secs();
                Text::new(
                    format!(
                        "没有有效的确认码：先“prepare”，{secs} 秒内用得到的确认码启动，每个确认码只能用一次"
                    ),
                    format!(
                        "there is no code that is good: prepare it first, and start it with the code within {secs} s; a code is good once"
                    ),
                )
            }
            Self::WrongCode => Text::new("确认码不对", "the code is another"),
            Self::NotOn => Text::new("没有启动，无需解除", "it is not on: there is nothing to clear"),
            Self::SamePerson => Text::new(
                "解除要由启动者以外的人确认；确实只有一人时写明 alone 和原因，会记入审计",
                "somebody other than who began it says that all is clear; who really is alone says so with `alone` and a \
                 reason, which is audited",
            ),
            Self::NoReason => {
                Text::new("独自解除必须写明原因", "who says alone that all is clear must say why")
            }
        }
    }
}
