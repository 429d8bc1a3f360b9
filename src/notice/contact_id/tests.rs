use super::*;

/// Public captures, byte for byte.
const CAPTURES: [&str; 4] = [
    "\nF92F0043\"ADM-CID\"0020R7896L7896#3456[#3456|1407 00 001]_17:01:14,07-26-2024\r",
    "\nD730002F\"NULL\"0000R7896L7896#3456[]_17:01:26,07-26-2024\r",
    "\nF68B003B\"ADM-CID\"0028L0#9757[#9757|1602 00 000]_20:59:45,02-20-2024\r",
    "\nB0970029\"NULL\"0000L000#0809[]_21:00:01,02-20-2024\r",
];

fn all(frames: &mut Frames) -> Vec<Result<Frame, &'static str>> {
    std::iter::from_fn(|| frames.next()).map(|frame| frame.map_err(|error| error.kind)).collect()
}

fn of(message: &str) -> Frame {
    let mut frames = Frames::new();
    frames.feed(&framed(message));
    all(&mut frames).remove(0).unwrap()
}

#[test]
fn captures_are_read_however_they_are_cut() {
    let stream = format!("noise\r{}\n{}", CAPTURES[0], CAPTURES[1..].concat());
    for size in [1, 5, 70, 1000] {
        let mut frames = Frames::new();
        let mut got = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            frames.feed(piece);
            got.extend(all(&mut frames));
        }
        assert_eq!(got.remove(0), Err("no_frame"), "pieces of {size}");
        let got: Vec<Frame> = got.into_iter().map(Result::unwrap).collect();
        let told: Vec<(&str, &str, bool)> =
            got.iter().map(|f| (f.account.as_str(), f.sequence.as_str(), f.is_ping())).collect();
        assert_eq!(
            told,
            [
                ("3456", "0020", false),
                ("3456", "0000", true),
                ("9757", "0028", false),
                ("0809", "0000", true)
            ]
        );
        let notices = read(&got[0]).unwrap();
        assert_eq!((notices[0].code.as_str(), notices[0].phase), ("407", Some(Phase::Start)));
        assert_eq!(notices[0].at, Some(At::Wall(Wall(1_722_013_274_000))));
        assert_eq!(read(&got[1]), Ok(Vec::new()));
    }
}

#[test]
fn answers_are_frames_that_repeat_who_and_which() {
    let frame = of("\"ADM-CID\"0020R7896L7896#3456[#3456|1407 00 001]");
    for (answer, id) in [(acknowledge(&frame), "ACK"), (refuse(&frame), "DUH")] {
        let mut frames = Frames::new();
        frames.feed(&answer);
        let back = all(&mut frames).remove(0).unwrap();
        assert_eq!(
            (back.id.as_str(), back.sequence.as_str(), back.line.as_str()),
            (id, "0020", "R7896L7896#3456")
        );
        assert_eq!(back.data, "");
    }
}

#[test]
fn qualifiers_parts_and_people() {
    for (event, code, phase, late, part, somebody) in [
        ("1130 01 015", "130", Phase::Start, false, "01/015", false),
        ("3130 01 015", "130", Phase::End, false, "01/015", false),
        ("6130 01 015", "130", Phase::Start, true, "01/015", false),
        ("3401 02 005", "401", Phase::End, false, "02", true),
    ] {
        let notice = read(&of(&format!("\"ADM-CID\"0007R1L0#12ab[#12ab|{event}]"))).unwrap().remove(0);
        assert_eq!((notice.code.as_str(), notice.phase, notice.late), (code, Some(phase), late));
        assert_eq!((notice.part.as_deref(), notice.subject.is_some()), (Some(part), somebody));
        assert_eq!((notice.at, notice.serial), (None, None), "without a time a number comes again");
    }
}

#[test]
fn what_is_none_says_why() {
    let good = "\"ADM-CID\"0007R1L0#1234[#1234|1130 01 015]";
    for (message, kind) in [
        ("\"*ADM-CID\"0007R1L0#1234[0011223344]", "encrypted"),
        ("\"SIA-DCS\"0007R1L0#1234[#1234|NBA01]", "unsupported"),
        ("\"ADM-CID\"0007R1L0#1234[]", "missing_field"),
        ("\"ADM-CID\"0007R1L0#1234[#1234|1130 01]", "missing_field"),
        ("\"ADM-CID\"0007R1L0#1234[#1234|1130 é 015]", "not_ascii"),
        ("\"ADM-CID\"0007R1L0#1234[#1234|2130 01 015]", "unknown_value"),
        ("\"ADM-CID\"0007R1L0[#1234|1130 01 015]", "no_frame"),
        ("ADM-CID", "no_frame"),
    ] {
        let mut frames = Frames::new();
        frames.feed(&framed(message));
        let error = match frames.next().unwrap() {
            Ok(frame) => read(&frame).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.kind, kind, "{message}");
    }
    let mut frames = Frames::new();
    let frame = String::from_utf8(framed(good)).unwrap();
    frames.feed(frame.replace("015", "016").as_bytes());
    frames.feed(frame.replace("]", "]]").as_bytes());
    frames.feed(format!("\n{}", "x".repeat(100_000)).as_bytes());
    frames.feed(frame.as_bytes());
    let got = all(&mut frames);
    let kinds: Vec<Option<&str>> = got.iter().map(|frame| frame.as_ref().err().copied()).collect();
    assert_eq!(kinds, [Some("bad_checksum"), Some("bad_length"), Some("too_long"), None]);
    assert!(frames.held.len() <= MAX_FRAME);
}
