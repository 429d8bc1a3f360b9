//! Modbus protocol data units: what is asked, and whether an answer answers it; the same over TCP and on a serial line.
//!
//! Source: MODBUS Application Protocol Specification V1.1b3, sections 6 and 7.

use crate::profile::{RegisterTable, Write};
use crate::southbound::polled::{Ask, Exception, ReadError, Said};
use crate::southbound::serial::codec::Refusal;

/// Longest protocol data unit, function code first.
pub const MAX_PDU: usize = 253;
/// Most registers in one read.
pub const MAX_REGISTERS: u16 = 125;
/// Most coils or discrete inputs in one read.
pub const MAX_BITS: u16 = 2000;
/// Most registers in one write.
const MAX_WRITTEN_REGISTERS: usize = 123;
/// Most coils in one write.
const MAX_WRITTEN_BITS: usize = 1968;
/// Bit of the function code: the device refuses.
pub(in crate::southbound) const REFUSED: u8 = 0x80;
/// Read Device Identification: encapsulated interface transport, MEI type 14 (section 6.21).
const IDENTIFY: [u8; 2] = [0x2B, 0x0E];
/// The basic objects: vendor, product code, revision.
const BASIC: u8 = 0x01;
/// Most answers of one identification.
const MAX_IDENTITY_PARTS: usize = 8;

/// One request, and what its answer must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    reply: Reply,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reply {
    /// A byte count and so many registers.
    Registers(u16),
    /// A byte count and so many bits, the first in the lowest bit of the first byte.
    Bits(u16),
    /// So many bytes of the request, repeated.
    Repeats(usize),
    /// Objects of the device's identification.
    Objects,
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Registers, or bits, each 0 or 1.
    Words(Vec<u16>),
    /// It was written.
    Written,
    /// Objects of the identification, and with which the rest begins.
    Objects(Vec<(u8, String)>, Option<u8>),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The device says no.
    Exception(Exception),
    /// It is our own request.
    Echo,
    /// It is not what the protocol says, and how.
    Malformed(String),
}

impl Verdict {
    /// The same as an error; `raw` is the whole frame.
    pub(in crate::southbound) fn into_error(self, raw: &[u8]) -> ReadError {
        match self {
            Self::Exception(exception) => ReadError::Refused(Refusal::Modbus(exception)),
            Self::Echo => ReadError::Echo,
            Self::Malformed(what) => ReadError::Malformed { what, raw: raw.to_vec() },
        }
    }
}

/// How long an answer is, as far as can be told from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::southbound) enum Length {
    /// So many bytes, function code first.
    Is(usize),
    /// More must come before it can be told.
    Later,
    /// This begins no answer.
    Never,
}

impl Request {
    /// Reads registers, coils or discrete inputs (functions 3, 4, 1 and 2).
    ///
    /// # Errors
    /// [`ReadError::NoSuchRead`].
    pub fn read(table: RegisterTable, address: u16, quantity: u16) -> Result<Self, ReadError> {
        let (function, most, reply) = match table {
            RegisterTable::Coil => (1, MAX_BITS, Reply::Bits(quantity)),
            RegisterTable::Discrete => (2, MAX_BITS, Reply::Bits(quantity)),
            RegisterTable::Holding => (3, MAX_REGISTERS, Reply::Registers(quantity)),
            RegisterTable::Input => (4, MAX_REGISTERS, Reply::Registers(quantity)),
        };
        if quantity == 0 || quantity > most || u32::from(address) + u32::from(quantity) > 0x1_0000 {
            return Err(ReadError::NoSuchRead { address, quantity, most });
        }
        let ([a, b], [c, d]) = (address.to_be_bytes(), quantity.to_be_bytes());
        Ok(Self { bytes: vec![function, a, b, c, d], reply })
    }

    /// Writes coils or registers (functions 5, 6, 15 and 16).
    ///
    /// # Errors
    /// [`ReadError::NoSuchWrite`].
    pub fn write(write: &Write) -> Result<Self, ReadError> {
        let count = write.words.len();
        let refused = Err(ReadError::NoSuchWrite { table: write.table, address: write.address, count });
        let most = match write.table {
            RegisterTable::Coil => MAX_WRITTEN_BITS,
            RegisterTable::Holding => MAX_WRITTEN_REGISTERS,
            RegisterTable::Discrete | RegisterTable::Input => return refused,
        };
        let behind = usize::from(write.address) + count;
        let (Ok(quantity), true) = (u16::try_from(count), (1..=most).contains(&count) && behind <= 0x1_0000)
        else {
            return refused;
        };
        let coils = write.table == RegisterTable::Coil;
        let mut bytes = vec![0];
        bytes.extend(write.address.to_be_bytes());
        if let ([word], false) = (write.words.as_slice(), write.multiple) {
            let value = if !coils {
                *word
            } else if *word == 0 {
                0
            } else {
                0xFF00
            };
            bytes.extend(value.to_be_bytes());
        } else {
            bytes.extend(quantity.to_be_bytes());
            let data: Vec<u8> = if coils {
                write.words.chunks(8).map(packed).collect()
            } else {
                write.words.iter().flat_map(|word| word.to_be_bytes()).collect()
            };
            bytes.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
            bytes.extend(data);
        }
        if let Some(function) = bytes.first_mut() {
            *function = match (coils, write.multiple || count > 1) {
                (true, false) => 5,
                (false, false) => 6,
                (true, true) => 15,
                (false, true) => 16,
            };
        }
        Ok(Self { bytes, reply: Reply::Repeats(5) })
    }

    /// Reads the basic identification, from the object `from` on (function 43, MEI type 14).
    #[must_use]
    pub fn identify(from: u8) -> Self {
        let [function, mei] = IDENTIFY;
        Self { bytes: vec![function, mei, BASIC, from], reply: Reply::Objects }
    }

    /// The request, function code first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(in crate::southbound) fn function(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// Whether a right answer is the very request.
    pub(in crate::southbound) fn is_repeated(&self) -> bool {
        self.reply == Reply::Repeats(self.bytes.len())
    }

    /// Whether an answer says what it answers, so that an old one can be told from the one waited for.
    pub(in crate::southbound) fn is_named(&self) -> bool {
        matches!(self.reply, Reply::Repeats(_))
    }

    /// Whether an answer that repeats the request repeats this one's; true of all others.
    pub(in crate::southbound) fn repeats(&self, pdu: &[u8]) -> bool {
        match self.reply {
            Reply::Repeats(len) => self.bytes.get(..len) == Some(pdu),
            Reply::Registers(_) | Reply::Bits(_) | Reply::Objects => true,
        }
    }

    /// How many bytes the answer has, function code first, when all goes well.
    pub(in crate::southbound) fn expected_len(&self) -> usize {
        match self.reply {
            Reply::Registers(quantity) => 2 + usize::from(quantity) * 2,
            Reply::Bits(quantity) => 2 + usize::from(quantity).div_ceil(8),
            Reply::Repeats(len) => len,
            // The names of a vendor, a product and a revision, ample.
            Reply::Objects => 100,
        }
    }

    /// How long the answer is that begins so; exceptions aside.
    pub(in crate::southbound) fn length(&self, pdu: &[u8]) -> Length {
        if self.reply != Reply::Objects {
            return Length::Is(self.expected_len());
        }
        if pdu.iter().zip(IDENTIFY).any(|(byte, expected)| *byte != expected) {
            return Length::Never;
        }
        let Some((head, mut rest)) = pdu.split_at_checked(7) else { return Length::Later };
        let mut len = head.len();
        for _ in 0..head.last().copied().unwrap_or_default() {
            let [_, size, tail @ ..] = rest else { return Length::Later };
            len += 2 + usize::from(*size);
            if len > MAX_PDU {
                return Length::Never;
            }
            rest = tail.get(usize::from(*size)..).unwrap_or_default();
        }
        Length::Is(len)
    }

    /// What the answer says that is known to be one to this request.
    ///
    /// # Errors
    /// [`Verdict`].
    pub fn judge(&self, pdu: &[u8]) -> Result<Answer, Verdict> {
        let function = self.function();
        match pdu {
            _ if pdu == self.bytes && !self.is_repeated() => Err(Verdict::Echo),
            [] | [_] => Err(Verdict::Malformed("the reply has no data".into())),
            [f, code] if *f == function | REFUSED => Err(Verdict::Exception(Exception::from_code(*code))),
            [f, rest @ ..] if *f == function | REFUSED => Err(Verdict::Malformed(format!(
                "an exception reply has 1 byte of data, this one {}",
                rest.len()
            ))),
            [f, ..] if *f != function => {
                Err(Verdict::Malformed(format!("function {f} answers function {function}")))
            }
            [_, count, data @ ..] => match self.reply {
                Reply::Registers(quantity) => {
                    let data = counted(quantity, "registers", usize::from(quantity) * 2, *count, data)?;
                    let words = data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
                    Ok(Answer::Words(words.collect()))
                }
                Reply::Bits(quantity) => {
                    let bytes = usize::from(quantity).div_ceil(8);
                    let data = counted(quantity, "bits", bytes, *count, data)?;
                    let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
                    Ok(Answer::Words(bits.take(usize::from(quantity)).collect()))
                }
                Reply::Repeats(_) if self.repeats(pdu) => Ok(Answer::Written),
                Reply::Repeats(len) => Err(Verdict::Malformed(format!(
                    "the reply to a write repeats its first {len} bytes, this one does not"
                ))),
                Reply::Objects => self.objects(pdu),
            },
        }
    }

    fn objects(&self, pdu: &[u8]) -> Result<Answer, Verdict> {
        let (Length::Is(len), [_, _, code, _, more, next, number, rest @ ..]) = (self.length(pdu), pdu)
        else {
            return Err(Verdict::Malformed("the reply holds no whole identification".into()));
        };
        if len != pdu.len() || *code != BASIC {
            return Err(Verdict::Malformed(format!(
                "the identification says {len} bytes of kind {BASIC} and has {} of kind {code}",
                pdu.len()
            )));
        }
        let (mut objects, mut rest) = (Vec::new(), rest);
        for _ in 0..*number {
            let [id, size, tail @ ..] = rest else { break };
            let (text, after) = tail.split_at_checked(usize::from(*size)).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            objects.push((*id, text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_owned()));
            rest = after;
        }
        Ok(Answer::Objects(objects, (*more == 0xFF).then_some(*next)))
    }
}

/// Eight coils in a byte, the first in the lowest bit.
fn packed(coils: &[u16]) -> u8 {
    coils.iter().rev().fold(0, |byte, coil| byte << 1 | u8::from(*coil != 0))
}

fn counted<'a>(
    quantity: u16,
    what: &str,
    expected: usize,
    count: u8,
    data: &'a [u8],
) -> Result<&'a [u8], Verdict> {
    if usize::from(count) == expected && data.len() == expected {
        return Ok(data);
    }
    let len = data.len();
    Err(Verdict::Malformed(format!(
        "{quantity} {what} are {expected} bytes; the reply says {count} and holds {len}"
    )))
}

/// What carries requests to Modbus units and brings back their answers.
pub(in crate::southbound) trait Exchange: Send {
    /// One request, and its answer judged.
    fn exchange(
        &mut self,
        unit: u8,
        request: &Request,
    ) -> impl Future<Output = Result<Answer, ReadError>> + Send;
}

/// Does what is asked of a Modbus unit.
///
/// # Errors
/// [`ReadError`].
pub(in crate::southbound) async fn ask(
    wire: &mut impl Exchange,
    unit: u8,
    ask: &Ask,
) -> Result<Said, ReadError> {
    let request = match ask {
        Ask::Registers(block) => Request::read(block.table, block.address, block.words)?,
        Ask::Write(write) => Request::write(write)?,
        Ask::Identify => return identify(wire, unit).await.map(Said::Identity),
        Ask::Quantity(_) | Ask::PlateAddress => return Err(ReadError::WrongBus),
    };
    match wire.exchange(unit, &request).await? {
        Answer::Words(words) => Ok(Said::Words(words)),
        Answer::Written => Ok(Said::Written),
        Answer::Objects(objects, _) => Ok(Said::Identity(objects)),
    }
}

async fn identify(wire: &mut impl Exchange, unit: u8) -> Result<Vec<(u8, String)>, ReadError> {
    let (mut identity, mut from) = (Vec::new(), 0);
    for _ in 0..MAX_IDENTITY_PARTS {
        let Answer::Objects(mut objects, next) = wire.exchange(unit, &Request::identify(from)).await? else {
            break;
        };
        identity.append(&mut objects);
        match next {
            Some(next) if next > from => from = next,
            _ => break,
        }
    }
    Ok(identity)
}

#[cfg(test)]
mod tests;
