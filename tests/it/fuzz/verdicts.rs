//! What channels answer: whatever bytes, the judges say a verdict, never success without its sign, and never a secret.

use super::engine::{Did, Target, plain, size};
use schoolgate::config::Success;
use schoolgate::model::Secret;
use schoolgate::notify::{ROBOT_CODES, Reply, Scrub, Verdict, judge_robot, judge_written};
use serde_json::Value;
use std::time::Duration;

const STATUSES: [u16; 8] = [200, 204, 302, 400, 404, 429, 500, 503];
const SECRET: &str = "canary4711";

pub fn verdicts() -> Target {
    let secret = Secret::from_file_text(&format!("https://robot.example/send?key={SECRET}"));
    let scrub = Scrub::of([&secret]);
    let pointer = Success::Pointer { pointer: "/result/code".into(), values: vec!["0".into(), "OK".into()] };
    let written = [pointer, Success::Contains("\"ok\"".into()), Success::Status];
    let bodies: [&[u8]; 7] = [
        br#"{"errcode":0,"errmsg":"ok"}"#,
        br#"{"errcode":45009,"errmsg":"freq"}"#,
        br#"{"code":0,"msg":"success","data":{}}"#,
        br#"{"code":19021,"msg":"sign match fail"}"#,
        br#"{"result":{"code":"OK"}}"#,
        b"canary4711 https://robot.example/send?key=canary4711",
        b"\xd3\xe0\xb6\xee\xb2\xbb\xd7\xe3",
    ];
    let seeds = (0..6_u8).flat_map(|judge| {
        bodies.iter().flat_map(move |body| (0..8_u8).map(move |status| [&[judge, status, 0], *body].concat()))
    });
    let words =
        ["\"errcode\":", "\"code\":", "0", "null", "-1", "1e999", "\\ud800", "\"ok\"", SECRET, "\u{feff}"];
    Target {
        name: "verdicts",
        inputs: 30_000,
        longest: 2_000,
        seeds: seeds.collect(),
        words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        repair: |_| {},
        run: Box::new(move |input| {
            let [judge, status, pause, body @ ..] = input else { return 0 };
            let status = STATUSES[usize::from(*status) % STATUSES.len()];
            let retry_after = (*pause > 0).then(|| Duration::from_secs(u64::from(*pause)));
            let reply = Reply { status, retry_after, body: body.to_vec() };
            let judge = usize::from(*judge) % 6;
            let (verdict, good) = match ROBOT_CODES.get(judge) {
                Some((_, codes)) => {
                    let answer: Option<Value> = serde_json::from_slice(body).ok();
                    let zero = answer.is_some_and(|answer| answer.get(codes.code) == Some(&Value::from(0)));
                    (judge_robot(&reply, &scrub, codes), zero)
                }
                None => (judge_written(&reply, &scrub, &written[judge - 3]), true),
            };
            let mut did = Did::default();
            did.step((judge, status, verdict.word()));
            match &verdict {
                Verdict::Accepted => assert!((200..300).contains(&status) && good, "{verdict:?}"),
                Verdict::Busy { .. } => {}
                Verdict::Failed { why } | Verdict::Refused { why } => {
                    assert!(!why.contains(SECRET) && !why.contains(char::is_control), "{why:?}");
                    assert!(why.len() <= 500, "{} bytes", why.len());
                    did.step((size(why.len()), plain(why)));
                }
            }
            did.all()
        }),
    }
}
