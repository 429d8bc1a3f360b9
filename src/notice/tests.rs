//! What the readers have in common: nothing that names a person leaves them, and nothing that is sent hurts them.

use super::*;

/// Real-shaped things that name a person.
const CANARIES: [&str; 6] =
    ["测试甲", "341226201109130018", "13855512345", "0012345678", "S2024001", "/9j/4AAQSkZJRgABAQ"];

fn clean(what: &str, said: &impl std::fmt::Debug) {
    let said = format!("{said:?}");
    for canary in CANARIES {
        assert!(!said.contains(canary), "{what} tells {canary}: {said}");
    }
}

const PASS: &str = r#"{"ipAddress":"192.168.1.64","macAddress":"AA-BB-CC-00-11-22","dateTime":"2024-01-01T08:00:00+08:00",
    "eventType":"AccessControllerEvent","eventState":"active","AccessControllerEvent":{"majorEventType":5,
    "subEventType":75,"cardNo":"0012345678","name":"测试甲","employeeNoString":"S2024001","serialNo":1234,
    "frontSerialNo":1233,"doorNo":1,"idCard":"341226201109130018","telephone":"13855512345",
    "pictureURL":"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ"}}"#;

#[test]
fn nothing_that_names_a_person_leaves_a_reader() {
    let message = isapi::read("application/json", PASS.as_bytes()).unwrap();
    assert_eq!(message.from.mac.as_deref(), Some("aa:bb:cc:00:11:22"));
    assert_eq!((message.serial_no, message.previous_serial), (Some(1234), Some(1233)));
    assert!(message.notices[0].subject.is_some());
    clean("a pass", &message);
    for cut in 0..PASS.len() {
        clean("a pass cut off", &isapi::read("application/json", &PASS.as_bytes()[..cut]));
    }
    for swapped in ["5", "75", "1234", "\"active\""] {
        let wrong = PASS.replacen(swapped, "\"测试甲\"", 1);
        if let Err(error) = isapi::read("", wrong.as_bytes()) {
            clean("a pass that is wrong", &error);
        }
    }
    let xml = "<EventNotificationAlert><eventType>AccessControllerEvent</eventType><AccessControllerEvent>\
               <majorEventType>5</majorEventType><subEventType>1</subEventType><name>测试甲</name>\
               <cardNo>0012345678</cardNo></AccessControllerEvent></EventNotificationAlert>";
    clean("a pass in XML", &isapi::read("application/xml", xml.as_bytes()).unwrap());
    clean("an element that is none", &isapi::read("", "<测试甲 0012345678=".as_bytes()).unwrap_err());

    let part = "Code=AccessControl;action=Pulse;index=0;data={\"CardName\":\"测试甲\",\"CardNo\":\"0012345678\",\
                \"UserID\":\"S2024001\",\"URL\":\"/9j/4AAQSkZJRgABAQ\"}";
    clean("a part", &dahua::read(part.as_bytes()).unwrap());
    clean("a part that is wrong", &dahua::read("Code=测试甲;action=0012345678".as_bytes()).unwrap_err());

    for (table, body) in [
        ("ATTLOG", "S2024001\t2024-09-02 07:41:05\t0\t1\n0012345678\tyesterday\t0\t1\nS2024001\t\t\t"),
        ("rtlog", "time=2024-09-02 07:41:05\tpin=S2024001\tcardno=0012345678\tevent=0\tindex=1"),
        (
            "OPERLOG",
            "USER PIN=S2024001\tName=测试甲\tCard=0012345678\nFP PIN=S2024001\tTMP=/9j/4AAQSkZJRgABAQ",
        ),
        ("BIODATA", "BIODATA Pin=S2024001\tTmp=/9j/4AAQSkZJRgABAQ"),
        ("测试甲", "341226201109130018"),
    ] {
        clean(table, &zkteco::records(table, body.as_bytes()).1);
        clean(table, &zkteco::records(table, body.as_bytes()).0);
    }
    let reply = zkteco::request("GET", "/iclock/cdata", "SN=测试甲").unwrap_err();
    clean("a serial number that is none", &reply);
}

#[test]
fn an_isapi_message_is_the_same_in_every_wrapping() {
    let alone = isapi::read("application/json; charset=UTF-8", PASS.as_bytes()).unwrap();
    let wrapped = format!("{{\"EventNotificationAlert\":{PASS}}}");
    assert_eq!(isapi::read("", wrapped.as_bytes()).unwrap(), alone);
    let picture = [0xFF, 0xD8, b'\r', b'\n', b'-', b'-', 0xFF].repeat(100_000);
    let head = "--b1\r\nContent-Disposition: form-data; name=\"Picture\"\r\nContent-Type: image/jpeg\r\n\r\n";
    let rest =
        format!("\r\n--b1\r\nContent-Disposition: form-data; name=\"event_log\"\r\n\r\n{PASS}\r\n--b1--\r\n");
    let body = [head.as_bytes(), &picture, rest.as_bytes()].concat();
    for named in
        ["multipart/form-data; boundary=b1", "multipart/form-data; boundary=\"b1\"", "", "text/plain"]
    {
        assert_eq!(isapi::read(named, &body).unwrap(), alone, "{named}");
    }
    let again = PASS.replacen("{\"ip", "{\"isDataRetransmission\":true,\"ip", 1);
    assert!(isapi::read("", again.as_bytes()).unwrap().notices[0].late);
    assert!(!alone.notices[0].late);
}

#[test]
fn heartbeats_are_no_notices_and_lost_pictures_are() {
    let alert = |kind: &str, state: &str, count: &str| {
        let text = format!(
            "<EventNotificationAlert><eventType>{kind}</eventType><eventState>{state}</eventState>{count}\
             </EventNotificationAlert>"
        );
        let message = isapi::read("application/xml", text.as_bytes()).unwrap();
        (message.heartbeat, message.notices.len())
    };
    let none = "<activePostCount>0</activePostCount>";
    assert_eq!(alert("heartBeat", "active", ""), (true, 0));
    assert_eq!(alert("videoloss", "inactive", none), (true, 0));
    assert_eq!(alert("videoloss", "active", none), (false, 1));
    assert_eq!(alert("videoloss", "inactive", "<activePostCount>3</activePostCount>"), (false, 1));
    assert_eq!(alert("VMD", "inactive", none), (false, 1));
}

#[test]
fn what_was_missed_is_asked_for_and_late() {
    let question: serde_json::Value =
        serde_json::from_str(&isapi::ask("1", 30, "2024-01-01T00:00:00+08:00", "2024-01-02T00:00:00+08:00"))
            .unwrap();
    assert_eq!(question["AcsEventCond"]["searchResultPosition"], 30);
    assert_eq!(question["AcsEventCond"]["startTime"], "2024-01-01T00:00:00+08:00");
    let rows: Vec<String> = (0..30)
        .map(|n| format!("{{\"major\":5,\"minor\":75,\"time\":\"2024-01-01T08:00:00\",\"serialNo\":{n},\"name\":\"测试甲\"}}"))
        .collect();
    let answer = format!(
        "{{\"AcsEvent\":{{\"responseStatusStrg\":\"MORE\",\"totalMatches\":77,\"numOfMatches\":30,\"InfoList\":[{}]}}}}",
        rows.join(",")
    );
    let page = isapi::page(answer.as_bytes()).unwrap();
    assert_eq!((page.more, page.total, page.count, page.notices.len()), (true, 77, 30, 30));
    clean("a page", &page);
    for (n, notice) in page.notices.iter().enumerate() {
        assert_eq!((notice.serial.clone(), notice.late), (Some(n.to_string()), true));
        assert!(matches!(notice.at, Some(At::Local(_))));
    }
    let none = isapi::page(br#"{"AcsEvent":{"responseStatusStrg":"NO MATCH","totalMatches":0}}"#).unwrap();
    assert_eq!(none, isapi::Page::default());
    for wrong in ["", "{}", "<a/>", "{\"AcsEvent\":7}"] {
        assert!(isapi::page(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn what_a_zkteco_terminal_asks() {
    use zkteco::Request;
    let sn = || "CEXA123".to_owned();
    for (method, path, query, expected) in [
        ("GET", "/iclock/cdata", "SN=CEXA123&options=all&pushver=2.4.1", Request::Handshake { sn: sn() }),
        ("GET", "/iclock/cdata.aspx", "sn=CEXA123&options=all", Request::Handshake { sn: sn() }),
        (
            "POST",
            "/iclock/cdata",
            "SN=CEXA123&table=ATTLOG&Stamp=9999",
            Request::Records { sn: sn(), table: "ATTLOG".to_owned(), stamp: Some("9999".to_owned()) },
        ),
        ("GET", "/iclock/getrequest.aspx", "SN=CEXA123&INFO=x", Request::Poll { sn: sn() }),
        ("POST", "/iclock/devicecmd", "SN=CEXA123", Request::Result { sn: sn() }),
    ] {
        assert_eq!(zkteco::request(method, path, query), Ok(expected), "{method} {path}?{query}");
    }
    for (method, path, query, kind) in [
        ("GET", "/iclock/cdata", "", "missing_field"),
        ("GET", "/iclock/cdata", "SN=", "missing_field"),
        ("GET", "/iclock/cdata", "SN=a%20b", "missing_field"),
        ("POST", "/iclock/cdata", "SN=CEXA123", "missing_field"),
        ("DELETE", "/iclock/cdata", "SN=CEXA123", "unknown_path"),
        ("GET", "/", "SN=CEXA123", "unknown_path"),
    ] {
        assert_eq!(zkteco::request(method, path, query).unwrap_err().kind, kind, "{method} {path}?{query}");
    }
    let reply = zkteco::reply_handshake("CEXA123", Some("17"), None, 8);
    for line in ["GET OPTION FROM: CEXA123", "ATTLOGStamp=17", "OPERLOGStamp=0", "Realtime=1", "TimeZone=8"] {
        assert!(reply.lines().any(|l| l == line), "{line} in {reply}");
    }
    assert!(
        !reply.contains("EnrollFP") && !reply.contains("AttPhoto"),
        "it asks for no pictures or templates"
    );
    assert_eq!(zkteco::reply_ok(3), "OK: 3");
    let many = "1\t2024-09-02 07:41:05\t0\t1\n".repeat(30_000);
    let (notices, unreadable) = zkteco::records("ATTLOG", many.as_bytes());
    assert_eq!((notices.len(), unreadable.len()), (20_000, 1));
}

#[test]
fn hostile_input_is_told_by_its_kind() {
    let deep = format!("{{\"eventType\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_xml = "<a>".repeat(10_000);
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><EventNotificationAlert>&b;</EventNotificationAlert>";
    let long = format!("{{\"eventType\":\"{}\"}}", "x".repeat(2 << 20));
    let twice = r#"{"eventType":"VMD","eventType":"IO"}"#;
    for (body, kind) in [
        (deep.as_str(), "too_deep"),
        (&deep_xml, "too_deep"),
        (bomb, "doctype"),
        (&long, "too_long"),
        (twice, "duplicate_key"),
        ("", "empty"),
        ("\u{feff}  ", "empty"),
        ("hello", "not_json"),
        ("<html><body>login</body></html>", "not_xml"),
        ("--b\r\nContent-Type: image/jpeg\r\n\r\nJFIF\r\n--b--", "empty"),
    ] {
        let error = isapi::read("", body.as_bytes()).unwrap_err();
        assert_eq!(error.kind, kind, "{}", body.chars().take(60).collect::<String>());
    }
    // GBK bytes in a channel's name are read as such.
    let gbk = [
        b"<EventNotificationAlert><eventType>VMD</eventType><channelName>".as_slice(),
        &[0xB2, 0xD9, 0xB3, 0xA1],
    ];
    let gbk = [gbk.concat().as_slice(), b"</channelName></EventNotificationAlert>"].concat();
    assert_eq!(isapi::read("", &gbk).unwrap().notices[0].label.as_deref(), Some("操场"));
    let part = format!("Code=VideoMotion;action=Start;index=0;data={deep}");
    assert!(dahua::read(part.as_bytes()).unwrap().is_some(), "what stands behind data never costs the event");
}

#[test]
fn a_picture_is_known_by_how_it_begins() {
    for (bytes, expected) in [
        (&br#"{"pic":"data:image/jpeg;base64,AAAA"}"#[..], true),
        (br#"{"pic":"/9j/4AAQSkZJRg"}"#, true),
        (b"--part\r\n\r\n\xFF\xD8\xFF\xE0", true),
        (br#"{"path":"a/9j/b","cardNo":"123"}"#, false),
        (b"", false),
    ] {
        assert_eq!(holds_picture(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }
}
