//! A table (CSV): one term, holiday, make-up workday or examination on each line.

use super::super::parse::{period, weekday};
use super::{Entry, Import, Kind};
use crate::document::sheet;
use crate::model::Text;
use jiff::civil::Weekday;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Kind,
    First,
    Last,
    Name,
    Rings,
    Periods,
}

/// The names of columns, in lower case.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Kind, &["类型", "种类", "kind", "type"]),
    (Column::First, &["日期", "开始", "开始日期", "起始日期", "date", "first", "start", "from"]),
    (Column::Last, &["结束", "结束日期", "截止日期", "last", "end", "to", "until"]),
    (Column::Name, &["名称", "节日", "说明", "name"]),
    (Column::Rings, &["按周几上课", "按周几", "补周几", "as"]),
    (Column::Periods, &["时段", "考试时间", "时间", "periods", "hours"]),
];

const KINDS: &[(Kind, &[&str])] = &[
    (Kind::Term, &["学期", "term"]),
    (Kind::Holiday, &["放假", "假期", "节假日", "休", "休息", "holiday"]),
    (Kind::MakeUp, &["调休上班", "补班", "上班", "补课", "班", "makeup", "make-up", "workday"]),
    (Kind::Exam, &["考试", "exam", "examination"]),
];

const WEEKDAYS_ZH: [(Weekday, char); 7] = [
    (Weekday::Monday, '一'),
    (Weekday::Tuesday, '二'),
    (Weekday::Wednesday, '三'),
    (Weekday::Thursday, '四'),
    (Weekday::Friday, '五'),
    (Weekday::Saturday, '六'),
    (Weekday::Sunday, '日'),
];

pub(super) fn read(import: &mut Import, text: &str) {
    let mut lines = sheet::lines(text).into_iter();
    let Some((line, heads)) = lines.next() else {
        import.slip(1, "文件是空的", "the file is empty");
        return;
    };
    let columns = columns(import, line, &heads);
    if !import.slips.is_empty() {
        return;
    }
    for (line, cells) in lines {
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        match entry(line, &columns, &cells) {
            Ok(entry) => import.take(entry),
            Err(what) => import.slip(line, what.zh, what.en),
        }
        if import.slips.len() > 100 {
            break;
        }
    }
}

/// What each column is.
fn columns(import: &mut Import, line: usize, heads: &[String]) -> Vec<Option<Column>> {
    let mut columns = Vec::new();
    for head in heads {
        let head = head.trim();
        let lower = head.to_lowercase();
        let found =
            COLUMNS.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(column, _)| *column);
        if found.is_none() && !head.is_empty() {
            let head: String = head.chars().take(40).collect();
            import.slip(
                line,
                format!("不认识的列“{head}”；可用：类型、开始日期、结束日期、名称、按周几上课、时段"),
                format!("unknown column '{head}'; known: kind, first, last, name, as, periods"),
            );
        }
        if found.is_some() && columns.contains(&found) {
            import.slip(
                line,
                format!("列“{head}”出现了两次"),
                format!("the column '{head}' stands here twice"),
            );
        }
        columns.push(found);
        if import.slips.len() > 10 {
            break;
        }
    }
    for (column, zh, en) in [(Column::Kind, "类型", "kind"), (Column::First, "开始日期", "first")] {
        if import.slips.is_empty() && !columns.contains(&Some(column)) {
            import.slip(line, format!("缺少“{zh}”列"), format!("the column '{en}' is missing"));
        }
    }
    columns
}

fn entry(line: usize, columns: &[Option<Column>], cells: &[String]) -> Result<Entry, Text> {
    let cell = |column| {
        let at = columns.iter().position(|known| *known == Some(column));
        at.and_then(|at| cells.get(at)).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    };
    let day = |column, zh: &str, en: &str| match cell(column) {
        Some(text) => sheet::day(text).map(Some).ok_or_else(|| {
            Text::new(
                format!("{zh}应是日期，例如 2026-09-01"),
                format!("{en} must be a day such as 2026-09-01"),
            )
        }),
        None => Ok(None),
    };
    let kind = cell(Column::Kind).unwrap_or_default().to_lowercase();
    let kind = KINDS.iter().find(|(_, words)| words.contains(&kind.as_str())).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| {
        Text::new("类型应是：学期、放假、调休上班、考试", "the kind must be term, holiday, makeup or exam")
    })?;
    let first = day(Column::First, "开始日期", "first")?
        .ok_or_else(|| Text::new("缺少开始日期", "the first day is missing"))?;
    let last = day(Column::Last, "结束日期", "last")?.unwrap_or(first);
    let rings = cell(Column::Rings).map(rings).transpose()?;
    let mut periods = Vec::new();
    for text in cell(Column::Periods).unwrap_or_default().split([' ', ',', ';', '，', '；', '、']) {
        if !text.is_empty() {
            periods.push(period(text).map_err(|why| {
                Text::new(
                    format!("时段{}：写成 08:30-11:30", why.0),
                    format!("the period {}: write 08:30-11:30", why.1),
                )
            })?);
        }
    }
    let wrong = match kind {
        Kind::MakeUp if first != last => {
            Some(("补班要一天写一行", "write each make-up workday on a line of its own"))
        }
        Kind::Exam if periods.is_empty() => Some(("考试要有时段", "an examination needs periods")),
        Kind::Exam | Kind::MakeUp => None,
        _ if !periods.is_empty() => Some(("只有考试有时段", "only examinations have periods")),
        _ => None,
    };
    let wrong = wrong.or_else(|| {
        let stray = rings.is_some() && kind != Kind::MakeUp;
        stray.then_some(("只有补班写按周几上课", "only make-up workdays have 'as'"))
    });
    if let Some((zh, en)) = wrong {
        return Err(Text::new(zh, en));
    }
    let usual = match kind {
        Kind::Term => "学期",
        Kind::Holiday => "放假",
        Kind::MakeUp => "补班",
        Kind::Exam => "考试",
    };
    let name = cell(Column::Name).unwrap_or(usual).to_owned();
    Ok(Entry { line, kind, name, first, last, rings, periods })
}

/// A weekday: `wed`, 周三, 星期三, 三.
fn rings(text: &str) -> Result<Weekday, Text> {
    let lower = text.to_lowercase();
    let short = text.trim_start_matches("星期").trim_start_matches('周');
    let zh = WEEKDAYS_ZH.iter().find(|(_, word)| {
        let mut letters = short.chars();
        letters.next().map(|c| if c == '天' { '日' } else { c }) == Some(*word) && letters.next().is_none()
    });
    weekday(&lower).or(zh.map(|(day, _)| *day)).ok_or_else(|| {
        Text::new("应是星期几，例如 周三", "expected a weekday: mon, tue, wed, thu, fri, sat or sun")
    })
}
