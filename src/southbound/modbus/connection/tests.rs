//! Replies that are late, torn, foreign or broken, over real sockets and as bytes.

use super::*;
use crate::model::Fault;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_millis(60);

/// What the scripted server does next.
enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
    Reset,
}
use Act::{Close, Reset, Send, Wait};

/// A server whose answer to the n-th request (from 0) is a list of acts; connections are served one after another.
struct Scripted {
    port: u16,
    _task: JoinSet<()>,
}

async fn scripted(
    mut script: impl FnMut(usize, [u8; 12]) -> Vec<Act> + std::marker::Send + 'static,
) -> Scripted {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut count = 0;
        'next: loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 12];
            while stream.read_exact(&mut request).await.is_ok() {
                count += 1;
                for act in script(count - 1, request) {
                    match act {
                        Send(bytes) => drop(stream.write_all(&bytes).await),
                        Wait(pause) => tokio::time::sleep(pause).await,
                        Close => continue 'next,
                        Reset => {
                            stream.set_zero_linger().unwrap();
                            continue 'next;
                        }
                    }
                }
            }
        }
    });
    Scripted { port, _task: task }
}

async fn client(server: &Scripted) -> Connection {
    let mut connection = Connection::connect("127.0.0.1", server.port, TIMEOUT).await.unwrap();
    connection.last_id = 1000;
    connection
}

/// The right reply: every register holds its own address.
fn right(request: [u8; 12]) -> Vec<u8> {
    let address = u16::from_be_bytes([request[8], request[9]]);
    let quantity = u16::from_be_bytes([request[10], request[11]]);
    let mut reply = vec![request[0], request[1], 0, 0, 0, 0, request[6], request[7]];
    reply.push(u8::try_from(quantity * 2).unwrap());
    for i in 0..quantity {
        reply.extend((address + i).to_be_bytes());
    }
    reply[5] = u8::try_from(reply.len() - 6).unwrap();
    reply
}

fn changed(request: [u8; 12], at: usize, to: u8) -> Vec<u8> {
    let mut reply = right(request);
    reply[at] = to;
    reply
}

fn exception(request: [u8; 12], code: u8) -> Vec<u8> {
    vec![request[0], request[1], 0, 0, 0, 3, request[6], request[7] | 0x80, code]
}

fn late_of(request: [u8; 12], ago: u16) -> [u8; 12] {
    let [i, j] = (u16::from_be_bytes([request[0], request[1]]) - ago).to_be_bytes();
    let mut late = request;
    (late[0], late[1], late[9]) = (i, j, 0xEE);
    late
}

async fn read(connection: &mut Connection, address: u16) -> Result<Vec<u16>, ReadError> {
    connection.read(7, RegisterTable::Holding, address, 2).await
}

type Bad = fn([u8; 12]) -> Vec<Act>;

/// (case, what the server does, what the error says, its fault, whether the connection may go on)
const BAD_REPLIES: &[(&str, Bad, &str, Fault, bool)] = &[
    ("silence", |_| vec![], "no reply within 60 ms", Fault::Timeout, true),
    ("truncated, silent", |r| vec![Send(right(r)[..9].into())], "only 9 bytes", Fault::Timeout, false),
    ("truncated, closed", |r| vec![Send(right(r)[..9].into()), Close], "closed", Fault::Gone, false),
    ("reset in a frame", |r| vec![Send(right(r)[..9].into()), Reset], "broke", Fault::Gone, false),
    ("closed at once", |_| vec![Close], "closed", Fault::Gone, false),
    ("one byte each 25 ms", |r| drip(right(r)), "bytes of a reply within 60 ms", Fault::Timeout, false),
    ("wrong function", |r| vec![Send(changed(r, 7, 4))], "function 4 answers", Fault::Protocol, false),
    ("small byte count", |r| vec![Send(changed(r, 8, 2))], "says 2 and holds 4", Fault::Protocol, false),
    ("large byte count", |r| vec![Send(changed(r, 8, 250))], "says 250", Fault::Protocol, false),
    ("short length", |r| vec![Send(changed(r, 5, 6))], "holds 3", Fault::Protocol, false),
    ("long length", |r| vec![Send(changed(r, 5, 200))], "only 13 bytes", Fault::Timeout, false),
    ("huge length", |r| vec![Send(changed(r, 4, 0xFF))], "length 65287", Fault::Protocol, false),
    ("no length", |r| vec![Send(changed(r, 5, 0))], "length 0", Fault::Protocol, false),
    ("another protocol", |r| vec![Send(changed(r, 3, 1))], "not Modbus TCP", Fault::Protocol, false),
    (
        "a web server",
        |_| vec![Send(b"HTTP/1.1 400 Bad Request".into())],
        "not Modbus TCP",
        Fault::Protocol,
        false,
    ),
    ("junk", |_| vec![Send(vec![0xFF; 300])], "not Modbus TCP", Fault::Protocol, false),
    ("wrong unit", |r| vec![Send(changed(r, 6, 1))], "unit 1 answers for unit 7", Fault::Protocol, false),
    ("id 0", |r| vec![Send([&[0, 0], &right(r)[2..]].concat())], "transaction id 0", Fault::Protocol, false),
    ("garbled id", |r| vec![Send(changed(r, 0, r[0] ^ 0x80))], "which was not asked", Fault::Protocol, false),
    ("echo", |r| vec![Send(r.into())], "our own request", Fault::Protocol, false),
    ("a flood of old replies", flood, "no reply within", Fault::Timeout, true),
    ("01", |r| vec![Send(exception(r, 1))], "does not know this function", Fault::Misconfigured, true),
    ("02", |r| vec![Send(exception(r, 2))], "no such registers", Fault::Misconfigured, true),
    ("03", |r| vec![Send(exception(r, 3))], "a read of this length", Fault::Misconfigured, true),
    ("04", |r| vec![Send(exception(r, 4))], "failed while answering", Fault::Refused, true),
    ("05", |r| vec![Send(exception(r, 5))], "needs long", Fault::Refused, true),
    ("06", |r| vec![Send(exception(r, 6))], "busy", Fault::Refused, true),
    ("08", |r| vec![Send(exception(r, 8))], "memory is damaged", Fault::Refused, true),
    ("0A", |r| vec![Send(exception(r, 0x0A))], "no path to this unit", Fault::Timeout, true),
    ("0B", |r| vec![Send(exception(r, 0x0B))], "behind the converter does not answer", Fault::Timeout, true),
    ("77", |r| vec![Send(exception(r, 0x77))], "exception code 0x77", Fault::Refused, true),
];

fn drip(reply: Vec<u8>) -> Vec<Act> {
    reply.into_iter().flat_map(|byte| [Send(vec![byte]), Wait(Duration::from_millis(25))]).collect()
}

fn flood(request: [u8; 12]) -> Vec<Act> {
    vec![Send(right(late_of(request, 5)).repeat(5000))]
}

#[tokio::test]
async fn no_bad_reply_gives_a_value_and_the_next_read_is_right() {
    for (case, bad, says, fault, stays_open) in BAD_REPLIES {
        let server =
            scripted(move |n, request| if n == 0 { bad(request) } else { vec![Send(right(request))] }).await;
        let mut connection = client(&server).await;
        let began = Instant::now();
        let error = read(&mut connection, 300).await.expect_err(case);
        assert!(began.elapsed() < Duration::from_secs(1), "{case}: one deadline for the whole reply");
        let text = format!("{error}");
        assert!(text.contains(says), "{case}: {text}");
        assert_eq!(error.fault(), *fault, "{case}");
        assert_eq!(connection.is_open(), *stays_open, "{case}");
        // The server may still be dripping into the old connection; it then takes the new one.
        let mut next = read(&mut connection, 500).await;
        for _ in 0..20 {
            if next.is_ok() {
                break;
            }
            next = read(&mut connection, 500).await;
        }
        assert_eq!(next.expect(case), [500, 501], "{case}");
    }
}

#[tokio::test]
async fn m03_a_late_reply_costs_its_own_read_and_no_other() {
    let server = scripted(|n, request| match n {
        0 => vec![Wait(TIMEOUT * 2), Send(right(request))],
        _ => vec![Send(right(request))],
    })
    .await;
    let mut connection = client(&server).await;
    assert!(matches!(read(&mut connection, 100).await, Err(ReadError::Timeout { .. })));
    let (mut late, mut stale, mut right) = (1, 0, 0);
    for address in 200..60_000 {
        match read(&mut connection, address).await {
            Ok(words) => {
                assert_eq!(words, [address, address + 1]);
                right += 1;
            }
            // The server is still at its first, late answer.
            Err(ReadError::Timeout { .. }) => late += 1,
            Err(other) => panic!("{other}"),
        }
        stale += connection.take_stale_replies();
        if right > 0 && connection.owed.is_empty() {
            break;
        }
    }
    assert_eq!(stale, late, "every late reply came and was thrown away");
}

#[tokio::test]
async fn m04_stale_and_foreign_frames_before_the_answer_in_one_segment_are_passed_over() {
    let server = scripted(|_, request| {
        let foreign_unit = changed(request, 6, 9);
        let [one, two] = [right(late_of(request, 1)), right(late_of(request, 900))];
        vec![Send([one, foreign_unit, two, right(request)].concat())]
    })
    .await;
    let mut connection = client(&server).await;
    assert_eq!(read(&mut connection, 40).await.unwrap(), [40, 41]);
    assert_eq!(connection.take_stale_replies(), 3);
    assert_eq!(connection.take_stale_replies(), 0);
}

#[tokio::test]
async fn m10_three_timeouts_in_a_row_close_the_connection() {
    let server = scripted(|n, request| if n < 3 { vec![] } else { vec![Send(right(request))] }).await;
    let mut connection = client(&server).await;
    for open_after in [true, true, false] {
        assert!(matches!(read(&mut connection, 1).await, Err(ReadError::Timeout { .. })));
        assert_eq!(connection.is_open(), open_after);
    }
    assert_eq!(read(&mut connection, 2).await.unwrap(), [2, 3]);
}

#[tokio::test]
async fn ids_are_never_zero_never_owed_and_go_on_over_reconnects() {
    let server = scripted(|_, request| vec![Send(right(request))]).await;
    let mut connection = client(&server).await;
    connection.last_id = 65_533;
    connection.owed.extend([65_535, 1]);
    assert_eq!([connection.next_id(), connection.next_id(), connection.next_id()], [65_534, 2, 3]);
    connection.reopen().await.unwrap();
    assert_eq!(connection.next_id(), 4);
    for _ in 0..70_000u32 {
        let id = connection.next_id();
        assert!(id > 1 && id != 65_535);
    }
}

#[tokio::test]
async fn a_read_dropped_half_way_leaves_no_reply_behind() {
    let server = scripted(|n, request| match n {
        0 => vec![Wait(Duration::from_millis(30)), Send(right(request))],
        _ => vec![Send(right(request))],
    })
    .await;
    let mut connection = client(&server).await;
    assert!(tokio::time::timeout(Duration::from_millis(10), read(&mut connection, 1)).await.is_err());
    assert!(!connection.is_open());
    assert_eq!(read(&mut connection, 9).await.unwrap(), [9, 10]);
}

#[tokio::test]
async fn impossible_reads_are_refused_before_anything_is_sent() {
    let server = scripted(|_, _| panic!("nothing is to be sent")).await;
    let mut connection = client(&server).await;
    for (address, quantity) in [(0, 0), (0, 126), (65_535, 2), (65_500, 125), (0, u16::MAX)] {
        let error = connection.read(1, RegisterTable::Input, address, quantity).await.unwrap_err();
        assert!(matches!(error, ReadError::NoSuchRead { .. }), "{error}");
    }
    assert!(connection.is_open());
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_names_the_endpoint() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = Connection::connect("127.0.0.1", port, TIMEOUT).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable);
    assert_eq!(error.to_string(), format!("no connection to 127.0.0.1:{port}"));
    assert!(std::error::Error::source(&error).is_some());
}

/// Replies with any header, function or count byte changed, cut or doubled: the right values, or none.
#[tokio::test]
async fn m05_mutated_replies_never_give_a_wrong_value() {
    let mut seed = 0xC0FF_EE11_u64;
    let server = scripted(move |_, request| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let [kind, at, to, cut, ..] = seed.to_be_bytes();
        let mut reply = right(request);
        match kind % 4 {
            0 => reply[usize::from(at % 9)] = to,
            1 => reply.truncate(usize::from(cut % 13)),
            2 => reply.insert(usize::from(at % 8), to),
            _ => reply = [right(late_of(request, u16::from(to % 50) + 1)), reply].concat(),
        }
        vec![Send(reply)]
    })
    .await;
    let mut connection = client(&server).await;
    connection.timeout = Duration::from_millis(8);
    let mut right_ones = 0;
    for address in 0..600 {
        if let Ok(words) = read(&mut connection, address).await {
            assert_eq!(words, [address, address + 1]);
            right_ones += 1;
        }
    }
    assert!(right_ones > 100, "{right_ones}");
}
