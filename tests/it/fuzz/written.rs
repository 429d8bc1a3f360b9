//! What people write or download: expressions of rules, tables and iCalendar files of holidays.

use super::engine::{Did, Target, plain, size};
use schoolgate::calendar::Written;
use schoolgate::calendar::import::Import;
use schoolgate::document::{Document, Problems};
use schoolgate::rules::{Formula, Sort, Value};

fn texts(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn known(name: &str) -> Option<Sort> {
    match name {
        "power_total" => Some(Sort::Number(0.0, 60_000.0)),
        "hour" => Some(Sort::Number(0.0, 23.0)),
        "teaching" => Some(Sort::Flag),
        "device.place" => Some(Sort::Text("r201".into())),
        _ => None,
    }
}

pub fn expressions() -> Target {
    let seeds = [
        "power_total > 2000 && !teaching && (hour >= 22 || hour < 6)",
        "teaching ? power_total > 5e3 : power_total / 2.0 > -1",
        "device.place in [\"r201\", 'r202'] || hour in [0, 0x1F, 7u]",
        "[1, 2].exists(x, x > hour) && has(device.place) && size('a') == 1",
        "{'a': b'c'}.a != null && hour % 2 == 0 || r'x'.matches('y')",
    ];
    let words = [
        "power_total",
        "hour",
        "teaching",
        "device.place",
        "&&",
        "||",
        "!",
        "==",
        "!=",
        ">=",
        "<",
        " in ",
        "[1,2]",
        "(",
        ")",
        "?",
        ":",
        "1e308",
        "9223372036854775807",
        "-",
        "true",
        "'r201'",
        ".map(x, x)",
        "\"\\u{1F600}\"",
    ];
    Target {
        name: "expressions",
        inputs: 20_000,
        longest: 600,
        seeds: texts(&seeds),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(|input| {
            let Ok(text) = std::str::from_utf8(input) else { return 0 };
            let mut did = Did::default();
            let formula = match Formula::parse(text) {
                Ok(formula) => formula,
                Err(why) => {
                    did.step(plain(&why.en));
                    return did.all();
                }
            };
            let reach = formula.reach(&known);
            for (power, hour, teaching) in [(0.0, 0.0, false), (60_000.0, 23.0, true), (2_500.0, 7.0, false)]
            {
                let says = formula.judge(&|name| match name {
                    "power_total" => Some(Value::Number(power)),
                    "hour" => Some(Value::Number(hour)),
                    "teaching" => Some(Value::Flag(teaching)),
                    "device.place" => Some(Value::Text("r201")),
                    _ => None,
                });
                if let (Ok((ever_true, ever_false)), Some(says)) = (&reach, says) {
                    assert!(if says { *ever_true } else { *ever_false }, "{text} is {says}");
                }
                did.step(says);
            }
            did.step(reach.map_err(|why| plain(&why.en)));
            did.all()
        }),
    }
}

pub fn calendars() -> Target {
    let seeds = [
        "类型,开始日期,结束日期,名称,按周几上课,时段\n学期,2026-09-01,2027-01-22,秋,,\n补班,2026-10-10,,,周三,\n\
         考试,2027-01-18,,\"期末\",,08:30-11:30 14:00-16:30\n",
        "kind;first;last;name;as\nholiday;2026/10/1;2026.10.7;国庆节;\nmakeup;2026年10月10日;;;wed\n",
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261001\r\nDTEND;VALUE=DATE:20261008\r\nSUMMARY;LANGUAGE=zh:国庆节\r\n （休）\r\n\
         END:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART:20261010T010000Z\r\nSUMMARY:上班(补国庆节假期)\r\nBEGIN:VALARM\r\nEND:VALARM\r\nEND:VEVENT\r\n\
         END:VCALENDAR\r\n",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261001T000000\nDURATION:P1W\nSUMMARY:假\nX-APPLE-SPECIAL-DAY:WORK-HOLIDAY\n\
         RRULE:FREQ=YEARLY\nSTATUS:CANCELLED\nEND:VEVENT\nEND:VCALENDAR\n",
    ];
    let words = [
        "20261001",
        "99991231",
        "00010101",
        "T240000",
        "P400D",
        "P9999999999W",
        "休",
        "班",
        "调休",
        "BEGIN:VEVENT\n",
        "END:VEVENT\n",
        "\r\n ",
        "\"",
        ",",
        ";",
        "\\n",
        "holiday",
        "2100-12-31",
        "2000-01-01",
        "24:00-24:00",
        "\u{feff}",
        "\u{0}",
        "周日",
        "DTEND:",
        "DURATION:",
    ];
    Target {
        name: "calendars",
        inputs: 20_000,
        longest: 3_000,
        seeds: texts(&seeds),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(|input| {
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
            let import = Import::read(input, &zone);
            let mut did = Did::default();
            did.step((import.encoding, size(import.len()), size(import.unclear.len())));
            for remark in import.slips.iter().chain(&import.unclear) {
                assert!(remark.what.zh.chars().count() <= 400, "{remark:?}");
                did.step(plain(&remark.what.en));
            }
            if import.slips.is_empty() && !import.is_empty() {
                taken(&import, &zone, &mut did);
            }
            did.all()
        }),
    }
}

/// What is taken can be read again as configuration, and taken once it is known.
fn taken(import: &Import, zone: &jiff::tz::TimeZone, did: &mut Did) {
    let text = import.toml("made\nby a test", Some("main"));
    let problems = Problems::new();
    let document = Document::parse("conf.d/x.toml", &text, &problems);
    let root = document.reader(&problems);
    let tables = root.tables("calendar_days");
    let [table] = tables.as_slice() else { panic!("one table: {text}") };
    let _name = table.text_opt("calendar");
    let _calendar = Written::read(table).calendar(zone, &problems);
    let told = problems.into_sorted();
    // Terms may overlap, and a make-up day be no weekend: that is told with the place in the file, and not written.
    did.step(told.first().map(|problem| plain(&problem.message.en)));
    assert!(told.iter().all(|problem| !problem.message.en.contains("TOML")), "{text}\n{told:?}");
}
