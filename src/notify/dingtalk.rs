//! 钉钉自定义机器人: Markdown, signed with HMAC-SHA256 over the time.

use super::reply::Codes;
use super::robot::{Line, mentions, per_minute, plain_in_markdown, signed, signing_time};
use super::wording::{cut, cut_chars, heading, lines, subject};
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Rate, Told};
use crate::config::{Channel, DingTalk};
use crate::model::Wall;
use crate::runtime::Clock;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// 钉钉.
pub const KIND: NotifierKind = NotifierKind {
    name: "dingtalk",
    doc: "钉钉自定义机器人，安全设置选“加签”。A custom robot of a DingTalk group, signed.",
    example: r#"# 机器人的 Webhook 地址整行存入 key_file，“加签”给出的 SEC… 存入 secret_file。
key_file = "secrets/dingtalk"
secret_file = "secrets/dingtalk-sign"
mention_mobiles = ["13800138000"]
"#,
};

/// Longest text and title.
const MAX_TEXT_BYTES: usize = 16_000;
const MAX_TITLE_CHARS: usize = 60;

/// What answers mean. Who sends more than 20 a minute is not heard for ten minutes.
pub const CODES: Codes = Codes {
    code: "errcode",
    busy: &[130_101, 130_102, 410_100],
    pause: Duration::from_secs(600),
    refused: &[
        (
            310_000,
            "the robot's security settings do not let it through: check signing, key word, address list, and this machine's clock",
        ),
        (300_001, "the robot's address is wrong: put the new one into the file of 'key_file'"),
        (300_005, "the robot's token is unknown: put the new address into the file of 'key_file'"),
        (400_013, "the group was dissolved"),
        (400_101, "the robot's token is unknown: put the new address into the file of 'key_file'"),
        (400_102, "the robot was switched off"),
        (400_105, "the robot does not know this form of message"),
        (400_106, "the robot was removed"),
    ],
};

/// The signature of a moment.
fn signature(secret: &str, at: Wall) -> String {
    signed(secret, &format!("{}\n{secret}", at.0))
}

/// A robot.
pub(super) struct Robot {
    line: Line,
    dingtalk: DingTalk,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Robot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DingTalk").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Robot {
    pub(super) fn new(channel: &Channel, dingtalk: &DingTalk, means: &Means) -> Result<Self, NotifyError> {
        let own = (&channel.id, channel.languages);
        let line = Line::new(own, &dingtalk.robot, &dingtalk.mention_mobiles, means)?;
        Ok(Self { line, dingtalk: dingtalk.clone(), clock: Arc::clone(&means.clock) })
    }

    fn body(&self, message: &Message) -> Value {
        let mention = mentions(message);
        let mobiles: Vec<&str> =
            self.dingtalk.mention_mobiles.iter().filter(|_| mention).map(|m| m.expose()).collect();
        let everybody = mention && self.dingtalk.mention_all;
        let blocks = self.line.languages.each().iter().map(|lang| {
            let lines = lines(message, &self.line.site, *lang);
            // A line of Markdown ends with two spaces.
            let lines: String = lines.iter().map(|line| format!("  \n{}", plain_in_markdown(line))).collect();
            format!("### {}\n{lines}", plain_in_markdown(&heading(message, *lang)))
        });
        let text = self.line.with_keyword(blocks.collect::<Vec<_>>().join("\n\n"));
        // Only who is also named in the text is mentioned.
        let who: String = mobiles.iter().map(|mobile| format!(" @{mobile}")).collect();
        let who = if who.is_empty() { who } else { format!("\n\n{}", who.trim_start()) };
        let text = cut(&text, MAX_TEXT_BYTES) + &who;
        json!({
            "msgtype": "markdown",
            "markdown": {"title": cut_chars(&subject(message, self.line.languages), MAX_TITLE_CHARS), "text": text},
            "at": {"atMobiles": mobiles, "isAtAll": everybody},
        })
    }
}

impl Notifier for Robot {
    fn rate(&self) -> Rate {
        per_minute(20)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            let mut query = Vec::new();
            if let Some(secret) = &self.line.robot.secret {
                let at = match signing_time(&*self.clock) {
                    Ok(at) => at,
                    Err(verdict) => return verdict,
                };
                query.push(("timestamp", at.0.to_string()));
                query.push(("sign", signature(secret.expose(), at)));
            }
            let body = self.body(message);
            self.line.post(&query, &body, &CODES).await
        })
    }

    fn said(&self) -> Option<&str> {
        self.line.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::escape::percent;
    use super::super::testing::{channel, means, message, robot};
    use super::*;
    use crate::config::ChannelKind;
    use crate::model::Secret;

    #[test]
    fn the_signature_is_the_documented_one() {
        let at = Wall(1_576_639_200_000);
        assert_eq!(signature("this is secret", at), "WXefT7MbHADpPZSSik/JIB1gE0jrDz1QEIK05ciOIbA=");
        assert_eq!(
            percent(signature("this is secret", at).as_bytes()),
            "WXefT7MbHADpPZSSik%2FJIB1gE0jrDz1QEIK05ciOIbA%3D"
        );
    }

    #[test]
    fn who_is_mentioned_is_named_in_the_text() {
        let mut own = robot("https://x.example/robot/send?access_token=t");
        own.keyword = Some("校门".into());
        let mention_mobiles = vec![Secret::from_file_text("13800138000")];
        let dingtalk = DingTalk { robot: own, mention_mobiles, mention_all: false };
        let channel = channel(ChannelKind::DingTalk(dingtalk.clone()));
        let robot = Robot::new(&channel, &dingtalk, &means()).unwrap();
        let body = robot.body(&message());
        let text = body["markdown"]["text"].as_str().unwrap();
        assert!(text.starts_with("校门\n### 紧急：求助按钮被按下\n  \n地点：1号楼"), "{text}");
        assert!(text.ends_with("\n\n@13800138000"), "{text}");
        assert_eq!(body["at"], json!({"atMobiles": ["13800138000"], "isAtAll": false}));
        assert_eq!(body["markdown"]["title"], "紧急：求助按钮被按下");
        assert!(!format!("{robot:?}").contains("access_token"), "{robot:?}");
    }
}
