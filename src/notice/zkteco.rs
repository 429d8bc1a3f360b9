//! ZKTeco push (`/iclock/`): what terminals ask, the records they send, and the few texts they want to hear.
//!
//! Terminals take anything but `200 OK` in plain text for a failure and send again for ever.

use super::{At, MAX_TEXT, Notice, Unreadable, short, text};
use crate::model::{Direction, Personal};
use jiff::civil::DateTime;

/// Most lines of one upload.
const MAX_LINES: usize = 20_000;
/// Tables of fingerprints, faces and pictures: nothing of them is read.
const BIOMETRIC: &[&str] =
    &["BIODATA", "BIOPHOTO", "ATTPHOTO", "USERPIC", "FP", "FACE", "FVEIN", "TEMPLATEV10"];
/// Tables of how a terminal is set up, and of the state of its doors.
const PASSED_OVER: &[&str] = &["OPTIONS", "RTSTATE"];

/// What a terminal asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It comes up and asks how to go on: [`reply_handshake`].
    Handshake {
        /// Its serial number.
        sn: String,
    },
    /// It sends [`records`]; [`reply_ok`] says how many arrived.
    Records {
        /// Its serial number.
        sn: String,
        /// Of which table.
        table: String,
        /// The mark by which it remembers what was sent.
        stamp: Option<String>,
    },
    /// It asks whether there is a command: `OK` says no.
    Poll {
        /// Its serial number.
        sn: String,
    },
    /// It tells what came of a command.
    Result {
        /// Its serial number.
        sn: String,
    },
}

/// Reads method, path and query of a request.
///
/// # Errors
/// [`Unreadable`]: `unknown_path`, `missing_field`.
pub fn request(method: &str, path: &str, query: &str) -> Result<Request, Unreadable> {
    let said = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().and_then(|(_, value)| short(value))
    };
    let is_sn = |sn: &String| {
        sn.len() <= 64 && sn.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let missing = || Unreadable::new("missing_field", "SN is missing or no serial number; expected SN=…");
    let sn = said("SN").filter(is_sn).ok_or_else(missing);
    let path = path.trim_end_matches('/');
    let what = path.rsplit('/').next().unwrap_or("").to_ascii_lowercase();
    let what = what.strip_suffix(".aspx").unwrap_or(&what);
    let request = match (method, what) {
        ("GET", "cdata") => Request::Handshake { sn: sn? },
        ("POST", "cdata") => {
            let missing = || Unreadable::new("missing_field", "table is missing; expected table=ATTLOG");
            let table = said("table").ok_or_else(missing)?;
            Request::Records { sn: sn?, table, stamp: said("Stamp").or_else(|| said("OpStamp")) }
        }
        ("POST", "fdata") => Request::Records { sn: sn?, table: "ATTPHOTO".to_owned(), stamp: None },
        ("GET", "getrequest" | "ping") => Request::Poll { sn: sn? },
        ("POST", "devicecmd") => Request::Result { sn: sn? },
        _ => {
            let reason = "no such page; expected /iclock/cdata, getrequest, devicecmd, fdata or ping";
            return Err(Unreadable::new("unknown_path", reason));
        }
    };
    Ok(request)
}

/// Reads an upload. What cannot be read is told line by line, without its bytes; the others stand.
#[must_use]
pub fn records(table: &str, body: &[u8]) -> (Vec<Notice>, Vec<Unreadable>) {
    let table = table.to_ascii_uppercase();
    let (mut notices, mut unreadable) = (Vec::new(), Vec::new());
    if BIOMETRIC.contains(&table.as_str()) {
        unreadable.push(biometric());
        return (notices, unreadable);
    }
    if PASSED_OVER.contains(&table.as_str()) {
        return (notices, unreadable);
    }
    let read = match table.as_str() {
        "ATTLOG" => attendance,
        "OPERLOG" => operation,
        "RTLOG" => pass,
        _ => {
            let reason = "no such table; expected ATTLOG, OPERLOG or rtlog";
            unreadable.push(Unreadable::new("unknown_table", reason));
            return (notices, unreadable);
        }
    };
    if body.len() > MAX_TEXT {
        unreadable.push(Unreadable::new("too_long", format!("the upload has more than {MAX_TEXT} bytes")));
        return (notices, unreadable);
    }
    let body = text(body);
    let lines = body.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    for (at, line) in lines {
        if at >= MAX_LINES {
            unreadable
                .push(Unreadable::new("too_long", format!("the upload has more than {MAX_LINES} lines")));
            break;
        }
        match read(line) {
            Ok(notice) => notices.push(notice),
            Err(Unreadable { kind, reason }) => {
                unreadable.push(Unreadable::new(kind, format!("line {}: {reason}", at + 1)));
            }
        }
    }
    (notices, unreadable)
}

fn biometric() -> Unreadable {
    Unreadable::new("biometric", "fingerprints, faces and pictures are not taken")
}

fn time(text: &str) -> Option<At> {
    text.trim().parse::<DateTime>().ok().map(At::Local)
}

fn missing(what: &str) -> Unreadable {
    Unreadable::new("missing_field", format!("{what} is missing or unreadable"))
}

/// `PIN \t time \t status \t verify \t work code …`
fn attendance(line: &str) -> Result<Notice, Unreadable> {
    let mut columns = line.split('\t');
    let pin = columns.next().and_then(short).ok_or_else(|| missing("PIN, the first column,"))?;
    let at = columns.next().and_then(time).ok_or_else(|| missing("the time, the second column,"))?;
    let mut digits = |what: &str| {
        let column = columns.next().unwrap_or("").trim();
        let good = (1..=5).contains(&column.len()) && column.bytes().all(|b| b.is_ascii_digit());
        if good { Ok(column.to_owned()) } else { Err(missing(what)) }
    };
    let status = digits("the status, the third column,")?;
    let verify = digits("the way of verifying, the fourth column,")?;
    let mut notice = Notice::bare(format!("{status}/{verify}"));
    notice.at = Some(at);
    notice.subject = Some(Personal::new(pin));
    Ok(notice)
}

/// `OPLOG code \t who \t time \t …`; beside them stand the people and their templates, which are not taken.
fn operation(line: &str) -> Result<Notice, Unreadable> {
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if BIOMETRIC.contains(&word) {
        return Err(biometric());
    }
    if word != "OPLOG" {
        return Err(Unreadable::new("personal", "a record of a person or of a kind unknown; expected OPLOG"));
    }
    let mut columns = rest.split('\t');
    let is_code = |code: &String| code.len() <= 5 && code.bytes().all(|b| b.is_ascii_digit());
    let code = columns.next().and_then(short).filter(is_code).ok_or_else(|| missing("the code"))?;
    let mut notice = Notice::bare(format!("op/{code}"));
    notice.at = columns.nth(1).and_then(time);
    Ok(notice)
}

/// `time=… \t pin=… \t cardno=… \t eventaddr=… \t event=… \t inoutstatus=… \t verifytype=… \t index=…`
fn pass(line: &str) -> Result<Notice, Unreadable> {
    let said = |name: &str| {
        let pairs = line.split('\t').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.next().and_then(|(_, value)| short(value))
    };
    let is_code = |code: &String| code.len() <= 5 && code.bytes().all(|b| b.is_ascii_digit());
    let event = said("event").filter(is_code).ok_or_else(|| missing("event"))?;
    let mut notice = Notice::bare(format!("rt/{event}"));
    notice.at = said("time").as_deref().and_then(time);
    notice.part = said("eventaddr").filter(|door| door != "0");
    notice.serial = said("index");
    let somebody = |name: &str| said(name).filter(|number| number != "0");
    notice.subject = somebody("pin").or_else(|| somebody("cardno")).map(Personal::new);
    notice.direction = match said("inoutstatus").as_deref() {
        Some("0") => Some(Direction::In),
        Some("1") => Some(Direction::Out),
        _ => None,
    };
    Ok(notice)
}

/// What a terminal that comes up is told: to send passes and operations at once, and neither pictures nor templates.
///
/// The stamps are those of its last uploads, so that it goes on behind them; `zone_hours` is its zone, UTC−12 to +14.
#[must_use]
pub fn reply_handshake(
    sn: &str,
    attlog_stamp: Option<&str>,
    operlog_stamp: Option<&str>,
    zone_hours: i8,
) -> String {
    let (attlog, operlog) = (attlog_stamp.unwrap_or("0"), operlog_stamp.unwrap_or("0"));
    format!(
        "GET OPTION FROM: {sn}\nATTLOGStamp={attlog}\nOPERLOGStamp={operlog}\nATTPHOTOStamp=None\nErrorDelay=30\n\
         Delay=10\nTransTimes=00:00;14:05\nTransInterval=1\nTransFlag=TransData AttLog\tOpLog\n\
         TimeZone={zone_hours}\nRealtime=1\nEncrypt=0\n"
    )
}

/// How many records arrived, those among them that are of no use: a terminal sends again what is not counted.
#[must_use]
pub fn reply_ok(count: usize) -> String {
    format!("OK: {count}")
}
