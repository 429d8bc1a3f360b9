//! What terminals, recorders and panels send: whatever comes, a reader goes on, tells the same however a stream is cut,
//! and what it tells is bounded and understood by every profile of its form.

use super::engine::{Did, Target, plain, size};
use super::profiles::{chosen, of, promises, with_context};
use schoolgate::notice::{Notice, Unreadable, contact_id, dahua, fire, isapi, parts, zkteco};
use schoolgate::profile::{Profile, Protocol};

/// Longest code, number or part of a notice, in characters, and longest label.
const LONGEST_WORD: usize = 128;
const LONGEST_LABEL: usize = 100;

fn judge(profiles: &[Profile], notices: &[Notice], did: &mut Did) {
    did.step(size(notices.len()));
    for notice in notices {
        let words = [Some(&notice.code), notice.part.as_ref(), notice.serial.as_ref()];
        for word in words.into_iter().flatten() {
            assert!(!word.is_empty() && word.chars().count() <= LONGEST_WORD, "{word:?}");
            assert!(!word.chars().any(char::is_control), "{word:?}");
        }
        let label = notice.label.as_deref().unwrap_or_default();
        assert!(label.chars().count() <= LONGEST_LABEL && !label.chars().any(char::is_control), "{label:?}");
        assert!(notice.amounts.iter().all(|amount| amount.value.is_finite()), "{:?}", notice.amounts);
        did.step((size(notice.code.len()), notice.phase, notice.part.is_some(), notice.at.is_some()));
        for profile in profiles {
            let decoded = with_context(|cx| profile.decode_notice(cx, notice)).unwrap_or_default();
            promises(profile, &decoded, did);
        }
    }
}

fn refused(error: &Unreadable, did: &mut Did) {
    assert!(!error.reason.is_empty() && error.reason.len() < 400, "{error:?}");
    did.step((error.kind, plain(&error.reason)));
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const PASS: &str = r#"{"ipAddress":"192.168.1.64","macAddress":"aa:bb:cc:00:11:22","dateTime":"2024-01-01T08:00:00+08:00",
"activePostCount":1,"eventType":"AccessControllerEvent","eventState":"active","AccessControllerEvent":{"majorEventType":5,
"subEventType":75,"cardNo":"0012345678","name":"a","doorNo":1,"employeeNoString":"7","serialNo":1234,"frontSerialNo":1233,
"attendanceStatus":"checkIn","currTemperature":36.5}}"#;
const PAGE: &str = r#"{"AcsEvent":{"responseStatusStrg":"MORE","totalMatches":2,"numOfMatches":1,"InfoList":[{"major":5,
"minor":75,"time":"2024-01-01T08:00:00+08:00","serialNo":5},{"major":1,"minor":1034,"employeeNoString":"7"}]}}"#;
const ALERT: &str = "<EventNotificationAlert version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">\
<macAddress>4f:e4:2f:81:cd:1b</macAddress><channelID>1</channelID><dateTime>2024-11-19T16:53:28+01:00</dateTime>\
<activePostCount>1</activePostCount><eventType>duration</eventType><eventState>active</eventState><inputIOPortID>1\
</inputIOPortID><channelName>Cam 1</channelName><DurationList><Duration><relationEvent>linedetection</relationEvent>\
</Duration></DurationList></EventNotificationAlert>";

// ---- ISAPI: whether a page, a multipart body or a body, then its bytes

pub fn isapi() -> Target {
    let profiles = of(&[Protocol::Isapi]);
    let multipart = format!(
        "--b\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nJFIF\r\n--b\r\nContent-Type: application/json\r\n\
         \r\n{PASS}\r\n--b--\r\n"
    );
    let seeds = [PASS, PAGE, ALERT, multipart.as_str(), "<!DOCTYPE a><a/>", "<a>"];
    let seeds = seeds.iter().flat_map(|seed| (0..3).map(|how| [&[how], seed.as_bytes()].concat()));
    let words = [
        "--b\r\n",
        "--b--",
        "\r\n\r\n",
        "<![CDATA[",
        "]]>",
        "&#0;",
        "<!DOCTYPE",
        "null",
        "\"\"",
        "65536",
        "-1",
        "1e999",
        "[[[[",
        "<a>",
        "videoloss",
        "heartBeat",
        "inactive",
        "true",
        "9999-12-31T23:59:59Z",
    ];
    Target {
        name: "isapi",
        inputs: 20_000,
        longest: 6_000,
        seeds: seeds.collect(),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(move |input| {
            let [how, body @ ..] = input else { return 0 };
            let mut did = Did::default();
            match how % 3 {
                0 => match isapi::page(body) {
                    Ok(page) => {
                        assert!(page.notices.iter().all(|notice| notice.late));
                        did.step((page.more, size(page.notices.len())));
                        judge(&profiles, &page.notices, &mut did);
                    }
                    Err(error) => refused(&error, &mut did),
                },
                how => match isapi::read(if how == 1 { "multipart/mixed; boundary=b" } else { "" }, body) {
                    Ok(message) => {
                        assert!(
                            !message.heartbeat || message.notices.is_empty(),
                            "a sign of life tells something"
                        );
                        did.step((
                            message.heartbeat,
                            message.serial_no.is_some(),
                            message.previous_serial.is_some(),
                        ));
                        judge(&profiles, &message.notices, &mut did);
                    }
                    Err(error) => refused(&error, &mut did),
                },
            }
            did.all()
        }),
    }
}

// ---- multipart: how it is cut, then the stream

fn taken_apart(stream: &[u8], piece: usize) -> Vec<Result<Vec<u8>, &'static str>> {
    const LONGEST_PART: usize = 1_000;
    let mut parts = parts::Parts::new("b", LONGEST_PART);
    let mut got = Vec::new();
    for bytes in stream.chunks(piece) {
        parts.feed(bytes);
        while let Some(part) = parts.next() {
            got.push(part.map(|part| part.body).map_err(|error| error.kind));
        }
    }
    assert!(got.iter().flatten().all(|body| body.len() <= LONGEST_PART), "a part is longer than allowed");
    got
}

pub fn parts() -> Target {
    let stream = "--b\r\nContent-Type: text/plain\r\nContent-Length:9\r\n\r\nHeartbeat\r\n\r\n--b\r\n\
                  Content-Type: image/jpeg\r\n\r\nJFIF\r\n--b\r\n\r\n{\"a\":1}\r\n--b--\r\n";
    let words = [
        "--b",
        "\r\n--b\r\n",
        "\n--b\n",
        "\r\n\r\n",
        "\n\n",
        "Content-Length: 5\r\n",
        "Content-Type: image/png\r\n",
    ];
    Target {
        name: "parts",
        inputs: 30_000,
        longest: 4_000,
        seeds: vec![[&[3], stream.as_bytes()].concat(), [&[3], ALERT.as_bytes()].concat()],
        words: texts(&words),
        repair: |_| {},
        run: Box::new(|input| {
            let [piece, stream @ ..] = input else { return 0 };
            let mut did = Did::default();
            let got = taken_apart(stream, usize::from(*piece).max(1));
            for part in &got {
                did.step(part.as_ref().map(|body| size(body.len())));
            }
            // A length that is told ends a part; else it ends where the next begins, however the stream is cut.
            if !stream.to_ascii_lowercase().windows(14).any(|w| w == b"content-length")
                && !stream.windows(2).any(|w| w == b"</")
                && stream.len() < 900
            {
                assert_eq!(got, taken_apart(stream, stream.len().max(1)), "cut into pieces of {piece}");
            }
            did.all()
        }),
    }
}

// ---- Dahua: the text of a part

pub fn dahua() -> Target {
    let profiles = of(&[Protocol::Dahua]);
    let seeds = [
        "Code=VideoMotion;action=Start;index=0;data={ \"Id\" : [ 0 ], \"RegionName\" : [ \"Region1\" ], \
         \"LocaleTime\" : \"2024-09-02 07:41:05\" }",
        "Code=AccessControl;action=Pulse;index=0;data={\"CardNo\":\"1\",\"Type\":\"Entry\",\"Status\":1,\"UTC\":1725234065}",
        "Heartbeat",
    ];
    let words =
        ["Code=", ";action=", "Stop", "Pulse", "State", ";index=", ";data=", "{", "}", "\"", "[[[[[[[["];
    Target {
        name: "dahua",
        inputs: 30_000,
        longest: 3_000,
        seeds: texts(&seeds),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(move |input| {
            let mut did = Did::default();
            match dahua::read(input) {
                Ok(notice) => judge(&profiles, notice.as_slice(), &mut did),
                Err(error) => refused(&error, &mut did),
            }
            did.all()
        }),
    }
}

// ---- ZKTeco: which table, then the upload; or a request line

pub fn zkteco() -> Target {
    const TABLES: [&str; 6] = ["ATTLOG", "OPERLOG", "rtlog", "options", "BIODATA", "USERINFO"];
    let profiles = of(&[Protocol::Zkteco]);
    let bodies = [
        "1001\t2024-09-02 07:41:05\t0\t15\t0\t0\t0\r\n1002\t2024-09-02 07:41:05\t1\t1\n",
        "OPLOG 4\t14\t2024-09-02 07:41:05\t0\t0\nUSER PIN=982\tName=a\nFP PIN=982\tTMP=AAAA\n",
        "time=2024-09-02 07:41:05\tpin=1\tcardno=2\teventaddr=1\tevent=101\tinoutstatus=1\tindex=21\n",
    ];
    let seeds = (0..8).flat_map(|how| bodies.map(|body| [&[how], body.as_bytes()].concat()));
    let requests =
        ["GET /iclock/cdata.aspx?SN=A1&options=all", "POST /iclock/cdata?SN=A1&table=ATTLOG&Stamp=9"];
    let requests = requests.map(|line| [&[7], line.as_bytes()].concat());
    let words = [
        "\t",
        "\n",
        "event=",
        "pin=",
        "OPLOG ",
        "USER PIN=",
        "FACE ",
        "&",
        "SN=",
        "table=",
        "%00",
        "24:00:00",
    ];
    Target {
        name: "zkteco",
        inputs: 30_000,
        longest: 3_000,
        seeds: seeds.chain(requests).collect(),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(move |input| {
            let [how, body @ ..] = input else { return 0 };
            let mut did = Did::default();
            let Some(table) = TABLES.get(usize::from(how % 7)) else {
                let line = String::from_utf8_lossy(body);
                let (method, target) = line.split_once(' ').unwrap_or(("GET", &line));
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                match zkteco::request(method, path, query) {
                    Ok(request) => did.step(std::mem::discriminant(&request)),
                    Err(error) => refused(&error, &mut did),
                }
                return did.all();
            };
            let (notices, unreadable) = zkteco::records(table, body);
            let lines = String::from_utf8_lossy(body).lines().count();
            assert!(notices.len() + unreadable.len() <= lines.max(1) + 1, "more records than lines");
            judge(&profiles, &notices, &mut did);
            unreadable.iter().for_each(|error| refused(error, &mut did));
            did.all()
        }),
    }
}

// ---- GB/T 26875.3 and DC-09: how the stream is cut, then its bytes

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// A frame of these objects.
fn frame(data: &[u8]) -> Vec<u8> {
    let head = [&[1, 0, 1, 1, 0, 0, 8, 1, 9, 26, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1][..]].concat();
    let length = (data.len() as u16).to_le_bytes();
    let body = [&head[..], &length, &[2], data].concat();
    [b"@@", &body[..], &[sum(&body)], b"##"].concat()
}

/// Makes length, sum and end of the first frame right.
fn repair_frame(input: &mut Vec<u8>) {
    let Some(start) = input.windows(2).position(|pair| pair == b"@@") else { return };
    let Some(room) = input.len().checked_sub(start + 30) else { return };
    let length = (room.min(1024) as u16).to_le_bytes();
    input.truncate(start + 30 + room.min(1024));
    input[start + 24..start + 26].copy_from_slice(&length);
    let end = input.len() - 3;
    let right = sum(&input[start + 2..end]);
    input[end..].copy_from_slice(&[right, b'#', b'#']);
}

pub fn gb26875() -> Target {
    let profiles = of(&[Protocol::Gb26875]);
    let time = [0x30, 0x12, 0x13, 1, 8, 0x14];
    let equipment = [&[2, 1, 1, 3, 25, 1, 0, 0, 0, 2, 0][..], &[0xC1; 31], &time].concat();
    let objects = [
        equipment.clone(),
        [&[2, 0][..], &equipment[2..]].concat(),
        [&[1, 1, 1, 3, 1, 3][..], &time].concat(),
        [&[3, 1, 1, 3, 92, 1, 0, 0, 0, 4, 6, 0][..], &time].concat(),
        [&[4, 1, 1, 3, 1, 9][..], &time].concat(),
        [&[21, 1, 0x43][..], &time].concat(),
        [&[24, 1, 4, 9][..], &time].concat(),
        vec![25, 1, 1, 2],
        vec![130, 1, 7],
    ];
    let seeds = objects.iter().flat_map(|data| [1, 200].map(|piece| [&[piece], &frame(data)[..]].concat()));
    Target {
        name: "gb26875",
        inputs: 40_000,
        longest: 1_200,
        seeds: seeds.collect(),
        words: vec![b"@@".to_vec(), b"##".to_vec(), vec![0xFF; 4], vec![0; 6], vec![2, 0], vec![0xFF, 0x03]],
        repair: repair_frame,
        run: Box::new(move |input| {
            let [piece, stream @ ..] = input else { return 0 };
            let found = |piece: usize| {
                let (mut frames, mut got) = (fire::Frames::new(), Vec::new());
                for bytes in stream.chunks(piece.max(1)) {
                    frames.feed(bytes);
                    while let Some(frame) = frames.next() {
                        got.extend(frame.ok());
                    }
                }
                got
            };
            let mut did = Did::default();
            let frames = found(usize::from(*piece));
            assert_eq!(frames, found(stream.len()), "cut into pieces of {piece}");
            for frame in &frames {
                did.step((frame.action, frame.data.first()));
                let mut answer = fire::Frames::new();
                answer.feed(&fire::acknowledge(frame));
                let answer = answer.next().expect("an answer is a frame").expect("that can be read");
                assert_eq!((answer.serial, answer.action), (frame.serial, 3));
                match fire::read(frame) {
                    Ok(notices) => {
                        assert!(notices.len() <= 13 * frame.data.len(), "{} notices", notices.len());
                        judge(&profiles, &notices, &mut did);
                    }
                    Err(error) => refused(&error, &mut did),
                }
            }
            did.all()
        }),
    }
}

/// CRC-16 from the polynomial 8005h, highest bit first, of bytes the other way round.
fn crc(bytes: &[u8]) -> u16 {
    let mut register: u16 = 0;
    for byte in bytes {
        register ^= u16::from(byte.reverse_bits()) << 8;
        for _ in 0..8 {
            let carry = register & 0x8000 != 0;
            register <<= 1;
            if carry {
                register ^= 0x8005;
            }
        }
    }
    register.reverse_bits()
}

/// Makes check sum and length of the last frame right.
fn repair_report(input: &mut Vec<u8>) {
    let Some(start) = input.iter().rposition(|byte| *byte == b'\n') else { return };
    let end = input[start..].iter().position(|byte| *byte == b'\r').map_or(input.len(), |at| start + at);
    let Some(message) = input.get(start + 9..end).map(<[u8]>::to_vec) else { return };
    let head = format!("{:04X}{:04X}", crc(&message), message.len());
    input.truncate(start + 1);
    input.extend(head.as_bytes());
    input.extend(message);
    input.push(b'\r');
}

pub fn contact_id() -> Target {
    let profiles = of(&[Protocol::ContactId]);
    let messages = [
        "\"ADM-CID\"0020R7896L7896#3456[#3456|1407 00 001]_17:01:14,07-26-2024",
        "\"ADM-CID\"0028L0#9757[#9757|3130 01 015]",
        "\"NULL\"0000R7896L7896#3456[]",
        "\"*ADM-CID\"0001R1L0#1234[AABB",
    ];
    let seeds = messages.iter().flat_map(|message| {
        [1, 200].map(|piece| {
            let mut seed = format!("\n00000000{message}\r").into_bytes();
            repair_report(&mut seed);
            [&[piece], &seed[..]].concat()
        })
    });
    let words =
        ["\n", "\r", "[", "]", "|", "#", "\"", "1121 01 001", "6", "_24:60:60,02-30-2024", "\"SIA-DCS\""];
    Target {
        name: "contact_id",
        inputs: 40_000,
        longest: 2_500,
        seeds: seeds.collect(),
        words: texts(&words),
        repair: repair_report,
        run: Box::new(move |input| {
            let [piece, stream @ ..] = input else { return 0 };
            let found = |piece: usize| {
                let (mut frames, mut got) = (contact_id::Frames::new(), Vec::new());
                for bytes in stream.chunks(piece.max(1)) {
                    frames.feed(bytes);
                    while let Some(frame) = frames.next() {
                        got.push(frame);
                    }
                }
                got
            };
            let mut did = Did::default();
            let frames = found(usize::from(*piece));
            assert_eq!(frames, found(stream.len()), "cut into pieces of {piece}");
            for frame in frames {
                let told = frame.and_then(|frame| {
                    let mut answer = contact_id::Frames::new();
                    answer.feed(&contact_id::acknowledge(&frame));
                    let answer = answer.next().expect("an answer is a frame").expect("that can be read");
                    assert_eq!((&answer.account, &answer.sequence), (&frame.account, &frame.sequence));
                    contact_id::read(&frame)
                });
                match told {
                    Ok(notices) => judge(&profiles, &notices, &mut did),
                    Err(error) => refused(&error, &mut did),
                }
            }
            did.all()
        }),
    }
}

// ---- answers: which MQTT profile, which of its topics, then the payload

pub fn replies() -> Target {
    let profiles = of(&[Protocol::Mqtt]);
    let payloads = [
        r#"{"operator":"RecPush","info":{"RecordID":"3071","facesluiceId":"1001","SnapID":7}}"#,
        r#"{"operator":"Online","info":{"facesluiceId":"1001"}}"#,
        r#"{"sequence_no":1,"cap_time":"2017/12/18 16:45:30.003"}"#,
    ];
    let seeds = (0..profiles.len() as u8).flat_map(|n| {
        payloads.iter().flat_map(move |p| (0..4).map(move |t| [&[0, n, 0, t], p.as_bytes()].concat()))
    });
    let words = ["{/info/RecordID}", "\"info\":", "null", "[]", "{}", "1e400", "\\ud800", "\"1001\""];
    Target {
        name: "replies",
        inputs: 20_000,
        longest: 2_000,
        seeds: seeds.collect(),
        words: texts(&words),
        repair: |_| {},
        run: Box::new(move |input| {
            let [a, b, c, d, payload @ ..] = input else { return 0 };
            let Some(profile) = chosen(&profiles, [*a, *b]) else { return 0 };
            let topics = profile.topics("1001");
            let Some(topic) = chosen(&topics, [*c, *d]) else { return 0 };
            let topic = topic.replace(['+', '#'], "x");
            let mut did = Did::default();
            did.step((profile.id.as_str(), size(payload.len())));
            if let Some(reply) = with_context(|cx| profile.hear(cx, "1001", &topic, payload)).reply {
                assert!(reply.topic.contains("1001") && reply.payload.len() <= 4_000, "{reply:?}");
                let json: serde_json::Value =
                    serde_json::from_slice(&reply.payload).expect("an answer is JSON");
                assert!(json.is_object());
                did.step(reply.topic);
            }
            did.all()
        }),
    }
}
