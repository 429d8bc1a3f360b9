//! Receivers of panels against raw TCP: the golden fire frame, what is no frame, strangers, acknowledgements.

use crate::daemon::{PATIENCE, School, until};
use crate::heard::{Heard, device, listen, listening, loopback, profile};
use crate::rig::free_port;
use schoolgate::config::{BusKind, Device, FireReceiver, Network, Receiver};
use schoolgate::model::{EventKind, Fault, Link, Phase};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A frame captured from a transmitter: fire at a smoke detector, of 2020 by its own clock, from address 0.
const GOLDEN: &str = "404000000101180d11160a140000000000000605040302013000020201010300d90006000200a3c1c7f8a3b1b2e3\
                      dfc8b2b8d7dfc0c8000000000000000000000000000000301213010814682323";
/// Its confirmation: action 3, no data, sender and receiver exchanged.
const CONFIRMED: &str = "404000000101180d11160a14060504030201000000000000000003842323";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The frame of somebody else: another source address, and another serial number.
fn golden_of(source: u8, serial: u8) -> Vec<u8> {
    let mut frame = bytes(GOLDEN);
    frame[2] = serial;
    frame[12] = source;
    let sum = frame.len() - 3;
    frame[sum] = frame[2..sum].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    frame
}

fn receiver(listen: SocketAddr, silence: Duration, from: Vec<Network>) -> Receiver {
    Receiver { listen, from, silence }
}

fn fire(listen: SocketAddr, devices: &[Device]) -> Heard {
    let receiver = receiver(listen, Duration::from_secs(300), loopback());
    Heard::start(BusKind::FireReceiver(FireReceiver { receiver, lowest_first: true }), devices)
}

async fn connect(at: SocketAddr) -> TcpStream {
    until("the receiver listens", async || TcpStream::connect(at).await.ok()).await
}

async fn read(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut answer = vec![0; len];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer in time").expect("an answer");
    answer
}

#[tokio::test]
async fn the_golden_fire_frame_is_confirmed_after_its_commit() {
    let at = listen();
    let profile = profile("gb26875");
    let heard = fire(at, &[device("fire-1", &profile, "0"), device("hall", &profile, "0#1/1/0/1")]);
    heard.hold(true);
    let mut stream = connect(at).await;
    // Garbage before it, in two pieces, and a second one behind it.
    let frame = bytes(GOLDEN);
    stream.write_all(b"\0\x40garbage").await.unwrap();
    stream.write_all(&frame[..40]).await.unwrap();
    stream.write_all(&frame[40..]).await.unwrap();
    let (device, event, _) = heard.event("fire", 1).await;
    assert_eq!((device.as_str(), event.kind, event.phase), ("fire-1", EventKind::Fire, Phase::Start));
    // It is heard, and not confirmed: another frame is heard as well meanwhile.
    stream.write_all(&golden_of(0, 1)).await.unwrap();
    heard.event("fire", 2).await;
    let mut none = [0; 1];
    let early = stream.try_read(&mut none);
    assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "confirmed before the commit");
    heard.hold(false);
    assert_eq!(read(&mut stream, 30).await, bytes(CONFIRMED));
    assert_eq!(read(&mut stream, 30).await[2], 1, "in the order in which they came");
    heard.link("fire-1", Link::Up).await;
    heard.link("hall", Link::Up).await;
    assert_eq!(heard.refused().len(), 1, "the garbage: {:?}", heard.refused());
}

#[tokio::test]
async fn a_fire_of_a_stranger_is_an_alarm_and_is_not_confirmed() {
    let at = listen();
    let heard = fire(at, &[device("fire-1", &profile("gb26875"), "7")]);
    let mut stranger = connect(at).await;
    stranger.write_all(&golden_of(9, 0)).await.unwrap();
    let (device, event, _) = heard.event("fire", 1).await;
    assert_eq!(
        (device.as_str(), event.kind, event.phase),
        ("unknown-source-9", EventKind::Fire, Phase::Start)
    );
    assert_eq!(heard.strangers(), ["9"]);
    // A known one on the same connection is confirmed; nothing came before that.
    stranger.write_all(&golden_of(9, 1)).await.unwrap();
    stranger.write_all(&golden_of(7, 2)).await.unwrap();
    assert_eq!(read(&mut stranger, 30).await[2], 2);
    let strange = heard.events().iter().filter(|(device, ..)| device == "unknown-source-9").count();
    assert_eq!(strange, 1, "repeated at once, it is one cry");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_kept_for_people() {
    let at = listen();
    let heard = fire(at, &[device("fire-1", &profile("gb26875"), "0")]);
    let mut stream = connect(at).await;
    // An object that is cut off: the frame is whole, its data is not.
    let mut frame = bytes(GOLDEN);
    frame.drain(29..75);
    (frame[24], frame[25]) = (2, 0);
    let sum = frame.len() - 3;
    frame[sum] = frame[2..sum].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    stream.write_all(&frame).await.unwrap();
    let answer = read(&mut stream, 30).await;
    assert_eq!(answer[26], 6, "denied");
    let refused = heard.refused();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].kind, refused[0].device.as_ref().unwrap().as_str()), ("cut_off", "fire-1"));
}

#[tokio::test]
async fn a_silent_transmitter_is_down_and_heard_again_it_is_up() {
    let at = listen();
    let receiver = receiver(at, Duration::from_secs(1), loopback());
    let devices = [device("fire-1", &profile("gb26875"), "0")];
    let heard = Heard::start(BusKind::FireReceiver(FireReceiver { receiver, lowest_first: true }), &devices);
    heard.link("fire-1", Link::Down(Fault::Unreachable)).await;
    let mut stream = connect(at).await;
    stream.write_all(&bytes(GOLDEN)).await.unwrap();
    heard.link("fire-1", Link::Up).await;
    heard.link("fire-1", Link::Down(Fault::Unreachable)).await;
}

#[tokio::test]
async fn whoever_is_not_in_the_networks_is_turned_away_and_many_idlers_stop_nobody() {
    let at = listen();
    let outside = vec![Network { address: "10.0.0.0".parse().unwrap(), bits: 8 }];
    let devices = [device("fire-1", &profile("gb26875"), "0")];
    let kind = |from| {
        let receiver = receiver(at, Duration::from_secs(300), from);
        BusKind::FireReceiver(FireReceiver { receiver, lowest_first: true })
    };
    let heard = Heard::start(kind(outside), &devices);
    let mut stream = connect(at).await;
    stream.write_all(&bytes(GOLDEN)).await.ok();
    let ended = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("it is closed");
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(heard.events().is_empty());
    drop(heard);

    let at = listen();
    let heard = fire(at, &devices);
    listening(at).await;
    let mut idlers = Vec::new();
    for _ in 0..200 {
        idlers.push(connect(at).await);
    }
    // The same machine by another of its addresses: one address cannot take every seat.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    stream.write_all(&bytes(GOLDEN)).await.unwrap();
    assert_eq!(read(&mut stream, 30).await, bytes(CONFIRMED));
    assert_eq!(heard.events().len(), 2, "fire and test: {:?}", heard.events());
}

/// CRC-16/ARC, as SIA DC-09 has it.
fn dc09(message: &str) -> Vec<u8> {
    let crc = message.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    });
    format!("\n{crc:04X}{:04X}{message}\r", message.len()).into_bytes()
}

#[tokio::test]
async fn contact_id_is_acknowledged_refused_or_left_alone() {
    let at = listen();
    let receiver = receiver(at, Duration::from_secs(300), loopback());
    let profile = profile("contact-id");
    let devices = [device("panel", &profile, "1234"), device("lab", &profile, "1234#01/015")];
    let heard = Heard::start(BusKind::PanelReceiver(receiver), &devices);
    let mut stream = connect(at).await;
    stream.write_all(&dc09("\"ADM-CID\"0001R1L0#1234[#1234|1130 01 015]")).await.unwrap();
    let acknowledged = dc09("\"ACK\"0001R1L0#1234[]");
    assert_eq!(read(&mut stream, acknowledged.len()).await, acknowledged);
    let (device, event, _) = heard.event("130", 1).await;
    assert_eq!((device.as_str(), event.phase), ("lab", Phase::Start));
    // A supervision message, and one that cannot be understood.
    stream.write_all(&dc09("\"NULL\"0002R1L0#1234[]")).await.unwrap();
    let acknowledged = dc09("\"ACK\"0002R1L0#1234[]");
    assert_eq!(read(&mut stream, acknowledged.len()).await, acknowledged);
    stream.write_all(&dc09("\"SIA-DCS\"0003R1L0#1234[#1234|NBA01]")).await.unwrap();
    let refused = dc09("\"DUH\"0003R1L0#1234[]");
    assert_eq!(read(&mut stream, refused.len()).await, refused);
    assert_eq!(heard.refused()[0].device.as_ref().unwrap().as_str(), "panel");
    // A stranger's burglary is not known; its panic button is heard. Neither is answered.
    stream.write_all(&dc09("\"ADM-CID\"0004R1L0#ABCD[#ABCD|1130 01 001]")).await.unwrap();
    stream.write_all(&dc09("\"ADM-CID\"0005R1L0#ABCD[#ABCD|1120 01 001]")).await.unwrap();
    let (device, event, _) = heard.event("120", 1).await;
    assert_eq!((device.as_str(), event.kind), ("unknown-source-abcd", EventKind::Help));
    stream.write_all(&dc09("\"NULL\"0006R1L0#1234[]")).await.unwrap();
    let acknowledged = dc09("\"ACK\"0006R1L0#1234[]");
    assert_eq!(
        read(&mut stream, acknowledged.len()).await,
        acknowledged,
        "the next answer is to the next frame"
    );
    assert_eq!(heard.strangers(), ["ABCD"]);
}

/// Through the whole daemon and on to its adoption: the frame of a transmitter that is not configured at all.
#[tokio::test]
async fn the_golden_frame_is_a_fire_alarm_in_the_daemon() {
    let port = free_port();
    let school =
        School::new(&format!("[[bus]]\nid = 'fire'\nkind = 'fire-receiver'\nlisten = '127.0.0.1:{port}'\n"));
    let daemon = school.start().await;
    let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
    stream.write_all(&bytes(GOLDEN)).await.unwrap();
    let alarm = until("a fire alarm", async || {
        school.rows("/api/v1/alarms?open=true").await.into_iter().find(|alarm| alarm["class"] == "fire")
    })
    .await;
    assert_eq!(
        (&alarm["priority"], &alarm["device"]),
        (&"critical".into(), &"unknown-fire-0".into()),
        "{alarm}"
    );
    until("it is told as a stranger", async || {
        (school.count("select count(*) from stranger where origin = '0'") == 1).then_some(())
    })
    .await;
    daemon.terminate().await;
    // One command makes it a device.
    let profile = "gb-t-26875-3-transmitter";
    let told =
        school.cli_ok("adopt", &["0", "--profile", profile, "--id", "fire-main", "--place", "gate"]).await;
    assert!(told.contains("bus = \"fire\"") && told.contains("address = \"0\""), "{told}");
}

/// A transmitter that is configured, with the profile that is shipped: alarm, link and confirmation.
#[tokio::test]
async fn a_configured_transmitter_raises_its_own_alarm_and_is_confirmed() {
    let port = free_port();
    let school = School::new(&format!(
        "[[bus]]\nid = 'fire'\nkind = 'fire-receiver'\nlisten = '127.0.0.1:{port}'\n[[device]]\nid = 'fire-main'\n\
         profile = 'gb-t-26875-3-transmitter'\nbus = 'fire'\naddress = '0'\nplace = 'gate'\n"
    ));
    let daemon = school.start().await;
    let mut stream = connect(SocketAddr::from(([127, 0, 0, 1], port))).await;
    stream.write_all(&bytes(GOLDEN)).await.unwrap();
    assert_eq!(read(&mut stream, 30).await, bytes(CONFIRMED));
    // What is confirmed is stored.
    assert_eq!(school.count("select count(*) from event where device = 'fire-main' and kind = 'fire'"), 1);
    let alarms = school.rows("/api/v1/alarms?open=true").await;
    assert!(
        alarms.iter().any(|alarm| alarm["class"] == "fire" && alarm["device"] == "fire-main"),
        "{alarms:?}"
    );
    daemon.terminate().await;
}
