//! 企业微信群机器人: text or Markdown; the key in the address is the only secret.

use super::reply::Codes;
use super::robot::{Line, mentions, per_minute, plain_in_markdown};
use super::wording::{cut, heading, lines, text};
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Occasion, Rate, Told};
use crate::config::{Channel, WeCom};
use crate::model::Priority;
use serde_json::{Value, json};
use std::time::Duration;

/// 企业微信.
pub const KIND: NotifierKind = NotifierKind {
    name: "wecom",
    doc: "企业微信群机器人。A robot of a WeCom group.",
    example: r#"# 群机器人的 Webhook 地址整行存入此文件。The robot's whole Webhook address.
key_file = "secrets/wecom"
mention = ["@all"]
"#,
};

/// Longest text and longest Markdown, bytes.
const MAX_TEXT: usize = 2048;
const MAX_MARKDOWN: usize = 4096;

/// What answers mean.
pub const CODES: Codes = Codes {
    code: "errcode",
    busy: &[45009, 45033],
    pause: Duration::from_secs(60),
    refused: &[
        (
            93000,
            "the robot's key is wrong, or the robot was removed from its group: put the new address into the file of 'key_file'",
        ),
        (93004, "the robot was switched off by the administrator of the group"),
        (93008, "the robot may not write to this group"),
        (40008, "the robot does not know this form of message"),
        (40058, "the robot does not take this document"),
        (44004, "the message was empty for it"),
        (45002, "the message was too long for it"),
    ],
};

/// A robot.
#[derive(Debug)]
pub(super) struct Robot {
    line: Line,
    wecom: WeCom,
}

impl Robot {
    pub(super) fn new(channel: &Channel, wecom: &WeCom, means: &Means) -> Result<Self, NotifyError> {
        let own = (&channel.id, channel.languages);
        let line = Line::new(own, &wecom.robot, &wecom.mention_mobiles, means)?;
        Ok(Self { line, wecom: wecom.clone() })
    }

    fn body(&self, message: &Message) -> Value {
        let mention = mentions(message);
        if self.wecom.markdown {
            return json!({"msgtype": "markdown", "markdown": {"content": self.markdown(message, mention)}});
        }
        let content = cut(&text(message, &self.line.site, self.line.languages), MAX_TEXT);
        let whom: Vec<&String> = self.wecom.mention.iter().filter(|_| mention).collect();
        let mobiles = self.wecom.mention_mobiles.iter().filter(|_| mention);
        let mobiles: Vec<&str> = mobiles.map(|mobile| mobile.expose()).collect();
        json!({"msgtype": "text", "text": {
            "content": content, "mentioned_list": whom, "mentioned_mobile_list": mobiles,
        }})
    }

    fn markdown(&self, message: &Message, mention: bool) -> String {
        let urgent = matches!(message.priority, Priority::Critical | Priority::High);
        let colour = match message.occasion {
            Occasion::Over => "info",
            _ if urgent => "warning",
            _ => "comment",
        };
        let who: String =
            self.wecom.mention.iter().filter(|_| mention).map(|who| format!("<@{who}>")).collect();
        let blocks = self.line.languages.each().iter().map(|lang| {
            let heading = plain_in_markdown(&heading(message, *lang));
            let lines = lines(message, &self.line.site, *lang);
            let lines: String = lines.iter().map(|line| format!("\n> {}", plain_in_markdown(line))).collect();
            format!("**<font color=\"{colour}\">{heading}</font>**{lines}")
        });
        // Who is mentioned stands behind everything and must not be cut away.
        let text = blocks.collect::<Vec<_>>().join("\n\n");
        let who = if who.is_empty() { who } else { format!("\n{who}") };
        cut(&text, MAX_MARKDOWN.saturating_sub(who.len())) + &who
    }
}

impl Notifier for Robot {
    fn rate(&self) -> Rate {
        per_minute(20)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        let body = self.body(message);
        Box::pin(async move { self.line.post(&[], &body, &CODES).await })
    }

    fn said(&self) -> Option<&str> {
        self.line.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{channel, means, message, robot};
    use super::*;
    use crate::config::{ChannelKind, Languages};
    use crate::model::{Secret, Text};

    fn made(markdown: bool) -> Robot {
        let mobiles = vec![Secret::from_file_text("13800138000")];
        let mention_mobiles = if markdown { Vec::new() } else { mobiles };
        let mention = vec![if markdown { "zhang".to_owned() } else { "@all".to_owned() }];
        let wecom =
            WeCom { robot: robot("https://x.example/send?key=k"), markdown, mention, mention_mobiles };
        let channel = channel(ChannelKind::WeCom(wecom.clone()));
        Robot::new(&channel, &wecom, &means()).unwrap()
    }

    #[test]
    fn texts_are_cut_and_mention_whom_they_should() {
        let (robot, mut message) = (made(false), message());
        let body = robot.body(&message);
        assert_eq!(body["text"]["mentioned_list"], json!(["@all"]));
        assert_eq!(body["text"]["mentioned_mobile_list"], json!(["13800138000"]));
        message.priority = Priority::Low;
        assert_eq!(robot.body(&message)["text"]["mentioned_list"], json!([]));
        message.lines = vec![Text::same("火".repeat(1000))];
        let body = robot.body(&message);
        let content = body["text"]["content"].as_str().unwrap();
        assert!(content.len() <= MAX_TEXT && content.len() > MAX_TEXT - 4 && content.ends_with('…'));
    }

    #[test]
    fn markdown_keeps_who_is_mentioned_and_means_nothing_else() {
        let (mut robot, mut message) = (made(true), message());
        robot.line.languages = Languages::Both;
        message.lines = vec![Text::same("<@all> **[x](y)**".repeat(1000))];
        let body = robot.body(&message);
        let content = body["markdown"]["content"].as_str().unwrap();
        assert!(content.len() <= MAX_MARKDOWN && content.ends_with("…\n<@zhang>"), "{}", content.len());
        assert!(
            content.starts_with("**<font color=\"warning\">紧急：求助按钮被按下</font>**\n> 地点"),
            "{content}"
        );
        assert!(!content.contains("<@all>") && !content.contains("[x]"));
    }
}
