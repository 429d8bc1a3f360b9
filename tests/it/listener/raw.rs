//! An MQTT client of bytes alone: it does what is asked, also what no library would do.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// Who connects, and how.
#[derive(Debug, Clone)]
pub struct Hello<'a> {
    pub client_id: &'a str,
    pub username: &'a str,
    pub password: &'a str,
    pub five: bool,
    pub clean: bool,
    pub keep_alive_secs: u16,
    pub will: Option<(&'a str, &'a str)>,
}

impl<'a> Hello<'a> {
    /// MQTT 3.1.1, a clean session, no keep-alive.
    pub fn new(username: &'a str, password: &'a str) -> Self {
        Self {
            client_id: username,
            username,
            password,
            five: false,
            clean: true,
            keep_alive_secs: 0,
            will: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut flags = 0xC0 | u8::from(self.clean) << 1;
        let mut body = b"\x00\x04MQTT".to_vec();
        body.push(if self.five { 5 } else { 4 });
        flags |= if self.will.is_some() { 0x0C } else { 0 };
        body.push(flags);
        body.extend(self.keep_alive_secs.to_be_bytes());
        if self.five {
            // A session that outlives its connection by 100 s.
            body.extend(if self.clean { &[0][..] } else { &[5, 0x11, 0, 0, 0, 100][..] });
        }
        text(&mut body, self.client_id);
        if let Some((topic, payload)) = self.will {
            if self.five {
                body.push(0);
            }
            text(&mut body, topic);
            text(&mut body, payload);
        }
        text(&mut body, self.username);
        text(&mut body, self.password);
        packet(0x10, &body)
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// Any packet.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest & 0x7f).unwrap();
        rest >>= 7;
        bytes.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A PUBLISH; `flags` are DUP 8, QoS 2 and 4, RETAIN 1.
pub fn publish(five: bool, flags: u8, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    if flags & 6 != 0 {
        body.extend(id.to_be_bytes());
    }
    if five {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

/// A SUBSCRIBE.
pub fn subscribe(five: bool, id: u16, filters: &[&str], qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if five {
        body.push(0);
    }
    for filter in filters {
        text(&mut body, filter);
        body.push(qos);
    }
    packet(0x82, &body)
}

/// One connection.
pub struct Raw {
    stream: TcpStream,
    pub five: bool,
}

impl Raw {
    /// Connects and greets; the code of CONNACK, and the connection.
    pub async fn try_connect(port: u16, hello: &Hello<'_>) -> std::io::Result<(Self, Vec<u8>)> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut raw = Self { stream, five: hello.five };
        raw.try_send(&hello.bytes()).await?;
        let (first, body) = raw.try_next().await?;
        assert_eq!(first, 0x20, "CONNACK");
        Ok((raw, body))
    }

    /// The same for one who must be let in.
    pub async fn connect(port: u16, hello: &Hello<'_>) -> Self {
        let (raw, connack) = Self::try_connect(port, hello).await.expect("a connection");
        assert_eq!(connack[1], 0, "CONNACK {connack:x?} for {hello:?}");
        raw
    }

    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("it is taken")
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("sent");
    }

    /// The next packet: its first byte and its body.
    pub async fn try_next(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let read = async {
            let first = self.stream.read_u8().await?;
            let (mut length, mut shift) = (0_usize, 0);
            loop {
                let digit = self.stream.read_u8().await?;
                length |= usize::from(digit & 0x7f) << shift;
                shift += 7;
                if digit & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await?;
            Ok((first, body))
        };
        timeout(PATIENCE, read).await.expect("a packet in time")
    }

    pub async fn next(&mut self) -> (u8, Vec<u8>) {
        self.try_next().await.expect("a packet")
    }

    /// Publishes at QoS 1 and waits for PUBACK: its reason code, 0 in 3.1.1.
    pub async fn publish(&mut self, topic: &str, id: u16, payload: &[u8]) -> u8 {
        self.send(&publish(self.five, 2, topic, id, payload)).await;
        let (first, body) = self.next().await;
        assert_eq!((first, &body[..2]), (0x40, &id.to_be_bytes()[..]), "PUBACK");
        body.get(2).copied().unwrap_or(0)
    }

    /// Subscribes and waits for SUBACK: its codes.
    pub async fn subscribe(&mut self, filters: &[&str], qos: u8) -> Vec<u8> {
        self.send(&subscribe(self.five, 1, filters, qos)).await;
        let (first, body) = self.next().await;
        assert_eq!(first, 0x90, "SUBACK");
        body[if self.five { 3 } else { 2 }..].to_vec()
    }

    /// Whether everything sent so far was read: PINGREQ is answered.
    pub async fn ping(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.next().await, (0xD0, Vec::new()), "PINGRESP");
    }

    /// The other side closes the connection, whatever it says before.
    pub async fn closed(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut last = Vec::new();
        while let Ok(packet) = self.try_next().await {
            last.push(packet);
        }
        last
    }
}
