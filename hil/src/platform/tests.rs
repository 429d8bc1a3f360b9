use super::*;
use crate::moment::unix_millis;

const NONCE: &str = "00000000-0000-4000-8000-000000000000";
const TIME: &str = "1609430400000";

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

async fn platform(family: Family, moods: &[Mood]) -> Platform {
    let settings = Settings {
        family,
        app_id: "AP000001".into(),
        secret: "0123456789abcdef".into(),
        moods: moods.to_vec(),
    };
    Platform::start(0, settings).await.unwrap()
}

fn body(seqs: &[u64]) -> String {
    let records: Vec<Value> = seqs
        .iter()
        .map(|seq| json!({"uid": format!("gw:{seq}"), "seq": seq, "record": "alarm", "device": "d"}))
        .collect();
    json!({ "records": records }).to_string()
}

#[test]
fn published_signatures_are_met() {
    let md5 = content_md5(b"schoolId=1");
    assert_eq!(md5, "B5ne8dKCUuEAZ2cU4bxAwg==");
    for (parts, wanted) in [
        (vec!["/getSchool", NONCE, TIME, "test-app"], "b16v7TOpdckIHYspR33hFPUfmUQPwpyfqEm47glUklI="),
        (
            vec!["/getSchool?schoolId=1", NONCE, TIME, "test-app"],
            "tBXuXUwRXY8qefm5PdIew/M5VpApbqsz67y4AvX8VH0=",
        ),
        (
            vec!["/getSchool", "", NONCE, TIME, "test-app", &md5],
            "Y5l0ssbWdGGq5CAJuJQuaa1qbpLuZlvArmD8NmWTT+0=",
        ),
    ] {
        assert_eq!(signature("test-secret", &parts), wanted);
    }
    let proof = key_info("AP000001", "0123456789abcdef0123456789abcdef", TIME);
    assert_eq!(proof, "8F83DABB98DD4FE0DF175A4D8F6523385C218C35");
}

async fn signed(platform: &Platform, secret: &str, nonce: &str, time: &str, sent: &str, body: &str) -> Value {
    let md5 = content_md5(body.as_bytes());
    let sign = signature(secret, &[RECORDS_PATH, nonce, time, "AP000001", &md5]);
    let request = client()
        .post(format!("{}{RECORDS_PATH}", platform.base_url()))
        .header("S-Auth-AppId", "AP000001")
        .header("S-Auth-Version", "1")
        .header("S-Auth-Nonce", nonce)
        .header("S-Auth-Timestamp", time)
        .header("S-Content-MD5", md5)
        .header("S-Auth-Signature", sign)
        .body(sent.to_owned());
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn only_rightly_signed_records_are_taken_each_once() {
    let platform = platform(Family::Shield, &[]).await;
    let now = unix_millis().to_string();
    let body = body(&[1, 2]);
    let secret = "0123456789abcdef";
    for (code, secret, nonce, time, sent) in [
        ("1", secret, "n1", now.as_str(), body.as_str()),
        ("-3", secret, "n1", &now, &body),
        ("-3", "wrong", "n2", &now, &body),
        ("-3", secret, "n3", TIME, &body),
        ("-3", secret, "n4", &now, "{}"),
        ("1", secret, "n5", &now, &body),
    ] {
        let answer = signed(&platform, secret, nonce, time, sent, &body).await;
        assert_eq!(answer["code"], code, "{nonce}: {answer}");
    }
    let stats = platform.stats();
    assert_eq!((stats.acknowledged_total(), stats.repeated, stats.refused), (2, 2, 4), "{stats:?}");
}

async fn fetch_token(platform: &Platform) -> String {
    let time = unix_millis().to_string();
    let proof = json!({
        "appId": "AP000001", "timeStamp": time, "keyInfo": key_info("AP000001", "0123456789abcdef", &time),
    });
    let url = format!("{}{TOKEN_PATH}", platform.base_url());
    let answer: Value = client().post(url).json(&proof).send().await.unwrap().json().await.unwrap();
    answer["tokenInfo"]["accessToken"].as_str().unwrap().to_owned()
}

async fn upload(platform: &Platform, token: &str, body: String) -> Result<(u16, String), reqwest::Error> {
    let url = format!("{}{RECORDS_PATH}?accessToken={token}", platform.base_url());
    let response = client().post(url).body(body).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn a_new_token_ends_the_old_one() {
    let platform = platform(Family::Eduyun, &[]).await;
    let old = fetch_token(&platform).await;
    assert!(upload(&platform, &old, body(&[1])).await.unwrap().1.contains("\"000000\""));
    let new = fetch_token(&platform).await;
    assert!(upload(&platform, &old, body(&[2])).await.unwrap().1.contains("\"100002\""));
    assert!(upload(&platform, &new, body(&[2])).await.unwrap().1.contains("\"000000\""));
    assert!(upload(&platform, &new, "{\"records\":3}".into()).await.unwrap().1.contains("\"400001\""));
}

#[tokio::test]
async fn failures_follow_the_script_and_a_cut_answer_acknowledges_nothing() {
    let moods = [Mood::Broken, Mood::TooMany, Mood::Busy, Mood::CutAfterTaking, Mood::Take];
    let platform = platform(Family::Eduyun, &moods).await;
    let token = fetch_token(&platform).await;
    assert_eq!(upload(&platform, &token, body(&[1])).await.unwrap().0, 500);
    assert_eq!(upload(&platform, &token, body(&[1])).await.unwrap().0, 429);
    assert!(upload(&platform, &token, body(&[1])).await.unwrap().1.contains("\"503\""));
    assert!(upload(&platform, &token, body(&[1])).await.is_err());
    assert_eq!((platform.stats().acknowledged_total(), platform.records().len()), (0, 1));
    assert_eq!(upload(&platform, &token, body(&[1, 3, 2])).await.unwrap().0, 200);
    let stats = platform.stats();
    assert_eq!((stats.acknowledged_total(), stats.repeated, stats.out_of_order, stats.failed), (3, 1, 1, 4));
}
