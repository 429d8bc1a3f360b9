//! Modbus TCP: whatever an endpoint sends, a read gives exactly what the one right frame in it says, or nothing.

use super::engine::{Did, Target, plain, size};
use schoolgate::profile::RegisterTable;
use schoolgate::southbound::modbus::Connection;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

/// Nothing waits for this: the endpoint closes when it has said everything.
const PATIENCE: Duration = Duration::from_secs(60);
const UNIT: u8 = 7;

/// An endpoint that answers each connection's first request with what it was given, and closes. In what it was given
/// the transaction id `FF FF` stands for the one that was asked with, `FF FE` for the one before it.
fn endpoint(
    listener: TcpListener,
    replies: &mpsc::Receiver<Vec<u8>>,
    said: &mpsc::SyncSender<(u16, Vec<u8>)>,
) {
    while let Ok(reply) = replies.recv() {
        let (mut client, _) = listener.accept().expect("the client connects");
        let mut asked = [0; 12];
        client.read_exact(&mut asked).expect("a request of 12 bytes");
        let id = u16::from_be_bytes([asked[0], asked[1]]);
        let reply = named(reply, id);
        // The client may have seen enough and be gone.
        client.write_all(&reply).ok();
        if said.send((id, reply)).is_err() {
            return;
        }
    }
}

fn named(mut reply: Vec<u8>, id: u16) -> Vec<u8> {
    let mut at = 0;
    while at + 6 <= reply.len() {
        for (mark, id) in [(0xFF, id), (0xFE, id.wrapping_sub(1))] {
            if reply[at..at + 2] == [0xFF, mark] {
                reply[at..at + 2].copy_from_slice(&id.to_be_bytes());
            }
        }
        at += 6 + usize::from(u16::from_be_bytes([reply[at + 4], reply[at + 5]]));
    }
    reply
}

/// What the stream says to a read of so many registers, read by the letter of the specification and by nothing of the
/// program: the words of the first frame with the right id and unit, if all before it are whole and none has id 0.
fn by_the_letter(mut stream: &[u8], id: u16, function: u8, quantity: u16) -> Option<Vec<u16>> {
    loop {
        let head = stream.get(..7)?;
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        if head[2..4] != [0, 0] || !(2..=254).contains(&length) {
            return None;
        }
        let pdu = stream.get(7..6 + length)?;
        let frame_id = u16::from_be_bytes([head[0], head[1]]);
        if frame_id == id && head[6] == UNIT {
            let bytes = usize::from(quantity) * 2;
            let right = pdu.len() == 2 + bytes && pdu[0] == function && usize::from(pdu[1]) == bytes;
            let words = pdu.get(2..)?.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            return right.then(|| words.collect());
        }
        if frame_id == 0 {
            return None;
        }
        stream = &stream[6 + length..];
    }
}

fn head(input: &[u8]) -> Option<(RegisterTable, u8, u16, &[u8])> {
    let [function, quantity, stream @ ..] = input else { return None };
    let (table, function) =
        if *function == 4 { (RegisterTable::Input, 4) } else { (RegisterTable::Holding, 3) };
    Some((table, function, u16::from(*quantity).clamp(1, 125), stream))
}

pub fn modbus_tcp() -> Target {
    let seeds: [&[u8]; 6] = [
        &[3, 2, 0xFF, 0xFF, 0, 0, 0, 7, UNIT, 3, 4, 0x43, 0x5C, 0x19, 0x9A],
        &[4, 1, 0xFF, 0xFF, 0, 0, 0, 3, UNIT, 0x84, 2],
        // A late answer before the right one.
        &[3, 1, 0xFF, 0xFE, 0, 0, 0, 5, UNIT, 3, 2, 0, 1, 0xFF, 0xFF, 0, 0, 0, 5, UNIT, 3, 2, 0, 2],
        // Another unit, id 0, an echo, and what is no Modbus.
        &[3, 1, 0xFF, 0xFF, 0, 0, 0, 5, 9, 3, 2, 0, 1, 0, 0, 0, 0, 0, 5, UNIT, 3, 2, 0, 2],
        &[3, 1, 0xFF, 0xFF, 0, 0, 0, 6, UNIT, 3, 0, 0x6B, 0, 1],
        b"\x03\x01HTTP/1.1 400 Bad Request\r\n",
    ];
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let (to_say, replies) = mpsc::sync_channel(1);
    let (say, said) = mpsc::sync_channel(1);
    std::thread::spawn(move || endpoint(listener, &replies, &say));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Target {
        name: "modbus_tcp",
        inputs: 6_000,
        longest: 600,
        seeds: seeds.map(<[u8]>::to_vec).into(),
        words: [
            &[0xFF, 0xFF, 0, 0, 0, 5, UNIT, 3, 2][..],
            &[0xFF, 0xFE, 0, 0, 0, 3],
            &[UNIT, 3, 4],
            &[UNIT, 0x83],
        ]
        .map(<[u8]>::to_vec)
        .into(),
        repair: |input| {
            // The last frame's length is made right.
            let Some((_, _, _, stream)) = head(input) else { return };
            let mut at = 0;
            while let Some(length) = stream.get(at + 4..at + 6) {
                let next = at + 6 + usize::from(u16::from_be_bytes([length[0], length[1]]));
                if next >= stream.len() {
                    break;
                }
                at = next;
            }
            let rest = stream.len().saturating_sub(at + 6) as u16;
            if let Some(length) = input.get_mut(at + 6..at + 8) {
                length.copy_from_slice(&rest.to_be_bytes());
            }
        },
        run: Box::new(move |input| {
            let Some((table, function, quantity, stream)) = head(input) else { return 0 };
            to_say.send(stream.to_vec()).expect("the endpoint is there");
            let outcome = runtime.block_on(async {
                let mut connection =
                    Connection::connect("127.0.0.1", port, PATIENCE).await.expect("it is taken");
                connection.read(UNIT, table, 0x6B, quantity).await
            });
            let (id, reply) = said.recv().expect("the endpoint tells what it said");
            let expected = by_the_letter(&reply, id, function, quantity);
            let mut did = Did::default();
            match (outcome, expected) {
                (Ok(words), expected) => {
                    assert_eq!(Some(&words), expected.as_ref(), "not what the frame says");
                    did.step(("words", size(words.len()), size(stream.len())));
                }
                (Err(error), None) => did.step((plain(&error.to_string()), size(stream.len()))),
                (Err(error), Some(words)) => panic!("{error} instead of {words:?}"),
            }
            did.all()
        }),
    }
}
