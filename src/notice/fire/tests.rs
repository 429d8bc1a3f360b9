use super::*;

/// 78 bytes of a public capture: version 1.1, 2020-10-22 17:13:24, to 0x010203040506.
const GOLDEN: &str = "404000000101180d11160a140000000000000605040302013000020201010300d90006000200a3c1c7f8a3b1b2e3dfc8b2b8\
                      d7dfc0c8000000000000000000000000000000301213010814682323";

fn golden() -> Vec<u8> {
    let pairs = GOLDEN.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn all(frames: &mut Frames) -> Vec<Result<Frame, &'static str>> {
    std::iter::from_fn(|| frames.next()).map(|frame| frame.map_err(|error| error.kind)).collect()
}

fn frame() -> Frame {
    let mut frames = Frames::new();
    frames.feed(&golden());
    all(&mut frames).remove(0).unwrap()
}

/// The notices of a state of equipment.
fn of_state(state: u16) -> Vec<(String, Phase)> {
    let mut frame = frame();
    frame.data[9..11].copy_from_slice(&state.to_le_bytes());
    read(&frame).unwrap().into_iter().map(|n| (n.code, n.phase.unwrap())).collect()
}

#[test]
fn the_golden_frame_is_a_fire_and_a_test() {
    assert_eq!(golden().len(), 78);
    let frame = frame();
    assert_eq!((frame.serial, frame.version, frame.action), (0, [1, 1], 2));
    assert_eq!(frame.destination, [6, 5, 4, 3, 2, 1]);
    assert_eq!((source(&frame), address(&frame)), ([0; 6], 0));
    assert_eq!(time(frame.time).unwrap().to_string(), "2020-10-22T17:13:24");
    let notices = read(&frame).unwrap();
    let told: Vec<(&str, Option<Phase>)> = notices.iter().map(|n| (n.code.as_str(), n.phase)).collect();
    assert_eq!(told, [("fire", Some(Phase::Start)), ("test", Some(Phase::Start))]);
    for notice in notices {
        assert_eq!(notice.part.as_deref(), Some("1/3/0/393433"));
        assert_eq!(notice.label.as_deref(), Some("Ａ区１层呷哺走廊"));
        assert_eq!(notice.at, Some(At::Local("2020-08-01T19:18:48".parse().unwrap())));
    }
}

#[test]
fn whatever_the_state_says_a_set_fire_bit_is_a_fire() {
    for state in (0..=u16::MAX).filter(|state| state & 2 != 0) {
        assert_eq!(of_state(state).first(), Some(&("fire".to_owned(), Phase::Start)), "{state:016b}");
    }
    for state in (0..=u16::MAX).filter(|state| state & 2 == 0) {
        assert!(!of_state(state).contains(&("fire".to_owned(), Phase::Start)), "{state:016b}");
    }
}

#[test]
fn only_a_state_without_trouble_ends_what_was() {
    assert!(of_state(1).contains(&("fire".to_owned(), Phase::End)));
    assert!(of_state(1 | 1 << 11).contains(&("fault".to_owned(), Phase::End)));
    assert!(!of_state(1 | 1 << 2).contains(&("fire".to_owned(), Phase::End)));
    assert!(!of_state(0).iter().any(|(_, phase)| *phase == Phase::End));
}

#[test]
fn frames_are_found_however_the_stream_is_cut_and_whatever_stands_between() {
    let mut broken = golden();
    broken[30] ^= 1;
    let stream = [b"noise@".as_slice(), &golden(), &broken, b"@", &golden(), &golden()].concat();
    for size in [1, 2, 3, 77, 78, 79, 1000] {
        let mut frames = Frames::new();
        let mut got = Vec::new();
        for piece in stream.chunks(size) {
            frames.feed(piece);
            got.extend(all(&mut frames));
            assert!(frames.held.len() < HEAD + MAX_DATA + TAIL);
        }
        let kinds: Vec<Option<&str>> = got.iter().map(|frame| frame.as_ref().err().copied()).collect();
        assert_eq!(kinds, [Some("no_frame"), None, Some("bad_checksum"), None, None], "pieces of {size}");
    }
}

#[test]
fn an_endless_length_holds_nothing_up() {
    let mut frames = Frames::new();
    let mut long = golden();
    long[24..26].copy_from_slice(&u16::MAX.to_le_bytes());
    frames.feed(&long);
    frames.feed(&golden());
    let got = all(&mut frames);
    assert_eq!(got.first(), Some(&Err("too_long")));
    assert_eq!(got.last(), Some(&Ok(frame())));
    for _ in 0..1000 {
        frames.feed(b"@@ and so on, for ever and ever");
        assert!(frames.held.len() < HEAD + MAX_DATA + TAIL);
        let _told = all(&mut frames);
    }
}

#[test]
fn counts_are_not_believed() {
    let mut frame = frame();
    for count in [0, 1, 2, 255] {
        frame.data[1] = count;
        assert_eq!(read(&frame).unwrap().len(), 2, "{count}");
    }
    let object = frame.data[2..].to_vec();
    frame.data.extend(&object);
    frame.data.extend(&object[..20]);
    frame.data[1] = 0;
    assert_eq!(read(&frame).unwrap().len(), 4);
    for data in [vec![], vec![2], vec![2, 0], vec![2, 1, 1], vec![21, 255]] {
        assert_eq!(read(&Frame { data, ..frame.clone() }).unwrap_err().kind, "cut_off");
    }
}

#[test]
fn what_was_sent_again_has_the_same_number_and_a_lost_clock_gives_none() {
    let frame = frame();
    assert_eq!(read(&frame).unwrap()[0].serial.as_deref(), Some("0/0"));
    let mut lost = frame.clone();
    let year = lost.data.len() - 1;
    lost.data[year] = 0;
    assert!(read(&lost).unwrap().iter().all(|notice| notice.serial.is_none() && notice.at.is_some()));
    lost.data[year] = 0xFF;
    lost.data[year - 1] = 13;
    assert!(read(&lost).unwrap().iter().all(|notice| notice.serial.is_none() && notice.at.is_none()));
}

#[test]
fn the_acknowledgement_is_a_frame_back_to_the_sender() {
    let asked = Frame { serial: 0x1234, source: [1, 2, 3, 4, 5, 6], ..frame() };
    let mut frames = Frames::new();
    frames.feed(&acknowledge(&asked));
    let answer = all(&mut frames).remove(0).unwrap();
    assert_eq!((answer.serial, answer.action, answer.data.len()), (0x1234, 3, 0));
    assert_eq!((answer.source, answer.destination), (asked.destination, asked.source));
    assert_eq!(address(&asked), 0x0605_0403_0201);
    assert_eq!(read(&answer), Ok(Vec::new()));
    assert!(asked.wants_answer() && !answer.wants_answer());
}

#[test]
fn an_analog_value_is_an_amount_with_a_sign() {
    let mut frame = frame();
    frame.data = vec![3, 1, 1, 3, 92, 1, 0, 0, 0, 3];
    frame.data.extend((-55_i16).to_le_bytes());
    frame.data.extend([0x30, 0x12, 0x13, 1, 8, 0x14]);
    let notices = read(&frame).unwrap();
    assert_eq!(notices[0].amounts, [Amount { name: "temperature_c".to_owned(), value: -5.5 }]);
    frame.data[9] = 99;
    assert_eq!(read(&frame).unwrap()[0].amounts, []);
}
