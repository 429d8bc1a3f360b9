//! The MQTT driver against a broker that is scripted packet by packet, to misbehave as no real one can be made to.

use super::{PATIENCE, commit, driver_for, field, mqtt, next, open, refused};
use schoolgate::model::Fault;
use schoolgate::runtime::Chain;
use schoolgate::southbound::Driver;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The broker's side of one connection, byte by byte.
struct Scripted(TcpStream);

impl Scripted {
    /// Takes CONNECT and SUBSCRIBE and grants both.
    async fn accept(listener: &TcpListener, codes: &[u8]) -> Self {
        let mut broker = Self(listener.accept().await.unwrap().0);
        assert_eq!(broker.packet().await.0, 0x10, "CONNECT");
        broker.0.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        let (kind, body) = broker.packet().await;
        assert_eq!(kind, 0x82, "SUBSCRIBE");
        let mut answer = vec![0x90, u8::try_from(2 + codes.len()).unwrap(), body[0], body[1]];
        answer.extend(codes);
        broker.0.write_all(&answer).await.unwrap();
        broker
    }

    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.unwrap();
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let digit = self.0.read_u8().await.unwrap();
            len |= usize::from(digit & 0x7f) << shift;
            shift += 7;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.unwrap();
        (kind, body)
    }

    async fn publish(&mut self, id: u8, payload: &[u8]) {
        let len = u8::try_from(2 + 3 + 2 + payload.len()).unwrap();
        let mut packet = vec![0x32, len, 0, 3, b't', b'/', b'a', 0, id];
        packet.extend(payload);
        self.0.write_all(&packet).await.unwrap();
    }

    async fn acknowledged(&mut self) -> u8 {
        let (kind, body) = self.packet().await;
        assert_eq!((kind, body[0]), (0x40, 0), "PUBACK");
        body[1]
    }
}

async fn scripted() -> (TcpListener, Arc<dyn Driver>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = driver_for(mqtt(listener.local_addr().unwrap().port()), &["a"]);
    (listener, driver)
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_arrival_whatever_commits_first() {
    let (listener, driver) = scripted().await;
    let (field, mut outlet) = field();
    let gate = async {
        let mut session = open(&driver, &field).await;
        assert!(!session.delivered());
        let failure = session.run(&field).await;
        assert!(session.delivered());
        failure
    };
    let script = async {
        let mut broker = Scripted::accept(&listener, &[1, 1]).await;
        for id in 1..=3 {
            broker.publish(id, br#"{"temperature":1}"#).await;
        }
        let mut parcels = Vec::new();
        for _ in 0..3 {
            parcels.push(next(&mut outlet).await);
        }
        while let Some(last) = parcels.pop() {
            commit(last);
        }
        for id in 1..=3 {
            assert_eq!(timeout(PATIENCE, broker.acknowledged()).await.expect("in time"), id);
        }
        // One that will never be committed is never acknowledged, and the connection ends.
        broker.publish(4, br#"{"temperature":4}"#).await;
        drop(next(&mut outlet).await);
        assert_eq!(broker.0.read(&mut [0; 8]).await.unwrap_or(0), 0);
    };
    let (failure, ()) = timeout(PATIENCE, async { tokio::join!(gate, script) }).await.expect("in time");
    assert_eq!(failure.fault, Fault::Internal);
}

#[tokio::test]
async fn a_refused_subscription_names_device_and_filter() {
    let (listener, driver) = scripted().await;
    let (field, _outlet) = field();
    let gate = async {
        let mut session = open(&driver, &field).await;
        session.run(&field).await
    };
    let (failure, _broker) =
        timeout(PATIENCE, async { tokio::join!(gate, Scripted::accept(&listener, &[1, 0x80])) })
            .await
            .expect("in time");
    assert_eq!(failure.fault, Fault::Misconfigured);
    assert!(failure.doing.contains("'a'") && failure.doing.contains("'t/a/availability'"), "{failure}");
}

#[tokio::test]
async fn sessions_that_are_kicked_out_again_and_again_name_the_client_id() {
    let (listener, driver) = scripted().await;
    let (field, _outlet) = field();
    let mut texts = Vec::new();
    for _ in 0..3 {
        let gate = async {
            let mut session = open(&driver, &field).await;
            session.run(&field).await
        };
        let script = async { drop(Scripted::accept(&listener, &[1, 1]).await) };
        let (failure, ()) = timeout(PATIENCE, async { tokio::join!(gate, script) }).await.expect("in time");
        assert_eq!(failure.fault, Fault::Gone);
        texts.push(failure.doing);
    }
    assert!(!texts[1].contains("client id"), "{texts:?}");
    assert!(texts[2].contains("client id 'schoolgate-test'"), "{texts:?}");
}

#[tokio::test]
async fn what_does_not_speak_mqtt_is_a_protocol_fault() {
    let (listener, driver) = scripted().await;
    let (field, _outlet) = field();
    let script = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // PINGRESP where CONNACK belongs.
        stream.write_all(&[0xd0, 0]).await.unwrap();
        stream
    };
    let (failure, _stream) = tokio::join!(refused(&driver, &field), script);
    assert_eq!(failure.fault, Fault::Protocol, "{}", Chain(&failure));
}
