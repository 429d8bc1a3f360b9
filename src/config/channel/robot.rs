//! Robots of group chats: 企业微信, 钉钉, 飞书.

use super::super::fields::url;
use super::web::{encrypted, secret_url, web};
use super::{
    Around, DingTalk, Feishu, Robot, WeCom, is_number, is_plain, listed, listed_persons, secret_at,
    secret_at_opt,
};
use crate::document::Reader;
use crate::model::{Secret, Text};

/// Where the three take messages, and what stands between that and the key.
const WECOM: (&str, &str) = ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send", "?key=");
const DINGTALK: (&str, &str) = ("https://oapi.dingtalk.com/robot/send", "?access_token=");
const FEISHU: (&str, &str) = ("https://open.feishu.cn/open-apis/bot/v2/hook", "/");

/// `kind = "wecom"`.
pub(super) fn wecom(reader: &Reader<'_>, around: &Around<'_>) -> Option<WeCom> {
    let robot = robot(reader, around, WECOM);
    let markdown = reader.word_opt("format", &[("text", false), ("markdown", true)]).unwrap_or(false);
    let advice = ("写成员账号，或 \"@all\"（所有人）", "write user ids, or \"@all\" for everybody");
    let mention = mentions(reader, advice);
    let mention_mobiles = mobiles(reader);
    if markdown && (!mention_mobiles.is_empty() || mention.iter().any(|who| who == "@all")) {
        let key = if mention_mobiles.is_empty() { "mention" } else { "mention_mobiles" };
        reader.problem(
            key,
            (
                "markdown 只能 @ 成员账号，不能 @ 手机号或所有人",
                "markdown can mention user ids only, neither telephone numbers nor everybody",
            ),
            (
                "写 `format = \"text\"`，或在 `mention` 里写成员账号",
                "write `format = \"text\"`, or user ids in `mention`",
            ),
        );
    }
    Some(WeCom { robot: robot?, markdown, mention, mention_mobiles })
}

/// `kind = "dingtalk"`.
pub(super) fn dingtalk(reader: &Reader<'_>, around: &Around<'_>) -> Option<DingTalk> {
    let robot = robot(reader, around, DINGTALK);
    let secret = secret_at_opt(reader, "secret_file", around.sources);
    let keyword = keyword(reader);
    let mention_mobiles = mobiles(reader);
    let mention_all = reader.flag_opt("mention_all").unwrap_or(false);
    Some(DingTalk { robot: Robot { secret, keyword, ..robot? }, mention_mobiles, mention_all })
}

/// `kind = "feishu"`.
pub(super) fn feishu(reader: &Reader<'_>, around: &Around<'_>) -> Option<Feishu> {
    let robot = robot(reader, around, FEISHU);
    let secret = secret_at_opt(reader, "secret_file", around.sources);
    let keyword = keyword(reader);
    let advice =
        ("写 open id（ou_…），或 \"all\"（所有人）", "write open ids (ou_…), or \"all\" for everybody");
    let mention = mentions(reader, advice);
    Some(Feishu { robot: Robot { secret, keyword, ..robot? }, mention })
}

/// `key_file` and `url`: the key alone at the official address or another, or the whole address as the chat shows it.
fn robot(reader: &Reader<'_>, around: &Around<'_>, (official, joint): (&str, &str)) -> Option<Robot> {
    let web = web(reader, around);
    let base = if reader.has("url") {
        url(reader, "url", official).filter(|url| encrypted(reader, "url", url)).map(String::from)
    } else {
        reader.text_opt("url");
        Some(official.to_owned())
    };
    let key = secret_at(reader, "key_file", around.sources)?;
    let text = key.expose().trim();
    let url = if text.contains("://") {
        if reader.has("url") {
            reader.problem(
                "url",
                ("'key_file' 的文件里已经是完整地址", "the file of 'key_file' holds a whole address already"),
                ("删去 `url`，或文件里只留密钥", "remove `url`, or leave only the key in the file"),
            );
            return None;
        }
        secret_url(reader, "key_file", &key)?.to_string()
    } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        format!("{}{joint}{text}", base?.trim_end_matches('/'))
    } else {
        reader.problem(
            "key_file",
            ("'key_file' 的文件里没有密钥", "the file of 'key_file' holds no key"),
            (
                "把群里显示的机器人完整 Webhook 地址写在第一行，或只写其中的密钥",
                "put the robot's whole Webhook address on its first line, as the chat shows it, or the key in it",
            ),
        );
        return None;
    };
    Some(Robot { url: Secret::from_file_text(&url), secret: None, web, keyword: None })
}

fn keyword(reader: &Reader<'_>) -> Option<String> {
    let advice = ("写机器人安全设置里的关键词", "write the word that the robot's security settings ask for");
    reader.parsed_opt("keyword", advice, |text| {
        if is_plain(text, 30) { Ok(text.to_owned()) } else { Err(("这不是关键词", "this is no word")) }
    })
}

fn mentions(reader: &Reader<'_>, advice: impl Into<Text>) -> Vec<String> {
    listed(reader, "mention", advice, |text| is_plain(text, 64) && !text.contains(['<', '>', '"', ' ']))
}

fn mobiles(reader: &Reader<'_>) -> Vec<Secret> {
    let advice = ("写手机号，5 到 20 位数字", "write telephone numbers of 5 to 20 digits");
    listed_persons(reader, "mention_mobiles", advice, is_number)
}
