//! Takes a multipart stream apart as it comes (RFC 2046, section 5.1): its texts are kept, its pictures never held.

use super::Unreadable;
use std::collections::VecDeque;

/// Longest boundary (RFC 2046, section 5.1.1, allows 70), in bytes.
const MAX_BOUNDARY: usize = 128;
/// Longest header of one part, in bytes.
const MAX_HEADER: usize = 8 * 1024;
/// Recorders leave out the length of a part; a whole alert is known by how it ends.
const ALERT_ENDS: &[u8] = b"</EventNotificationAlert>";

/// One part that is a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// As its header says; empty if it does not.
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What it is and how long, never its bytes: they may name a person.
impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "part of {} bytes, {:?}", self.body.len(), self.content_type)
    }
}

#[derive(Debug)]
enum State {
    /// Looking for the next boundary; what stands before it is thrown away.
    Between,
    /// Right behind a boundary: a part begins, or the whole ends.
    Header,
    /// In a part.
    Body { content_type: String, length: Option<usize>, keep: bool },
}

/// A stream of parts. It holds one part at most, and of parts that are skipped nothing.
pub struct Parts {
    boundary: Vec<u8>,
    max_part: usize,
    state: State,
    held: Vec<u8>,
    /// How many bytes of `held` were searched for a boundary in vain.
    searched: usize,
    ready: VecDeque<Result<Part, Unreadable>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "parts, {} bytes held", self.held.len())
    }
}

/// The boundary that a content type names.
#[must_use]
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let named = named.filter(|(key, _)| key.trim().eq_ignore_ascii_case("boundary"));
    let mut named = named.map(|(_, value)| value.trim().trim_matches('"').to_owned());
    named.find(|boundary| !boundary.trim_start_matches('-').is_empty() && boundary.len() <= MAX_BOUNDARY)
}

impl Parts {
    /// For a boundary as the content type names it; with or without the two dashes before it, because devices differ.
    /// A text of more than `max_part` bytes is unreadable.
    #[must_use]
    pub fn new(boundary: &str, max_part: usize) -> Self {
        let bare = boundary.trim_start_matches('-');
        let bare = bare.bytes().take(MAX_BOUNDARY).collect();
        let (held, ready) = (Vec::new(), VecDeque::new());
        Self { boundary: bare, max_part, state: State::Between, held, searched: 0, ready }
    }

    /// Takes the next bytes of the stream. Call [`Parts::next`] until there is nothing before the next ones.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.step() {}
    }

    /// The next whole text, or what was wrong with it; `None` until more bytes come.
    #[expect(clippy::should_implement_trait, reason = "more may come after nothing")]
    pub fn next(&mut self) -> Option<Result<Part, Unreadable>> {
        self.ready.pop_front()
    }

    /// The stream is at its end: a last part that no boundary follows is taken for whole.
    pub fn finish(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Between);
        let held = std::mem::take(&mut self.held);
        self.searched = 0;
        if let State::Body { content_type, keep: true, length: None } = state {
            self.ready.push_back(Ok(Part { content_type, body: trimmed(&held).to_vec() }));
        }
    }

    /// One step; whether there may be another.
    fn step(&mut self) -> bool {
        match &self.state {
            State::Between => match self.boundary_at() {
                Some((_, behind)) => {
                    self.drop_front(behind);
                    self.state = State::Header;
                    true
                }
                None => {
                    self.forget_searched();
                    false
                }
            },
            State::Header => self.header(),
            State::Body { .. } => self.body(),
        }
    }

    fn header(&mut self) -> bool {
        // Two dashes behind the boundary end the whole; devices go on nevertheless.
        if self.held.starts_with(b"--") {
            self.state = State::Between;
            return true;
        }
        let Some((end, behind)) = blank_line(&self.held) else {
            if self.held.len() > MAX_HEADER {
                let reason = format!("the header of a part has more than {MAX_HEADER} bytes");
                self.ready.push_back(Err(Unreadable::new("too_long", reason)));
                self.state = State::Between;
                return true;
            }
            return false;
        };
        let header = String::from_utf8_lossy(self.held.get(..end).unwrap_or_default()).into_owned();
        self.drop_front(behind);
        let field = |name: &str| {
            let lines = header.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let content_type = field("content-type").unwrap_or_default();
        let length = field("content-length").and_then(|length| length.parse().ok());
        let keep = is_text(&content_type);
        self.state = State::Body { content_type, length, keep };
        true
    }

    fn body(&mut self) -> bool {
        let &State::Body { ref content_type, length, keep } = &self.state else { return false };
        let content_type = content_type.clone();
        let edge = self.boundary_at();
        let whole_by_length = length.filter(|length| self.held.len() >= *length);
        let (end, behind) = match (edge, whole_by_length) {
            (Some((end, _)), Some(length)) if length <= end => (length, length),
            (Some((end, _)), _) => (end, end),
            (None, Some(length)) => (length, length),
            (None, None) if keep && length.is_none() && trimmed(&self.held).ends_with(ALERT_ENDS) => {
                (self.held.len(), self.held.len())
            }
            (None, None) => return self.unfinished(),
        };
        if keep && end <= self.max_part {
            let body = trimmed(self.held.get(..end).unwrap_or_default()).to_vec();
            self.ready.push_back(Ok(Part { content_type, body }));
        } else if keep {
            self.ready.push_back(Err(self.too_long()));
        }
        self.drop_front(behind);
        self.state = State::Between;
        true
    }

    /// The part goes on beyond what is here: of one that is skipped or too long nothing is held.
    fn unfinished(&mut self) -> bool {
        let &State::Body { keep, length, .. } = &self.state else { return false };
        let too_long = self.held.len() > self.max_part || length.is_some_and(|l| l > self.max_part);
        if keep && !too_long {
            return false;
        }
        if keep {
            let error = self.too_long();
            self.ready.push_back(Err(error));
            self.state = State::Body { content_type: String::new(), length: None, keep: false };
        }
        let before = self.held.len();
        self.forget_searched();
        let gone = before - self.held.len();
        if let State::Body { length: Some(length), .. } = &mut self.state {
            *length = length.saturating_sub(gone);
        }
        false
    }

    fn too_long(&self) -> Unreadable {
        Unreadable::new("too_long", format!("a text has more than {} bytes", self.max_part))
    }

    /// Where the next line with the boundary begins (its line break included), and where it ends.
    fn boundary_at(&mut self) -> Option<(usize, usize)> {
        let width = self.boundary.len();
        let mut from = self.searched;
        while let Some(at) = find(self.held.get(from..)?, &self.boundary).map(|at| at + from) {
            let before = self.held.get(..at)?;
            let dashes = before.iter().rev().take_while(|byte| **byte == b'-').count();
            let line = before.len() - dashes;
            let begins = line == 0 || self.held.get(line - 1) == Some(&b'\n');
            if dashes >= 2 && begins {
                let lead = self.held.get(..line).unwrap_or_default();
                let lead = lead.strip_suffix(b"\r\n").or_else(|| lead.strip_suffix(b"\n")).unwrap_or(lead);
                return Some((lead.len(), at + width));
            }
            from = at + 1;
        }
        // A boundary may have begun: it, its dashes and the line break before it stay unsearched.
        self.searched = self.held.len().saturating_sub(width);
        None
    }

    /// Forgets what cannot be the beginning of a boundary's line.
    fn forget_searched(&mut self) {
        let keep = 2 * MAX_BOUNDARY + 4;
        self.drop_front(self.held.len().saturating_sub(keep));
    }

    fn drop_front(&mut self, bytes: usize) {
        self.held.drain(..bytes.min(self.held.len()));
        self.searched = self.searched.saturating_sub(bytes);
    }
}

/// Whether a part of this type is read: what says nothing of itself may be a text.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind.is_empty() || kind.starts_with("text/") || kind.ends_with("json") || kind.ends_with("xml")
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Where the header ends, and where what follows its blank line begins.
fn blank_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let crlf = find(bytes, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = find(bytes, b"\n\n").map(|at| (at, at + 2));
    match (crlf, lf) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
        (found, None) | (None, found) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &mut Parts) -> Vec<Result<String, &'static str>> {
        let mut got = Vec::new();
        while let Some(part) = parts.next() {
            got.push(part.map(|p| String::from_utf8(p.body).unwrap()).map_err(|e| e.kind));
        }
        got
    }

    const STREAM: &str = "noise\r\n--myboundary\r\nContent-Type: text/plain\r\nContent-Length:9\r\n\r\nHeartbeat\r\n\r\n\
                          --myboundary\r\nContent-Type: image/jpeg\r\nContent-Length: 12\r\n\r\n\
                          \u{1}\r\n--myboun\r\n--myboundary\r\n\r\n{\"a\":1}\r\n--myboundary\r\n\
                          Content-Type: application/xml; charset=\"UTF-8\"\r\n\r\n<a>\n--</a>\n\
                          --myboundary--\r\n";

    #[test]
    fn a_stream_gives_the_same_texts_however_it_is_cut() {
        let expected =
            vec![Ok("Heartbeat".to_owned()), Ok("{\"a\":1}".to_owned()), Ok("<a>\n--</a>".to_owned())];
        for (boundary, size) in [
            ("myboundary", 1),
            ("--myboundary", 2),
            ("myboundary", 7),
            ("myboundary", 64),
            ("myboundary", 9999),
        ] {
            let mut parts = Parts::new(boundary, 100);
            let mut got = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                parts.feed(piece);
                got.extend(all(&mut parts));
            }
            assert_eq!(got, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_told_once_and_not_held() {
        for length in ["", "Content-Length: 5000\r\n"] {
            let mut parts = Parts::new("b", 1000);
            parts.feed(format!("--b\r\n{length}\r\n").as_bytes());
            let mut got = Vec::new();
            for _ in 0..500 {
                parts.feed(&[b'x'; 10]);
                assert!(parts.held.len() <= 1100, "{}", parts.held.len());
                got.extend(all(&mut parts));
            }
            parts.feed(b"\r\n--b\r\n\r\nshort\r\n--b\r\n");
            got.extend(all(&mut parts));
            assert_eq!(got, vec![Err("too_long"), Ok("short".to_owned())]);
        }
        let mut endless = Parts::new("b", 100);
        endless.feed(b"--b\r\n");
        for _ in 0..1000 {
            endless.feed(&[b'h'; 100]);
        }
        assert!(endless.held.len() < MAX_HEADER + 200);
        assert_eq!(all(&mut endless), vec![Err("too_long")]);
    }

    #[test]
    fn a_picture_is_never_held() {
        let mut parts = Parts::new("b", 1000);
        parts.feed(b"--b\r\nContent-Type: image/jpeg\r\n\r\n");
        for _ in 0..1000 {
            parts.feed(&[0xFF; 1000]);
            assert!(parts.held.len() <= 400, "{}", parts.held.len());
        }
        parts.feed(b"\r\n--b\r\n\r\n{}\r\n--b--\r\n");
        assert_eq!(all(&mut parts), vec![Ok("{}".to_owned())]);
    }

    #[test]
    fn an_alert_without_a_length_is_told_at_once() {
        let mut parts = Parts::new("boundary", 1000);
        parts.feed(b"--boundary\r\nContent-Type: application/xml\r\n\r\n<EventNotificationAlert>");
        assert_eq!(all(&mut parts), vec![]);
        parts.feed(b"</EventNotificationAlert>\r\n");
        assert_eq!(all(&mut parts).len(), 1);
    }

    #[test]
    fn the_boundary_is_found_in_the_content_type() {
        for (written, expected) in [
            ("multipart/mixed; boundary=MIME_boundary", Some("MIME_boundary")),
            ("multipart/form-data; charset=utf-8; Boundary=\"--7e13971310878\"", Some("--7e13971310878")),
            ("application/json; boundary=x", None),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=--", None),
        ] {
            assert_eq!(boundary(written).as_deref(), expected, "{written}");
        }
    }
}
