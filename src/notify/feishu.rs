//! 飞书自定义机器人: text, signed with HMAC-SHA256 under the time and the secret.

use super::reply::Codes;
use super::robot::{Line, mentions, per_minute, signed, signing_time};
use super::wording::{cut, text};
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Rate, Told};
use crate::config::{Channel, Feishu};
use crate::model::Wall;
use crate::runtime::Clock;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// 飞书.
pub const KIND: NotifierKind = NotifierKind {
    name: "feishu",
    doc: "飞书自定义机器人，安全设置选“签名校验”。A custom robot of a Feishu group, signed.",
    example: r#"# 机器人的 Webhook 地址整行存入 key_file，“签名校验”给出的密钥存入 secret_file。
key_file = "secrets/feishu"
secret_file = "secrets/feishu-sign"
mention = ["all"]
"#,
};

/// Longest text, bytes: in a document, which may have 20 KB, it takes at most twice as much.
const MAX_TEXT: usize = 9000;

/// What answers mean.
pub const CODES: Codes = Codes {
    code: "code",
    busy: &[11232, 11233, 99_991_400],
    pause: Duration::from_secs(60),
    refused: &[
        (9499, "the robot does not take this document"),
        (19001, "the robot's address is wrong: put the new one into the file of 'key_file'"),
        (19021, "the signature is wrong: check the file of 'secret_file', and this machine's clock"),
        (19022, "the robot's security settings do not take this school's address"),
        (19024, "the robot's security settings ask for a word: write it as 'keyword'"),
    ],
};

/// The signature of a moment: the text is the key, and nothing is signed with it.
fn signature(secret: &str, seconds: i64) -> String {
    signed(&format!("{seconds}\n{secret}"), "")
}

/// A robot.
pub(super) struct Robot {
    line: Line,
    feishu: Feishu,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Robot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feishu").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Robot {
    pub(super) fn new(channel: &Channel, feishu: &Feishu, means: &Means) -> Result<Self, NotifyError> {
        let line = Line::new((&channel.id, channel.languages), &feishu.robot, &[], means)?;
        Ok(Self { line, feishu: feishu.clone(), clock: Arc::clone(&means.clock) })
    }

    fn body(&self, message: &Message, signed_at: Option<Wall>) -> Value {
        // What stands in angle brackets would be a mention.
        let words = text(message, &self.line.site, self.line.languages).replace('<', "＜");
        let mut words = cut(&self.line.with_keyword(words), MAX_TEXT);
        for who in self.feishu.mention.iter().filter(|_| mentions(message)) {
            words.push_str(&format!("\n<at user_id=\"{who}\"></at>"));
        }
        let mut body = Map::new();
        body.insert("msg_type".into(), "text".into());
        body.insert("content".into(), json!({"text": words}));
        if let (Some(at), Some(secret)) = (signed_at, &self.line.robot.secret) {
            let seconds = at.0.div_euclid(1000);
            body.insert("timestamp".into(), seconds.to_string().into());
            body.insert("sign".into(), signature(secret.expose(), seconds).into());
        }
        Value::Object(body)
    }
}

impl Notifier for Robot {
    fn rate(&self) -> Rate {
        // The other limit is five in a second.
        per_minute(100)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            let at = match self.line.robot.secret.as_ref().map(|_| signing_time(&*self.clock)).transpose() {
                Ok(at) => at,
                Err(verdict) => return verdict,
            };
            let body = self.body(message, at);
            self.line.post(&[], &body, &CODES).await
        })
    }

    fn said(&self) -> Option<&str> {
        self.line.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{channel, means, message, robot};
    use super::*;
    use crate::config::ChannelKind;
    use crate::model::{Secret, Text};

    fn made() -> Robot {
        let mut own = robot("https://x.example/open-apis/bot/v2/hook/h");
        own.secret = Some(Secret::from_file_text("demo"));
        let feishu = Feishu { robot: own, mention: vec!["all".into()] };
        Robot::new(&channel(ChannelKind::Feishu(feishu.clone())), &feishu, &means()).unwrap()
    }

    #[test]
    fn the_signature_is_the_documented_one() {
        assert_eq!(signature("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
        let body = made().body(&message(), Some(Wall(1_599_360_473_999)));
        assert_eq!(body["timestamp"], "1599360473");
        assert_eq!(body["sign"], "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    }

    #[test]
    fn the_longest_document_is_short_enough_and_mentions_only_whom_it_should() {
        let mut message = message();
        message.lines = vec![Text::same("\"\n<at user_id=\"all\"></at>\\".repeat(9000))];
        let body = made().body(&message, Some(Wall(1_599_360_473_999)));
        assert!(body.to_string().len() <= 20 * 1024, "{}", body.to_string().len());
        assert_eq!(body["content"]["text"].as_str().unwrap().matches("<at ").count(), 1);
    }
}
