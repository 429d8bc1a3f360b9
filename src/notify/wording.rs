//! A message in words: its marks, its lines, and how it is cut.

use super::{Message, Occasion};
use crate::config::{Languages, Piece, Site};
use crate::model::drill::marked;
use crate::model::{Lang, Text};
use serde_json::{Value, json};

/// Most numbers of alarms that are written out.
const MAX_NUMBERS: usize = 10;

/// What tells an exercise and an occasion, before everything else.
fn marks(message: &Message, lang: Lang) -> String {
    let occasion = match message.occasion {
        Occasion::Raised => None,
        Occasion::Reminder => Some(Text::new("再次提醒", "reminder")),
        Occasion::Escalated => Some(Text::new("升级", "escalated")),
        Occasion::Support => Some(Text::new("请求支援", "help needed")),
        Occasion::Digest => Some(Text::new("汇总", "digest")),
        Occasion::Over => Some(Text::new("已结束", "over")),
        Occasion::Trial => Some(Text::new("测试", "test")),
    };
    let drill = message.drill.then(|| Text::new("演练", "DRILL"));
    let marks = [drill, occasion].into_iter().flatten();
    marks
        .map(|mark| match lang {
            Lang::Zh => format!("【{}】", mark.zh),
            Lang::En => format!("[{}] ", mark.en),
        })
        .collect()
}

/// The title with its marks.
pub(super) fn title(message: &Message, lang: Lang) -> String {
    marks(message, lang) + message.title.in_lang(lang)
}

/// The title with its marks and how soon to act.
pub(super) fn heading(message: &Message, lang: Lang) -> String {
    let marks = marks(message, lang);
    let (priority, title) = (message.priority.name(), &message.title);
    match lang {
        Lang::Zh => format!("{marks}{}：{}", priority.zh, title.zh),
        Lang::En => format!("{marks}{}: {}", priority.en, title.en),
    }
}

/// What stands below the heading: place, further lines, the school and when, the numbers of the alarms.
pub(super) fn lines(message: &Message, site: &Site, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(place) = &message.place {
        lines.push(match lang {
            Lang::Zh => format!("地点：{}", place.zh),
            Lang::En => format!("Place: {}", place.en),
        });
    }
    lines.extend(message.lines.iter().map(|line| line.in_lang(lang).to_owned()));
    lines.push(format!("{} {}", site.name, message.at.in_zone(&site.zone)));
    if !message.alarms.is_empty() {
        let numbers: Vec<String> = message.alarms.iter().take(MAX_NUMBERS).map(ToString::to_string).collect();
        let more = if message.alarms.len() > MAX_NUMBERS { "…" } else { "" };
        lines.push(match lang {
            Lang::Zh => format!("报警编号：{}{more}", numbers.join("、")),
            Lang::En => format!("Alarm: {}{more}", numbers.join(", ")),
        });
    }
    lines
}

/// Everything, in each language of the channel.
pub(super) fn text(message: &Message, site: &Site, languages: Languages) -> String {
    let blocks = languages.each().iter().map(|lang| {
        let mut block = vec![heading(message, *lang)];
        block.extend(lines(message, site, *lang));
        block.join("\n")
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

/// The title in each language of the channel, on one line.
pub(super) fn subject(message: &Message, languages: Languages) -> String {
    let titles: Vec<String> = languages.each().iter().map(|lang| heading(message, *lang)).collect();
    one_line(&titles.join(" / "))
}

/// What a gap of a template is filled with by the message: on one line, the whole text at most so many characters.
pub(super) fn gap(
    piece: &Piece,
    message: &Message,
    site: &Site,
    (languages, max_chars): (Languages, usize),
) -> String {
    let each = |part: &dyn Fn(Lang) -> String| {
        let parts: Vec<String> = languages.each().iter().map(|lang| part(*lang)).collect();
        one_line(&parts.join(" / "))
    };
    match piece {
        Piece::Title => each(&|lang| title(message, lang)),
        Piece::Text => {
            let all = each(&|lang| {
                let mut all = vec![heading(message, lang)];
                all.extend(lines(message, site, lang));
                all.join(if lang == Lang::Zh { "；" } else { "; " })
            });
            cut_chars(&all, max_chars)
        }
        Piece::Place => match &message.place {
            Some(place) => each(&|lang| place.in_lang(lang).to_owned()),
            None => String::new(),
        },
        Piece::Priority => each(&|lang| message.priority.name().in_lang(lang).to_owned()),
        Piece::Time => message.at.in_zone(&site.zone),
        Piece::Number => message.number.to_string(),
        Piece::Plain(text) => text.clone(),
        // Known to the channel alone.
        Piece::Recipient | Piece::Secret => String::new(),
    }
}

/// The message as a document for programs.
pub(super) fn document(message: &Message, site: &Site) -> Value {
    let both = |text: &Text| json!({"zh": text.zh, "en": text.en});
    json!({
        "gateway": site.gateway.as_str(),
        "school": site.name,
        "school_code": site.school_code,
        "number": message.number,
        "occasion": message.occasion.word(),
        "priority": message.priority.as_str(),
        "class": message.class.map(crate::model::AlarmClass::as_str),
        "drill": message.drill,
        "title": both(&if message.drill { marked(&message.title) } else { message.title.clone() }),
        "place": message.place.as_ref().map(both),
        "lines": message.lines.iter().map(both).collect::<Vec<_>>(),
        "at": message.at.to_string(),
        "alarms": message.alarms,
    })
}

/// The text, at most so many bytes: cut between two characters, with "…" at its end.
pub(super) fn cut(text: &str, most: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(ELLIPSIS.len_utf8());
    let mut kept = String::new();
    for c in text.chars() {
        if kept.len() + c.len_utf8() > room {
            break;
        }
        kept.push(c);
    }
    if most >= ELLIPSIS.len_utf8() {
        kept.push(ELLIPSIS);
    }
    kept
}

/// The text, at most so many characters, the last of them "…" where it was cut.
pub(super) fn cut_chars(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The text without line breaks and other control characters.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    spaced.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{message, site};
    use super::*;

    #[test]
    fn a_message_reads_as_people_expect_it() {
        let mut message = message();
        let zh =
            "紧急：求助按钮被按下\n地点：1号楼 3层\n请立即前往\n示例小学 2026-09-01 08:00:00\n报警编号：12";
        assert_eq!(text(&message, &site(), Languages::Zh), zh);
        (message.drill, message.occasion) = (true, Occasion::Reminder);
        let both = text(&message, &site(), Languages::Both);
        let (zh, en) = both.split_once("\n\n").expect("two blocks");
        assert!(zh.starts_with("【演练】【再次提醒】紧急：求助按钮被按下\n"), "{zh}");
        assert!(
            en.starts_with("[DRILL] [reminder] critical: help button pressed\nPlace: Building 1"),
            "{en}"
        );
        assert_eq!(document(&message, &site())["title"]["zh"], "【演练】求助按钮被按下");
        assert_eq!(
            subject(&message, Languages::Both),
            "【演练】【再次提醒】紧急：求助按钮被按下 / [DRILL] [reminder] critical: help button pressed"
        );
    }

    #[test]
    fn a_cut_falls_between_two_characters_and_shows() {
        for (text, most, expected) in [
            ("火警", 6, "火警"),
            ("火警了", 8, "火…"),
            ("火警了", 6, "火…"),
            ("abcdef", 5, "ab…"),
            ("火", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, most), expected, "{text} {most}");
            assert!(cut(text, most).len() <= most);
        }
        assert_eq!(cut_chars("火警在一号楼", 4), "火警在…");
        assert_eq!(one_line("a\r\n b\tc\u{7}d "), "a b c d");
    }

    #[test]
    fn many_alarms_are_not_all_counted_out() {
        let mut message = message();
        message.alarms = (1..=30).map(crate::model::AlarmId).collect();
        let lines = lines(&message, &site(), Lang::Zh);
        assert!(lines.last().is_some_and(|line| line.ends_with("、10…")), "{lines:?}");
    }
}
