//! What a device hears, and when it hears nothing.

use crate::profile::tests::{parsed, slips, with_context};
use crate::profile::{Profile, Reply};

fn profile(reply: &str) -> String {
    format!(
        "id = \"test-one\"\nclass = \"card-reader\"\nvendor = \"Test\"\nmodel = \"One\"\nname_zh = \"试\"\n\
         name_en = \"test\"\nsource = \"this test\"\nconfirmed = false\nprotocol = \"mqtt\"\n[mqtt]\ndrop = [\"/photo\"]\n\
         [[message]]\ntopic = \"t/{{address}}\"\nignorable = true\n{reply}"
    )
}

fn reply(profile: &Profile, address: &str, topic: &str, payload: &[u8]) -> Option<Reply> {
    with_context(|cx| profile.hear(cx, address, topic, payload).reply)
}

const REPLY: &str = "[message.reply]\ntopic = \"r/{address}\"\npayload = '{\"ok\":true,\"n\":\"{/a/n}\",\"in\":[{\"t\":\"{/t}\"}]}'\n";

#[test]
fn fields_are_repeated_as_they_came() {
    let profile = parsed(&profile(REPLY));
    let said = |payload: &str| {
        let reply = reply(&profile, "x1", "t/x1", payload.as_bytes())?;
        assert_eq!(reply.topic, "r/x1");
        Some(String::from_utf8(reply.payload).unwrap())
    };
    let number = said(r#"{"a":{"n":7},"t":"2017/12/18"}"#);
    assert_eq!(number.as_deref(), Some(r#"{"in":[{"t":"2017/12/18"}],"n":7,"ok":true}"#));
    let text = said(r#"{"a":{"n":"007 \" é"},"t":false}"#);
    assert_eq!(text.as_deref(), Some(r#"{"in":[{"t":false}],"n":"007 \" é","ok":true}"#));
    let long = format!(r#"{{"a":{{"n":"{}"}},"t":1}}"#, "x".repeat(129));
    for nothing in
        ["", "{", "{}", r#"{"a":{"n":7}}"#, r#"{"a":{"n":null},"t":1}"#, r#"{"a":{"n":[7]},"t":1}"#, &long]
    {
        assert_eq!(said(nothing), None, "{nothing}");
    }
    assert_eq!(reply(&profile, "x2", "t/x1", br#"{"a":{"n":7},"t":1}"#), None, "another device's topic");
}

#[test]
fn only_the_sender_is_answered_on_a_shared_topic() {
    let shared = profile(REPLY).replace("t/{address}", "t/all").replacen(
        "ignorable",
        "sender = \"/id\"\nignorable",
        1,
    );
    let profile = parsed(&shared);
    let payload = br#"{"id":"x1","a":{"n":7},"t":1}"#;
    assert!(reply(&profile, "x1", "t/all", payload).is_some());
    assert_eq!(reply(&profile, "x2", "t/all", payload), None);
    assert_eq!(profile.topics("x1"), ["t/all"]);
}

#[test]
fn slips_are_named_with_advice() {
    for (text, message, advice) in [
        (profile(&REPLY.replace("r/{address}", "r/all")), "nowhere or twice", "{address}"),
        (profile(&REPLY.replace("r/{address}", "r/{address}/#")), "wildcard", "{address}"),
        (profile(&REPLY.replace("'{\"ok\"", "'[{\"ok\"")), "no JSON object", "PushAck"),
        (profile(&REPLY.replace("{/t}", "{/photo}")), "listed in mqtt.drop", "one of the two"),
        (profile(&REPLY.replace("{/t}", "{/t~2}")), "not a JSON pointer", "/info/time"),
        (profile(&REPLY.replace("payload", "pay")), "'message.reply.payload' is missing", "JSON"),
        (
            profile(REPLY).replacen("ignorable", "sender = \"/id\"\nignorable", 1),
            "names the device, and so does the message",
            "without {address}",
        ),
    ] {
        let all = slips(&text);
        let found = all.iter().any(|(m, a)| m.contains(message) && a.contains(advice));
        assert!(found, "{text}\nexpected: {message} / {advice}\ngot: {all:?}");
    }
}
