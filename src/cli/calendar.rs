//! `schoolgate calendar show|import`: what the gateway believes of each day, and days from a file that somebody else made.

use super::words::{self, lang, say};
use super::{At, EXIT_USAGE, complain, configured, table};
use crate::calendar::import::{Change, Import, MAX_BYTES, Remark, changes};
use crate::calendar::{Calendar, Day, DayKind, MAIN, Period, weekday_named, weekday_word};
use crate::config::{self, Config};
use crate::document::one_of;
use crate::model::{Lang, Wall};
use crate::runtime::{Clock, SystemClock};
use clap::{Args, Subcommand};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Something in the file is wrong.
const EXIT_WRONG: u8 = 1;
/// From so many days before the last known day on, `check` says so.
const NOTED_DAYS: i32 = 60;
const WEEKDAYS_ZH: [&str; 7] = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"];

/// Look at the school's calendar, and take days into it.
#[derive(Debug, Args)]
pub(super) struct Calendars {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show each day of a month: teaching, holiday, make-up workday or examination, and its bells
    Show(Show),
    /// Take terms, holidays, make-up workdays and examinations from a table (CSV) or an iCalendar file (.ics)
    Import(Take),
}

#[derive(Debug, Args)]
struct Show {
    /// The month, such as 2026-10 [default: this month]
    #[arg(long, value_parser = month)]
    month: Option<Date>,
    /// Which calendar
    #[arg(long, default_value = MAIN)]
    name: String,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Take {
    /// CSV with the columns 类型 (kind), 开始日期 (first), 结束日期 (last), 名称 (name), 按周几上课 (as), 时段 (periods); or .ics
    file: PathBuf,
    /// Into which calendar
    #[arg(long, default_value = MAIN)]
    name: String,
    /// Whose bells ring on a make-up workday, such as 2026-10-10=wed; may be given several times
    #[arg(long = "as", value_name = "DAY=WEEKDAY", value_parser = rings)]
    rings: Vec<(Date, Weekday)>,
    /// Write a file into conf.d; otherwise only say what would change
    #[arg(long)]
    write: bool,
    /// The name of that file [default: calendar-<name of FILE>.toml]
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    to: Option<String>,
    /// Put it in place of the file of that name
    #[arg(long)]
    replace: bool,
}

impl Calendars {
    /// Exits with 0 when done, 1 when something in the file is wrong, 64 when the configuration or the command line is.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match &self.action {
            Action::Show(show) => show.run(&self.at.config, out),
            Action::Import(take) => take.run(&self.at.config, out),
        }
    }
}

fn month(text: &str) -> Result<Date, String> {
    let day = format!("{text}-01").parse().ok().filter(|_| text.len() == 7);
    day.ok_or_else(|| "expected a month such as 2026-10".to_owned())
}

fn rings(text: &str) -> Result<(Date, Weekday), String> {
    let wrong = || "expected a day and a weekday such as 2026-10-10=wed".to_owned();
    let (day, weekday) = text.split_once('=').ok_or_else(wrong)?;
    Ok((day.parse().map_err(|_| wrong())?, weekday_named(weekday).ok_or_else(wrong)?))
}

fn file_name(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let good = plain && !text.starts_with('.') && text.ends_with(".toml") && text.len() <= 200;
    if good {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a file such as holidays-2027.toml".into())
    }
}

/// The calendar of this name, or what is told instead.
fn named<'c>(config: &'c Config, name: &str) -> Result<&'c Arc<Calendar>, String> {
    config.world.calendar_named(name).ok_or_else(|| {
        let others = config.world.calendars.keys().map(String::as_str);
        let known: Vec<&str> = std::iter::once(MAIN).chain(others).collect();
        let advice = one_of(name, &known);
        say(
            format!("没有校历“{name}”：{}", advice.zh),
            format!("there is no calendar '{name}': {}", advice.en),
        )
    })
}

fn refuse(what: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "schoolgate: {what}")?;
    Ok(ExitCode::from(EXIT_USAGE))
}

impl Show {
    fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let calendar = match named(&config, &self.name) {
            Ok(calendar) => calendar,
            Err(told) => return refuse(&told),
        };
        let now = SystemClock::new().now().wall;
        let today = || calendar.local(now).map(|(today, _)| today);
        let first = self.month.or_else(today).unwrap_or(Date::MIN).first_of_month();
        let last = first.last_of_month();
        let days: Vec<Day> =
            first.series(1.day()).take_while(|day| *day <= last).map(|day| calendar.day(day)).collect();
        if self.json {
            let days: Vec<_> = days.iter().map(as_json).collect();
            writeln!(out, "{:#}", json!({ "calendar": self.name, "days": days }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 7]> = days.iter().map(row).collect();
        let headings = match lang() {
            Lang::Zh => ["日期", "星期", "类型", "上课", "考试", "宵禁", "名称"],
            Lang::En => ["DAY", "WEEKDAY", "KIND", "BELLS", "EXAMS", "CURFEW", "NAME"],
        };
        table::print(out, headings, &rows)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn texts(periods: &[Period]) -> Vec<String> {
    periods.iter().map(ToString::to_string).collect()
}

fn as_json(day: &Day) -> serde_json::Value {
    let rings = match day.kind {
        DayKind::MakeUp(weekday) => Some(weekday_word(weekday)),
        _ => None,
    };
    json!({
        "date": day.date.to_string(),
        "weekday": weekday_word(day.date.weekday()),
        "kind": day.kind.as_str(),
        "as": rings,
        "bells": texts(&day.bells),
        "exams": texts(&day.exams),
        "curfew": texts(&day.curfew),
        "names": day.names,
    })
}

fn weekday_zh(day: Weekday) -> &'static str {
    let turn = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
    WEEKDAYS_ZH.get(turn).copied().unwrap_or_default()
}

fn kind_words(kind: DayKind) -> String {
    match kind {
        DayKind::Teaching => say("上课", "teaching"),
        DayKind::MakeUp(day) => {
            say(format!("调休，上{}的课", weekday_zh(day)), format!("make-up as {}", weekday_word(day)))
        }
        DayKind::Free => say("休息", "free"),
        DayKind::Holiday => say("放假", "holiday"),
        DayKind::OutsideTerms => say("学期外", "outside terms"),
    }
}

fn row(day: &Day) -> [String; 7] {
    let dash = |texts: Vec<String>| if texts.is_empty() { "-".to_owned() } else { texts.join(" ") };
    let weekday = day.date.weekday();
    [
        day.date.to_string(),
        say(weekday_zh(weekday), weekday_word(weekday)),
        kind_words(day.kind),
        dash(texts(&day.bells)),
        dash(texts(&day.exams)),
        dash(texts(&day.curfew)),
        day.names.join(", "),
    ]
}

impl Take {
    fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let Some(path) = self.target(config) else {
            let zh = "请用 --to 给 conf.d 中的文件起名，例如 holidays-2027.toml";
            return refuse(&say(zh, "give the file in conf.d a name: --to holidays-2027.toml"));
        };
        let there = path.exists();
        if self.write && there && !self.replace {
            let name = path.display();
            let zh = format!("已有文件 {name}：用 --replace 替换，或用 --to 另起名");
            return refuse(&say(
                zh,
                format!("there is {name} already: --replace it, or choose another name with --to"),
            ));
        }
        if there && !imported(&path) {
            let name = path.display();
            let zh = format!("{name} 里不只有导入的日期，不替换：用 --to 另起名");
            return refuse(&say(
                zh,
                format!("there is more than imported days in {name}: choose another name with --to"),
            ));
        }
        let without = match loaded(config, Some((&path, "")), out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let known = match named(&without, &self.name) {
            Ok(calendar) => calendar,
            Err(told) => return refuse(&told),
        };
        let mut import = match self.import(&without, out)? {
            Ok(import) => import,
            Err(code) => return Ok(code),
        };
        import.leave_out(known);
        if import.is_empty() {
            let zh = "文件中没有校历还不知道的日期，没有写入";
            writeln!(
                out,
                "{}",
                say(zh, "the calendar knows every day of the file already: nothing was written")
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        let name = (self.name != MAIN).then_some(self.name.as_str());
        let text = import.toml(&self.head(), name);
        let after = match config::load_with(config, Some((&path, &text))) {
            Ok(after) => after,
            Err(problems) => {
                words::tell(&problems, out)?;
                let zh = "这样写配置不能加载，没有写入；补班按周几上课可用 --as 2026-10-10=wed 说明";
                let en = "the configuration would not load, nothing was written; whose bells ring on a make-up workday \
                          can be said with --as 2026-10-10=wed";
                writeln!(out, "{}", say(zh, en))?;
                return Ok(ExitCode::from(EXIT_WRONG));
            }
        };
        let before = if there { config::load(config).unwrap_or(without) } else { without };
        if let (Ok(before), Ok(after)) = (named(&before, &self.name), named(&after, &self.name)) {
            tell(out, &changes(before, after))?;
        }
        if !self.write {
            let name = path.display();
            let zh = format!("没有写入；加 --write 写入 {name}");
            writeln!(out, "{}", say(zh, format!("nothing was written; --write puts it into {name}")))?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Err(error) = put(&path, &text, self.replace) {
            return complain(&error, EXIT_USAGE);
        }
        let name = path.display();
        let zh = format!("已写入 {name}；重启服务后生效");
        writeln!(out, "{}", say(zh, format!("written to {name}; it holds once the service is restarted")))?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the file says, or the exit code after what is wrong with it was told.
    fn import(&self, config: &Config, out: &mut impl Write) -> io::Result<Result<Import, ExitCode>> {
        let bytes = match read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) => return complain(&error, EXIT_USAGE).map(Err),
        };
        let mut import = Import::read(&bytes, &config.site.zone);
        remarks(out, &import.slips, &say("错误", "wrong"))?;
        if !import.slips.is_empty() {
            let zh = "文件有错误，没有写入";
            writeln!(out, "{}", say(zh, "the file is wrong: nothing was written"))?;
            return Ok(Err(ExitCode::from(EXIT_WRONG)));
        }
        for (day, weekday) in &self.rings {
            if !import.ring(*day, *weekday) {
                let zh = format!("文件中 {day} 不是调休上班日");
                return Ok(Err(refuse(&say(zh, format!("{day} is no make-up workday of the file")))?));
            }
        }
        remarks(out, &import.unclear, &say("未采用", "left out"))?;
        let (many, encoding) = (import.len(), import.encoding);
        let zh = format!("文件中有 {many} 项（{encoding}）");
        writeln!(out, "{}", say(zh, format!("the file has {many} entries ({encoding})")))?;
        Ok(Ok(import))
    }

    /// The file in `conf.d`; `None` where no name can be made of that of the file.
    fn target(&self, config: &Path) -> Option<PathBuf> {
        let dir = config.parent().unwrap_or(Path::new("")).join("conf.d");
        let made = || {
            let stem = self.file.file_stem()?.to_str()?;
            let stem: String =
                stem.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(60).collect();
            file_name(&format!("calendar-{stem}.toml")).ok()
        };
        Some(dir.join(self.to.clone().or_else(made)?))
    }

    fn head(&self) -> String {
        let file = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let zh = format!("由 schoolgate calendar import 从 {file} 生成。");
        say(zh, format!("Made by schoolgate calendar import from {file}."))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is taken, so that a larger file is told and not cut.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether nothing but imported days stands in a file.
fn imported(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.parse::<toml::Table>().is_ok_and(|table| table.keys().all(|key| key == "calendar_days"))
}

fn loaded(
    path: &Path,
    other: Option<(&Path, &str)>,
    out: &mut impl Write,
) -> io::Result<Result<Config, ExitCode>> {
    match config::load_with(path, other) {
        Ok(config) => Ok(Ok(config)),
        Err(problems) => {
            words::tell(&problems, out)?;
            Ok(Err(ExitCode::from(EXIT_USAGE)))
        }
    }
}

fn remarks(out: &mut impl Write, remarks: &[Remark], what: &str) -> io::Result<()> {
    for Remark { line, what: why } in remarks {
        let zh = format!("第 {line} 行{what}：{}", why.zh);
        writeln!(out, "{}", say(zh, format!("line {line}, {what}: {}", why.en)))?;
    }
    Ok(())
}

/// What changes, one line for days in a row.
fn tell(out: &mut impl Write, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        let days = if change.first == change.last {
            format!(
                "{} {}",
                change.first,
                say(weekday_zh(change.first.weekday()), weekday_word(change.first.weekday()))
            )
        } else {
            format!("{} – {}", change.first, change.last)
        };
        let (from, to) = (kind_words(change.from), kind_words(change.to));
        let mut line = if from == to { format!("{days}: {to}") } else { format!("{days}: {from} -> {to}") };
        if !change.names.is_empty() {
            line.push_str(&format!(" ({})", change.names.join(", ")));
        }
        if change.exams {
            line.push_str(&say("，考试有变化", ", examinations change"));
        }
        writeln!(out, "{line}")?;
    }
    if changes.is_empty() {
        writeln!(out, "{}", say("没有哪一天会改变", "no day changes"))?;
    }
    Ok(())
}

/// Writes a file whole or not at all; one that is there is kept unless it is to be replaced.
fn put(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(dir)?;
    // Hidden, so that nobody reads it for a configuration while it is written.
    let beside = dir.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let done = if replace { fs::rename(&beside, path) } else { fs::hard_link(&beside, path) };
    if !replace || done.is_err() {
        fs::remove_file(&beside)?;
    }
    done?;
    File::open(dir)?.sync_all()
}

/// What `check` says of calendars that are about to run out.
pub(super) fn notes(config: &Config, now: Wall) -> Vec<String> {
    let others = config.world.calendars.iter().map(|(name, calendar)| (name.as_str(), calendar));
    let all = std::iter::once((MAIN, &config.world.calendar)).chain(others);
    all.flat_map(|(name, calendar)| ending(name, calendar, now)).collect()
}

fn ending(name: &str, calendar: &Calendar, now: Wall) -> Vec<String> {
    let mut notes = Vec::new();
    let near = |last: Date| calendar.days_until(last, now).filter(|days| *days < NOTED_DAYS);
    if let Some(last) = calendar.last_term_day()
        && let Some(days) = near(last)
    {
        notes.push(if days < 0 {
            let zh = format!("注意：校历“{name}”的最后一个学期已于 {last} 结束，此后没有教学时间");
            say(zh, format!("note: the last term of the calendar '{name}' ended on {last}: no time since is teaching time"))
        } else {
            let zh = format!("注意：校历“{name}”的最后一个学期 {days} 天后（{last}）结束，请录入下一学期");
            say(zh, format!("note: the last term of the calendar '{name}' ends in {days} days, on {last}: enter the next one"))
        });
    }
    if let Some(last) = calendar.holidays_known_until()
        && near(last).is_some()
    {
        let year = last.year().saturating_add(1);
        let zh = format!(
            "注意：校历“{name}”没有 {year} 年的节假日；国务院通知公布后请录入（schoolgate calendar import）"
        );
        let en = format!(
            "note: the calendar '{name}' knows no holidays of {year}: enter them once they are published (schoolgate calendar import)"
        );
        notes.push(say(zh, en));
    }
    notes
}

#[cfg(test)]
mod tests;
