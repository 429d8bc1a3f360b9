//! Asks for the plate numbers of DL/T 645 and CJ/T 188 meters: a request to the wildcard address, answered by whichever
//! meter is alone on the line. Several answer at once, and garble one another; that much can be told.

use crate::southbound::serial::codec::{Codec, Look, Stray};
use crate::southbound::serial::line::{Pace, Wire};
use crate::southbound::serial::{cjt188, dlt645};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// First byte of an answer at the latest: DL/T 645-2007, 5.3, has meters answer within 500 ms.
const WITHIN: Duration = Duration::from_millis(520);
/// A pause between bytes that still belong to one frame.
const HOLD: Duration = Duration::from_millis(20);
/// Longest listening for one question on a line that is never silent.
const BABBLE: Duration = Duration::from_secs(3);
/// Most bytes taken for one question.
const MAX_HELD: usize = 1024;

/// A meter with a plate number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plate {
    /// A DL/T 645 electricity meter.
    Electricity(dlt645::Address),
    /// A CJ/T 188 meter of a kind: 10h cold water, 11h hot water, 20h heat, 30h gas.
    Flow(u8, cjt188::Address),
}

/// What came of a question to the wildcard address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// Nobody answered.
    Nobody,
    /// One meter.
    One(Plate),
    /// Bytes that make no sense: several meters at once, or noise.
    Garbled,
}

/// How long both questions take when nobody answers.
#[must_use]
pub fn estimate(baud: u32) -> Duration {
    (Pace::new(baud).of_bytes(20) + WITHIN) * 2
}

/// Asks for the address of a DL/T 645 meter.
///
/// # Errors
/// When the line breaks.
pub async fn electricity(wire: &mut dyn Wire, baud: u32) -> io::Result<Called> {
    let request = dlt645::Request { address: dlt645::Address::ANY, ask: dlt645::Ask::ReadAddress };
    call(wire, baud, &request, |answer: dlt645::Answer| Plate::Electricity(answer.address)).await
}

/// Asks for the address of a CJ/T 188 meter.
///
/// # Errors
/// When the line breaks.
pub async fn flow(wire: &mut dyn Wire, baud: u32) -> io::Result<Called> {
    let (address, ask) = (cjt188::Address::ANY, cjt188::Ask::ReadAddress);
    let request = cjt188::Request { kind: 0xAA, address, ask, serial: 1 };
    call(wire, baud, &request, |answer: cjt188::Answer| Plate::Flow(answer.kind, answer.address)).await
}

async fn call<C: Codec>(
    wire: &mut dyn Wire,
    baud: u32,
    codec: &C,
    plate: impl Fn(C::Answer) -> Plate,
) -> io::Result<Called> {
    let request = codec.request();
    wire.write_all(&request).await?;
    wire.flush().await?;
    let mut until = Instant::now() + Pace::new(baud).of_bytes(request.len()) + WITHIN;
    let give_up = Instant::now() + BABBLE;
    let (mut held, mut garbled) = (Vec::new(), false);
    loop {
        match codec.look(&held) {
            Look::Answer { said: Ok(answer), .. } => return Ok(Called::One(plate(answer))),
            // A refusal has an address, too, but the standards do not have one to this question.
            Look::Answer { said: Err(_), bytes } => {
                garbled = true;
                held.drain(..bytes.min(held.len()));
                continue;
            }
            Look::Skip { bytes, what } => {
                // FE wakes the line and is no noise.
                let skipped = held.get(..bytes.min(held.len())).unwrap_or_default();
                garbled |= what != Stray::Echo && skipped.iter().any(|byte| !matches!(byte, 0xFE | 0xFF | 0));
                let skipped = skipped.len().max(1).min(held.len());
                held.drain(..skipped);
                continue;
            }
            Look::Wait => {}
        }
        let mut bytes = [0; 256];
        match timeout_at(until.min(give_up), wire.read(&mut bytes)).await {
            Err(_) => {
                let nobody = !garbled && held.is_empty();
                return Ok(if nobody { Called::Nobody } else { Called::Garbled });
            }
            Ok(Ok(0)) => {
                let closed = "the other side closed the connection";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed));
            }
            Ok(Ok(n)) => held.extend(bytes.iter().take(n)),
            Ok(Err(error)) => return Err(error),
        }
        if held.len() > MAX_HELD {
            return Ok(Called::Garbled);
        }
        until = until.max(Instant::now() + HOLD);
    }
}
