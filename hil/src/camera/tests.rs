use super::*;
use crate::chance::secret_hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn settings(skew_secs: i64) -> Settings {
    Settings {
        name: "门口".into(),
        username: "viewer".into(),
        password: "look-at-me".into(),
        skew_secs,
        motion_every: Duration::ZERO,
        tamper_every: Duration::ZERO,
    }
}

async fn ask(camera: &Camera, skew_secs: Option<i64>, header: &str, body: &str) -> (u16, String) {
    let security = skew_secs.map_or(String::new(), |skew| {
        let nonce = STANDARD.encode(secret_hex(8));
        let created = moment::utc_text(skew);
        let digest = password_digest(&nonce, &created, "look-at-me").unwrap();
        format!(
            "<w:Security><w:UsernameToken><w:Username>viewer</w:Username><w:Password>{digest}</w:Password>\
             <w:Nonce>{nonce}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
        )
    });
    let envelope =
        format!("<s:Envelope><s:Header>{security}{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>");
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = camera.device_url();
    let response = reqwest::Client::new().post(url).body(envelope).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn subscription_of(text: &str) -> String {
    let id = text.split("<sim:SubscriptionId>").nth(1).unwrap().split('<').next().unwrap();
    format!("<x:SubscriptionId>{id}</x:SubscriptionId>")
}

#[test]
fn the_published_digest_vector_is_met() {
    let digest = password_digest("LKqI6G/AikKCQrN0zqZFlg==", "2010-09-16T07:50:45Z", "userpassword");
    assert_eq!(digest.as_deref(), Some("tuOSpGlFlIXsozq4HFNeeGeFLEI="));
}

#[test]
fn durations_are_read() {
    for (text, seconds) in
        [("PT5S", Some(5)), ("PT1M", Some(60)), ("P1DT2H", Some(93_600)), ("5", None), ("PT5X", None)]
    {
        assert_eq!(soap::duration_secs(text), seconds, "{text}");
    }
}

#[tokio::test]
async fn only_a_token_of_the_cameras_own_time_opens() {
    let camera = Camera::start(settings(300)).await.unwrap();
    let (status, text) = ask(&camera, None, "", "<d:GetSystemDateAndTime/>").await;
    assert!(status == 200 && text.contains("<tt:UTCDateTime>"), "{text}");
    for (skew, wanted) in [(None, 400), (Some(0), 400), (Some(300), 200), (Some(310), 400)] {
        let (status, text) = ask(&camera, skew, "", "<m:GetStreamUri/>").await;
        assert_eq!(status, wanted, "{skew:?}: {text}");
        assert_eq!(text.contains("ter:NotAuthorized"), wanted == 400, "{text}");
        assert_eq!(text.contains(&camera.stream_url()), wanted == 200, "{text}");
    }
    assert_eq!(camera.counts().refused.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_pull_point_tells_states_then_changes_and_ends() {
    let camera = Camera::start(settings(0)).await.unwrap();
    let create = "<e:CreatePullPointSubscription><e:InitialTerminationTime>PT60S</e:InitialTerminationTime>\
                  </e:CreatePullPointSubscription>";
    let (status, text) = ask(&camera, Some(0), "", create).await;
    assert_eq!(status, 200, "{text}");
    let id = subscription_of(&text);
    let pull =
        "<e:PullMessages><e:Timeout>PT10S</e:Timeout><e:MessageLimit>1000</e:MessageLimit></e:PullMessages>";
    let (status, text) = ask(&camera, Some(0), "", pull).await;
    assert!(status == 400 && text.contains("ReferenceParameters"), "{text}");
    let (_, text) = ask(&camera, Some(0), &id, pull).await;
    assert_eq!(text.matches("PropertyOperation=\"Initialized\"").count(), 2, "{text}");
    let (changed, ()) = tokio::join!(ask(&camera, Some(0), &id, pull), async {
        tokio::task::yield_now().await;
        camera.set(Topic::Motion, true);
    });
    assert!(changed.1.contains("PropertyOperation=\"Changed\""), "{}", changed.1);
    assert!(changed.1.contains("Name=\"IsMotion\" Value=\"true\""), "{}", changed.1);
    let nothing = pull.replace("PT10S", "PT1S");
    let begun = std::time::Instant::now();
    let (status, text) = ask(&camera, Some(0), &id, &nothing).await;
    assert!(status == 200 && !text.contains("NotificationMessage"), "{text}");
    assert!(begun.elapsed() >= Duration::from_millis(990), "an empty answer came early");
    assert_eq!(ask(&camera, Some(0), &id, "<b:Unsubscribe/>").await.0, 200);
    assert_eq!(ask(&camera, Some(0), &id, pull).await.0, 400);
}

#[tokio::test]
async fn video_asks_for_a_password_and_then_plays() {
    let camera = Camera::start(settings(0)).await.unwrap();
    let url = camera.stream_url();
    let mut stream = TcpStream::connect(url[7..].split('/').next().unwrap()).await.unwrap();
    let refused = exchange(&mut stream, &format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n")).await;
    assert!(refused.starts_with("RTSP/1.0 401"), "{refused}");
    let nonce = refused.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let sign = |method: &str| {
        use md5::{Digest, Md5};
        let md5 = |text: String| crate::chance::hex(&Md5::digest(text.as_bytes()));
        let ha1 = md5("viewer:schoolgate-sim:look-at-me".into());
        let response = md5(format!("{ha1}:{nonce}:{}", md5(format!("{method}:{url}"))));
        format!(
            "Authorization: Digest username=\"viewer\", realm=\"schoolgate-sim\", nonce=\"{nonce}\", uri=\"{url}\", \
             response=\"{response}\"\r\n"
        )
    };
    let describe = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 2\r\n{}\r\n", sign("DESCRIBE"));
    let sdp = exchange(&mut stream, &describe).await;
    assert!(sdp.contains("H264/90000"), "{sdp}");
    let setup = format!(
        "SETUP {url} RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n{}\r\n",
        sign("SETUP")
    );
    assert!(exchange(&mut stream, &setup).await.contains("interleaved=4-5"));
    let play = format!("PLAY {url} RTSP/1.0\r\nCSeq: 4\r\n{}\r\n", sign("PLAY"));
    stream.write_all(play.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(2).any(|pair| pair == [b'$', 4]) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the camera hung up");
        seen.extend_from_slice(&buffer[..count]);
    }
}

async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 8192];
    let count = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}
