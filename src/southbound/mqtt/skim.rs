//! Cuts over-long PUBLISH packets down to their first bytes before the protocol library sees them.
//!
//! MQTT 3.1.1 gives a client no way to tell the broker a size limit, and a library that meets a larger packet
//! can only close the connection; a persistent session then brings the same packet again, for ever. So the bytes
//! beyond the limit are thrown away as they come, and what is left ends in a trailer that says how long the
//! payload was. The trailer holds 128 random bits of this connection, so that no sender can write one.

use crate::model::Refused;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Random bits of one connection.
pub(in crate::southbound) type Mark = [u8; 16];

/// Longest variable header of a PUBLISH in bytes: topic length, topic, packet id (MQTT 3.1.1, section 3.3.2).
pub(in crate::southbound) const MAX_VARIABLE_HEADER: usize = 2 + 65_535 + 2;

const PUBLISH: u8 = 3;
const READ_CHUNK: usize = 16 * 1024;

/// What was cut: the first bytes of the payload and its whole length.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::southbound) struct Cut<'a> {
    pub(in crate::southbound) head: &'a [u8],
    pub(in crate::southbound) whole_len: usize,
}

/// The cut payload behind a trailer, if there is one.
pub(in crate::southbound) fn find_cut<'a>(payload: &'a [u8], mark: &Mark) -> Option<Cut<'a>> {
    let (rest, found) = payload.split_last_chunk::<16>()?;
    let (head, whole_len) = rest.split_last_chunk::<8>()?;
    let whole_len = usize::try_from(u64::from_be_bytes(*whole_len)).unwrap_or(usize::MAX);
    (found == mark).then_some(Cut { head, whole_len })
}

#[derive(Debug)]
enum State {
    /// Collecting the fixed header.
    Head,
    /// This many bytes of the packet pass unchanged.
    Pass(usize),
    /// A packet that is too long: what is kept of it, and how many bytes are still to come.
    Trim { kept: Vec<u8>, total: usize, left: usize },
    /// Not MQTT: everything passes, the library will say what is wrong.
    Raw,
}

/// The cutting itself, without a socket.
#[derive(Debug)]
pub(in crate::southbound) struct Skim {
    limit: usize,
    mark: Mark,
    head: Vec<u8>,
    state: State,
}

impl Skim {
    /// Packets whose remaining length is above `limit` bytes are cut.
    pub(in crate::southbound) fn new(limit: usize, mark: Mark) -> Self {
        Self { limit, mark, head: Vec::with_capacity(5), state: State::Head }
    }

    /// Takes bytes as they came, in pieces of any size, and appends to `out` what goes on.
    pub(in crate::southbound) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while let Some((&byte, rest)) = input.split_first() {
            match &mut self.state {
                State::Head => {
                    self.head.push(byte);
                    input = rest;
                    self.read_fixed_header(out);
                }
                State::Pass(left) => {
                    let n = input.len().min(*left);
                    let (now, later) = input.split_at(n);
                    out.extend_from_slice(now);
                    *left -= n;
                    input = later;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Trim { kept, total, left } => {
                    let n = input.len().min(*left);
                    let (now, later) = input.split_at(n);
                    let flags = self.head.first().copied().unwrap_or(0);
                    keep(kept, now, flags, *total);
                    *left -= n;
                    input = later;
                    if *left == 0 {
                        let (kept, total) = (std::mem::take(kept), *total);
                        self.write_cut(flags, &kept, total, out);
                        self.head.clear();
                        self.state = State::Head;
                    }
                }
                State::Raw => {
                    out.extend_from_slice(input);
                    return;
                }
            }
        }
    }

    /// Remaining Length is 1 to 4 bytes of 7 bits, lowest first (MQTT 3.1.1, section 2.2.3).
    fn read_fixed_header(&mut self, out: &mut Vec<u8>) {
        let Some((flags, digits)) = self.head.split_first() else { return };
        let Some(last) = digits.last() else { return };
        if last & 0x80 != 0 {
            if digits.len() == 4 {
                out.append(&mut self.head);
                self.state = State::Raw;
            }
            return;
        }
        let total = digits.iter().rev().fold(0usize, |sum, digit| (sum << 7) | usize::from(digit & 0x7f));
        if flags >> 4 == PUBLISH && total > self.limit {
            self.state = State::Trim { kept: Vec::new(), total, left: total };
            return;
        }
        out.append(&mut self.head);
        if total > 0 {
            self.state = State::Pass(total);
        }
    }

    fn write_cut(&self, flags: u8, kept: &[u8], total: usize, out: &mut Vec<u8>) {
        let payload_len = variable_header_len(kept, flags).and_then(|header| total.checked_sub(header));
        let mut body = kept.to_vec();
        // A topic longer than its packet is malformed: it goes on as it is, and the library refuses it.
        if let Some(len) = payload_len {
            body.extend_from_slice(&u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes());
            body.extend_from_slice(&self.mark);
        }
        out.push(flags);
        let mut rest = body.len();
        loop {
            let digit = u8::try_from(rest & 0x7f).unwrap_or(0);
            rest >>= 7;
            if rest == 0 {
                out.push(digit);
                break;
            }
            out.push(digit | 0x80);
        }
        out.append(&mut body);
    }
}

/// Appends what is worth keeping of an over-long packet: the variable header and the first payload bytes.
fn keep(kept: &mut Vec<u8>, now: &[u8], flags: u8, total: usize) {
    let mut now = now.iter();
    loop {
        let want = variable_header_len(kept, flags).map_or(2, |n| n + Refused::MAX_KEPT).min(total);
        let missing = want.saturating_sub(kept.len());
        if missing == 0 {
            return;
        }
        let before = kept.len();
        kept.extend(now.by_ref().take(missing));
        if kept.len() - before < missing {
            return;
        }
    }
}

fn variable_header_len(packet: &[u8], flags: u8) -> Option<usize> {
    let (len, _) = packet.split_first_chunk::<2>()?;
    let packet_id = if flags & 0b0110 == 0 { 0 } else { 2 };
    Some(2 + usize::from(u16::from_be_bytes(*len)) + packet_id)
}

/// A stream read through a [`Skim`]; writing is untouched.
pub(in crate::southbound) struct Skimmer<S> {
    inner: S,
    skim: Skim,
    chunk: Box<[u8]>,
    ready: Vec<u8>,
    taken: usize,
}

impl<S> Skimmer<S> {
    pub(in crate::southbound) fn new(inner: S, limit: usize, mark: Mark) -> Self {
        Self {
            inner,
            skim: Skim::new(limit, mark),
            chunk: vec![0; READ_CHUNK].into_boxed_slice(),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Skimmer<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Ends: a stream under tokio's budget gives `Pending` sooner or later, however much is thrown away.
        loop {
            if let Some(rest) = this.ready.get(this.taken..).filter(|rest| !rest.is_empty()) {
                let n = rest.len().min(buf.remaining());
                buf.put_slice(rest.get(..n).unwrap_or_default());
                this.taken += n;
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.taken = 0;
            let mut chunk = ReadBuf::new(&mut this.chunk);
            match Pin::new(&mut this.inner).poll_read(cx, &mut chunk) {
                Poll::Ready(Ok(())) if chunk.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.skim.push(chunk.filled(), &mut this.ready),
                other => return other,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Skimmer<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = [7; 16];

    fn publish(flags: u8, topic: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend_from_slice(topic);
        if flags & 0b0110 != 0 {
            body.extend_from_slice(&[0, 9]);
        }
        body.extend_from_slice(payload);
        let mut packet = vec![0x30 | flags];
        let mut rest = body.len();
        while rest > 0x7f {
            packet.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        packet.push(u8::try_from(rest).unwrap());
        packet.extend(body);
        packet
    }

    fn skim(input: &[u8], limit: usize, piece: usize) -> Vec<u8> {
        let (mut skim, mut out) = (Skim::new(limit, MARK), Vec::new());
        for part in input.chunks(piece) {
            skim.push(part, &mut out);
        }
        out
    }

    #[test]
    fn short_packets_pass_unchanged_in_pieces_of_any_size() {
        let mut stream = vec![0x20, 2, 0, 0, 0xd0, 0];
        stream.extend(publish(0b0010, b"a/b", b"hello"));
        stream.extend(publish(0, b"a", b""));
        for piece in 1..stream.len() {
            assert_eq!(skim(&stream, 100, piece), stream, "{piece}");
        }
    }

    #[test]
    fn a_long_publish_is_cut_and_says_its_length_and_the_next_packet_follows() {
        let payload: Vec<u8> = (0..300_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for flags in [0, 0b0010, 0b1010] {
            let mut stream = publish(flags, b"a/b", &payload);
            stream.extend([0xd0, 0]);
            let mut cut = payload.get(..1024).unwrap().to_vec();
            cut.extend(300_000u64.to_be_bytes());
            cut.extend(MARK);
            let mut expected = publish(flags, b"a/b", &cut);
            expected.extend([0xd0, 0]);
            for piece in [1, 2, 7, 1023, 16_384, stream.len()] {
                assert_eq!(skim(&stream, 4096, piece), expected, "flags {flags} piece {piece}");
            }
            let found = find_cut(&cut, &MARK).unwrap();
            assert_eq!((found.head, found.whole_len), (&payload[..1024], 300_000));
        }
    }

    #[test]
    fn a_sender_cannot_write_a_trailer_without_the_mark() {
        assert_eq!(find_cut(b"short", &MARK), None);
        assert_eq!(find_cut(&[8; 64], &MARK), None);
    }

    #[test]
    fn malformed_streams_go_on_to_the_library() {
        let endless = [0x30, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(skim(&endless, 10, 1), endless);
        let mut lying = vec![0x30, 20, 0xff, 0xff];
        lying.extend([1; 18]);
        assert_eq!(skim(&lying, 10, 3), lying, "a topic of 65535 bytes in a packet of 20");
    }
}
