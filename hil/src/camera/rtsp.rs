//! An RTSP 1.0 server (RFC 2326) with Digest sign-in and RTP over the same connection (RFC 6184 packets).

use super::Counts;
use crate::chance::{hex, secret_hex};
use crate::tasks::accept;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// H.264, Annex B, 320×180, 10 frames a second, 2 s: a picture made for this purpose.
const CLIP: &[u8] = include_bytes!("../../assets/test-picture.h264");
const FRAMES_PER_SECOND: u32 = 10;
const PAYLOAD_TYPE: u8 = 96;
/// Largest RTP payload; larger NAL units are cut into FU-A fragments.
const MAX_PAYLOAD: usize = 1_200;
/// Largest request head.
const MAX_HEAD: usize = 16 * 1024;
/// A client that says nothing for this long is gone.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// Who may look.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password: String,
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, account: Account, counts: Arc<Counts>) {
    let account = Arc::new(account);
    loop {
        let stream = accept(&listener).await;
        let (account, counts) = (Arc::clone(&account), Arc::clone(&counts));
        // Ends with the connection, or when the client stays silent for too long.
        tokio::spawn(async move { drop(converse(stream, &account, &counts).await) });
    }
}

struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
}

/// Talks with one client until it leaves.
async fn converse(stream: TcpStream, account: &Account, counts: &Counts) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let (out, mut queue) = mpsc::channel::<Vec<u8>>(64);
    let writer = tokio::spawn(async move {
        while let Some(bytes) = queue.recv().await {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut talk = Talk {
        account,
        counts,
        out,
        nonce: secret_hex(16),
        session: secret_hex(8),
        channel: 0,
        playing: None,
        left: false,
    };
    while let Ok(Ok(Some(asked))) = timeout(SESSION_TIMEOUT, next_request(&mut read)).await {
        let answer = talk.answer(&asked);
        if talk.left {
            talk.stop();
        }
        if talk.out.send(answer).await.is_err() || talk.left {
            break;
        }
    }
    talk.stop();
    drop(talk);
    drop(writer.await);
    Ok(())
}

/// What one client has set up, and where answers and pictures for it go.
struct Talk<'a> {
    account: &'a Account,
    counts: &'a Counts,
    out: mpsc::Sender<Vec<u8>>,
    nonce: String,
    session: String,
    channel: u8,
    playing: Option<tokio::task::AbortHandle>,
    left: bool,
}

impl Talk<'_> {
    fn stop(&mut self) {
        if let Some(task) = self.playing.take() {
            task.abort();
        }
    }

    fn answer(&mut self, asked: &Request) -> Vec<u8> {
        if asked.method == "OPTIONS" {
            let methods = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n";
            return asked.reply("200 OK", methods, "");
        }
        if !admitted(asked, &self.nonce, self.account) {
            let nonce = &self.nonce;
            let challenge = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{nonce}\"\r\n");
            return asked.reply("401 Unauthorized", &challenge, "");
        }
        let in_session = format!("Session: {};timeout={}\r\n", self.session, SESSION_TIMEOUT.as_secs());
        match asked.method.as_str() {
            "DESCRIBE" => {
                self.counts.described.fetch_add(1, Ordering::Relaxed);
                let headers = format!("Content-Type: application/sdp\r\nContent-Base: {}/\r\n", asked.url);
                asked.reply("200 OK", &headers, &sdp())
            }
            "SETUP" => match interleaved(asked) {
                Some(first) => {
                    self.channel = first;
                    let transport = format!(
                        "Transport: RTP/AVP/TCP;unicast;interleaved={first}-{};ssrc={SSRC:08X}\r\n",
                        first.wrapping_add(1)
                    );
                    asked.reply("200 OK", &format!("{transport}{in_session}"), "")
                }
                None => asked.reply("461 Unsupported Transport", "", ""),
            },
            "PLAY" => {
                if self.playing.is_none() {
                    let task = tokio::spawn(play(self.out.clone(), self.channel));
                    self.playing = Some(task.abort_handle());
                }
                let info = format!("RTP-Info: url={}/track1;seq=1;rtptime=0\r\n", asked.url);
                asked.reply("200 OK", &format!("{in_session}Range: npt=0.000-\r\n{info}"), "")
            }
            "GET_PARAMETER" => asked.reply("200 OK", &in_session, ""),
            "TEARDOWN" => {
                self.left = true;
                asked.reply("200 OK", &in_session, "")
            }
            _ => asked.reply("501 Not Implemented", "", ""),
        }
    }
}

impl Request {
    fn reply(&self, status: &str, headers: &str, body: &str) -> Vec<u8> {
        let cseq = self.headers.get("cseq").map_or("", String::as_str);
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}{length}\r\n{body}").into_bytes()
    }
}

const REALM: &str = "schoolgate-sim";
const SSRC: u32 = 0x5347_0001;

/// The next request; RTCP of the client is passed over. `None` when the client has left.
async fn next_request(
    read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>,
) -> std::io::Result<Option<Request>> {
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    while read.fill_buf().await?.first() == Some(&b'$') {
        let mut head = [0u8; 4];
        read.read_exact(&mut head).await?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
        read.read_exact(&mut body).await?;
    }
    let mut head = String::new();
    loop {
        let before = head.len();
        let room = (MAX_HEAD - before) as u64;
        if (&mut *read).take(room).read_line(&mut head).await? == 0 {
            return if before == 0 { Ok(None) } else { Err(bad("the head is cut or too long")) };
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or("").split_whitespace();
    let (Some(method), Some(url)) = (first.next(), first.next()) else { return Err(bad("no request line")) };
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(Ok(0), |text| text.parse::<usize>());
    let length = length.map_err(|_| bad("no length"))?;
    if length > MAX_HEAD {
        return Err(bad("the body is too long"));
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    Ok(Some(Request { method: method.to_owned(), url: url.trim_end_matches('/').to_owned(), headers }))
}

/// Whether the request carries the right Digest (RFC 2069 form, as most cameras offer it).
fn admitted(asked: &Request, nonce: &str, account: &Account) -> bool {
    let Some(fields) = asked.headers.get("authorization").and_then(|text| text.strip_prefix("Digest "))
    else {
        return false;
    };
    let fields: BTreeMap<&str, &str> = fields
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or("");
    let ha1 = md5_hex(&format!("{}:{REALM}:{}", account.username, account.password));
    let ha2 = md5_hex(&format!("{}:{}", asked.method, field("uri")));
    field("username") == account.username
        && field("nonce") == nonce
        && field("response") == md5_hex(&format!("{ha1}:{nonce}:{ha2}"))
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// The first of the two channels asked for; `None` when the client does not want RTP in this connection.
fn interleaved(asked: &Request) -> Option<u8> {
    let transport = asked.headers.get("transport")?;
    if !transport.contains("RTP/AVP/TCP") {
        return None;
    }
    let channels = transport.split(';').find_map(|part| part.trim().strip_prefix("interleaved="));
    channels.map_or(Some(0), |pair| pair.split('-').next()?.parse().ok())
}

/// NAL units of an Annex B stream, without start codes.
fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            if let Some(start) = start {
                units.push(without_zeros(&stream[start..at]));
            }
            at += 3;
            start = Some(at);
        } else {
            at += 1;
        }
    }
    if let Some(start) = start {
        units.push(without_zeros(&stream[start..]));
    }
    units.retain(|unit| !unit.is_empty());
    units
}

fn without_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

fn kind(unit: &[u8]) -> u8 {
    unit[0] & 0x1f
}

fn sdp() -> String {
    let units = nal_units(CLIP);
    let of = |wanted| units.iter().find(|unit| kind(unit) == wanted).copied().unwrap_or_default();
    let (sps, pps) = (of(7), of(8));
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Schoolgate simulated camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=0-\r\nm=video 0 RTP/AVP {PAYLOAD_TYPE}\r\n\
         a=rtpmap:{PAYLOAD_TYPE} H264/90000\r\n\
         a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={};sprop-parameter-sets={},{}\r\n\
         a=framerate:{FRAMES_PER_SECOND}\r\na=control:track1\r\n",
        hex(sps.get(1..4).unwrap_or_default()),
        STANDARD.encode(sps),
        STANDARD.encode(pps)
    )
}

/// Cuts a NAL unit into RTP payloads: itself, or FU-A fragments (RFC 6184, 5.8).
fn payloads(unit: &[u8]) -> Vec<Vec<u8>> {
    if unit.len() <= MAX_PAYLOAD {
        return vec![unit.to_vec()];
    }
    let indicator = (unit[0] & 0xe0) | 28;
    let pieces: Vec<&[u8]> = unit[1..].chunks(MAX_PAYLOAD - 2).collect();
    let last = pieces.len() - 1;
    let piece = |(number, bytes): (usize, &&[u8])| {
        let start = if number == 0 { 0x80 } else { 0 };
        let end = if number == last { 0x40 } else { 0 };
        let mut payload = vec![indicator, start | end | kind(unit)];
        payload.extend_from_slice(bytes);
        payload
    };
    pieces.iter().enumerate().map(piece).collect()
}

/// Sends the clip over and over, one picture each tenth of a second, until the client is gone.
async fn play(out: mpsc::Sender<Vec<u8>>, channel: u8) {
    let units = nal_units(CLIP);
    let mut turn = interval(Duration::from_secs(1) / FRAMES_PER_SECOND);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence: u16 = 1;
    let mut stamp: u32 = 0;
    loop {
        for unit in &units {
            let picture = matches!(kind(unit), 1 | 5);
            if picture {
                turn.tick().await;
            }
            let payloads = payloads(unit);
            let last = payloads.len() - 1;
            for (number, payload) in payloads.iter().enumerate() {
                let marker = if picture && number == last { 0x80 } else { 0 };
                let mut packet = Vec::with_capacity(payload.len() + 16);
                packet.extend_from_slice(&[b'$', channel]);
                packet.extend_from_slice(&(payload.len() as u16 + 12).to_be_bytes());
                packet.extend_from_slice(&[0x80, marker | PAYLOAD_TYPE]);
                packet.extend_from_slice(&sequence.to_be_bytes());
                packet.extend_from_slice(&stamp.to_be_bytes());
                packet.extend_from_slice(&SSRC.to_be_bytes());
                packet.extend_from_slice(payload);
                if out.send(packet).await.is_err() {
                    return;
                }
                sequence = sequence.wrapping_add(1);
            }
            if picture {
                stamp = stamp.wrapping_add(90_000 / FRAMES_PER_SECOND);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_put_together_are_the_unit() {
        let unit: Vec<u8> = std::iter::once(0x65).chain((0..3_000u32).map(|n| (n % 251) as u8 + 1)).collect();
        let pieces = payloads(&unit);
        assert_eq!(pieces.len(), 3);
        assert_eq!((pieces[0][1] & 0xc0, pieces[1][1] & 0xc0, pieces[2][1] & 0xc0), (0x80, 0, 0x40));
        let mut whole = vec![(pieces[0][0] & 0xe0) | (pieces[0][1] & 0x1f)];
        whole.extend(pieces.iter().flat_map(|piece| &piece[2..]));
        assert_eq!(whole, unit);
    }

    #[test]
    fn the_clip_has_parameters_and_twenty_pictures() {
        let kinds: Vec<u8> = nal_units(CLIP).into_iter().map(kind).collect();
        assert_eq!(kinds.iter().filter(|kind| matches!(**kind, 1 | 5)).count(), 20);
        let sdp = sdp();
        assert!(sdp.contains("sprop-parameter-sets=Z") && sdp.contains(",a"), "{sdp}");
    }
}
