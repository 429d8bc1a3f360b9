//! The tables that stand once: `[site]`, `[store]`, `[http]`, `[uploads]`.

use super::Site;
use super::fields::{finish, name_opt};
use crate::document::Reader;
use crate::model::{DeviceId, Text};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the database lives unless told otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/schoolgate";
/// Room that the data may take unless told otherwise, MiB: years of a large school, and within every card in use.
const DEFAULT_BUDGET_MB: u32 = 4096;
/// What may be written there, MiB: the write-ahead log alone takes up to 16, and 16 TiB is beyond every box.
const BUDGETS_MB: std::ops::RangeInclusive<i64> = 64..=16_777_216;
/// Port of the API and metrics unless told otherwise.
const DEFAULT_PORT: u16 = 8088;
/// Lengths of an aggregate, in seconds; each divides an hour.
const PERIODS_SECS: &[u32] = &[10, 15, 20, 30, 60, 300, 600, 900, 1800, 3600];
/// Length of an aggregate unless told otherwise, in seconds.
const DEFAULT_PERIOD_SECS: u32 = 900;
/// The time zone of China.
const DEFAULT_ZONE: &str = "Asia/Shanghai";

/// Kinds of school: the first two digits of the 学校（机构）标识码 (学校（机构）代码管理办法, 2011).
const SCHOOL_KINDS: &[&str] =
    &["11", "21", "22", "31", "32", "33", "34", "35", "36", "37", "41", "42", "51", "91", "92", "93"];
/// Provinces: the first two digits of GB/T 2260.
const PROVINCES: &[&str] = &[
    "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42",
    "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65",
];

/// The time zone that holds when none, or a wrong one, is written.
pub(super) fn default_zone() -> TimeZone {
    zone(DEFAULT_ZONE).unwrap_or(TimeZone::UTC)
}

/// Finds a zone in the table that was built in, whatever the machine has installed.
fn zone(name: &str) -> Result<TimeZone, Text> {
    let found = TimeZoneDatabase::bundled().get(name);
    found.map_err(|error| Text::new(format!("没有这个时区：{error}"), error.to_string()))
}

/// `[site]`.
pub(super) fn site(reader: Reader<'_>) -> Option<Site> {
    let advice = ("写本网关的编号，如 \"gw-1\"", "write the id of this gateway, such as \"gw-1\"");
    let gateway = reader.parsed("gateway", advice, DeviceId::new);
    let name = match name_opt(&reader, "name") {
        None if !reader.has("name") => reader.text("name"),
        name => name,
    };
    let advice = (
        "写 10 位数字：2 位学校类别（21 小学、31 初中、34 高中 ……）、2 位省份（34 安徽、61 陕西 ……）、6 位省里给的序号",
        "write 10 digits: 2 for the kind of school (21 primary, 31 junior middle, 34 senior middle …), 2 for the \
         province (34 Anhui, 61 Shaanxi …), 6 for the number given by the province",
    );
    let school_code = reader.parsed_opt("school_code", advice, school_code);
    let advice = (
        "写 IANA 时区名；全国都是 \"Asia/Shanghai\"",
        "write a name of the IANA list; all of China is \"Asia/Shanghai\"",
    );
    let zone = reader.parsed_opt("timezone", advice, zone).unwrap_or_else(default_zone);
    finish(reader, None);
    Some(Site { gateway: gateway?, name: name?, school_code, zone })
}

fn school_code(text: &str) -> Result<String, Text> {
    let kind = text.get(..2).unwrap_or("");
    let province = text.get(2..4).unwrap_or("");
    if text.len() != 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
        let count = text.chars().count();
        Err(Text::new(
            format!("学校标识码是 10 位数字，这里有 {count} 个字符"),
            format!("a school code has 10 digits, this has {count} characters"),
        ))
    } else if !SCHOOL_KINDS.contains(&kind) {
        Err(Text::new(
            format!("开头的 '{kind}' 不是学校类别"),
            format!("'{kind}' at the beginning is no kind of school"),
        ))
    } else if !PROVINCES.contains(&province) {
        Err(Text::new(
            format!("第三、四位 '{province}' 不是省份"),
            format!("'{province}' as third and fourth digit is no province"),
        ))
    } else {
        Ok(text.to_owned())
    }
}

/// `[store]`: where the database lives, and how much room it may take, MiB.
pub(super) fn store(reader: Option<Reader<'_>>, base: &Path) -> (PathBuf, u32) {
    let Some(reader) = reader else { return (DEFAULT_DATA_DIR.into(), DEFAULT_BUDGET_MB) };
    let advice = (
        format!("写目录的路径，如 \"{DEFAULT_DATA_DIR}\""),
        format!("write the path of a directory, such as \"{DEFAULT_DATA_DIR}\""),
    );
    let dir = reader.parsed_opt("dir", advice, |text| match text.trim() {
        "" => Err(("路径是空的", "the path is empty")),
        _ => Ok(base.join(text)),
    });
    let budget = reader.integer_opt("budget_mb", BUDGETS_MB);
    finish(reader, None);
    let budget = budget.and_then(|mb| u32::try_from(mb).ok()).unwrap_or(DEFAULT_BUDGET_MB);
    (dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()), budget)
}

/// `[http]`: where the API and metrics listen.
pub(super) fn http(reader: Option<Reader<'_>>) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    let Some(reader) = reader else { return default };
    let advice = (
        format!("写地址和端口，如 \"{default}\""),
        format!("write an address and a port, such as \"{default}\""),
    );
    let listen = reader.parsed_opt("listen", advice, socket);
    if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
        reader.problem(
            "listen",
            (
                format!("'http.listen' 是 {listen}，别的机器也能连上"),
                format!("'http.listen' is {listen}, where other machines could reach it"),
            ),
            (
                format!(
                    "写 \"127.0.0.1:{}\"：这里不加密。别的机器用 [console]，它有 TLS：`listen = \"0.0.0.0:8443\"`",
                    listen.port()
                ),
                format!(
                    "write \"127.0.0.1:{}\": it is not encrypted. For other machines there is [console], over \
                     TLS: `listen = \"0.0.0.0:8443\"`",
                    listen.port()
                ),
            ),
        );
    }
    finish(reader, None);
    listen.unwrap_or(default)
}

/// An address and a port; `localhost` is one, too.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Text> {
    let parsed = text.replacen("localhost:", "127.0.0.1:", 1).parse();
    parsed.map_err(|_| {
        Text::new(format!("\"{text}\" 不是带端口的地址"), format!("\"{text}\" is not an address with a port"))
    })
}

/// `[uploads]`: how long an aggregate is, in seconds.
pub(super) fn uploads(reader: Option<Reader<'_>>) -> u32 {
    let Some(reader) = reader else { return DEFAULT_PERIOD_SECS };
    let written = reader.integer_opt("aggregate_secs", i64::MIN..=i64::MAX);
    let period = written.and_then(|n| u32::try_from(n).ok()).filter(|n| PERIODS_SECS.contains(n));
    if let (Some(written), None) = (written, period) {
        let allowed: Vec<String> = PERIODS_SECS.iter().map(u32::to_string).collect();
        reader.problem(
            "aggregate_secs",
            (
                format!("{written} 秒一段，不能把一小时等分"),
                format!("aggregates of {written} s do not fill an hour evenly"),
            ),
            (
                format!("写其中一个：{}（常用 900）", allowed.join("、")),
                format!("write one of: {} (900 is usual)", allowed.join(", ")),
            ),
        );
    }
    finish(reader, None);
    period.unwrap_or(DEFAULT_PERIOD_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn school_codes_are_checked_part_by_part() {
        for good in ["2134000001", "3161123456", "4111010001", "9165999999"] {
            assert_eq!(school_code(good), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("213400001", "10 digits"),
            ("21340000011", "10 digits"),
            ("2134O00001", "10 digits"),
            ("二一三四", "4 characters"),
            ("3834000001", "'38' at the beginning"),
            ("2116000001", "'16' as third"),
        ] {
            assert!(school_code(bad).is_err_and(|e| e.en.contains(why)), "{bad}");
        }
    }

    #[test]
    fn every_period_divides_an_hour() {
        assert!(PERIODS_SECS.iter().all(|p| 3600 % p == 0));
        assert!(PERIODS_SECS.contains(&DEFAULT_PERIOD_SECS));
    }

    #[test]
    fn the_default_zone_is_built_in() {
        assert_eq!(default_zone().iana_name(), Some("Asia/Shanghai"));
        assert!(zone("Asia/Beijing").is_err());
    }
}
