//! Requests of the specification's examples, and answers with any byte wrong.

use super::*;
use RegisterTable::{Coil, Discrete, Holding, Input};

fn asked() -> Request {
    Request::read(Holding, 0x006B, 3).unwrap()
}

fn written(table: RegisterTable, address: u16, words: &[u16], multiple: bool) -> Request {
    Request::write(&Write { table, address, words: words.to_vec(), multiple }).unwrap()
}

#[test]
fn encodes_the_examples_of_the_specification() {
    // V1.1b3, sections 6.1 to 6.6, 6.11, 6.12 and 6.21.
    let bits = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0];
    for (request, bytes) in [
        (Request::read(Coil, 0x13, 0x13).unwrap(), vec![1, 0, 0x13, 0, 0x13]),
        (Request::read(Discrete, 0xC4, 0x16).unwrap(), vec![2, 0, 0xC4, 0, 0x16]),
        (asked(), vec![3, 0, 0x6B, 0, 3]),
        (Request::read(Input, 8, 1).unwrap(), vec![4, 0, 8, 0, 1]),
        (written(Coil, 0xAC, &[1], false), vec![5, 0, 0xAC, 0xFF, 0]),
        (written(Coil, 0xAC, &[0], false), vec![5, 0, 0xAC, 0, 0]),
        (written(Holding, 1, &[3], false), vec![6, 0, 1, 0, 3]),
        (written(Coil, 0x13, &bits, false), vec![15, 0, 0x13, 0, 0x0A, 2, 0xCD, 1]),
        (written(Holding, 1, &[0x0A, 0x102], false), vec![16, 0, 1, 0, 2, 4, 0, 0x0A, 1, 2]),
        (written(Holding, 1, &[7], true), vec![16, 0, 1, 0, 1, 2, 0, 7]),
        (Request::identify(0), vec![0x2B, 0x0E, 1, 0]),
    ] {
        assert_eq!(request.bytes(), bytes);
    }
}

#[test]
fn impossible_requests_are_refused() {
    for (table, address, quantity) in [
        (Holding, 0, 0),
        (Input, 0, 126),
        (Coil, 0, 2001),
        (Discrete, 65_535, 2),
        (Holding, 65_500, 125),
        (Coil, 0, u16::MAX),
    ] {
        assert!(matches!(Request::read(table, address, quantity), Err(ReadError::NoSuchRead { .. })));
    }
    for (table, address, count) in [
        (Holding, 0, 0),
        (Holding, 0, 124),
        (Coil, 0, 1969),
        (Coil, 65_535, 2),
        (Input, 0, 1),
        (Discrete, 0, 1),
        (Holding, 0, 70_000),
    ] {
        let write = Write { table, address, words: vec![0; count], multiple: false };
        assert!(matches!(Request::write(&write), Err(ReadError::NoSuchWrite { .. })), "{table:?} {count}");
    }
}

#[test]
fn m05_takes_only_the_reply_that_fits() {
    let good = [3, 6, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64];
    assert_eq!(asked().judge(&good), Ok(Answer::Words(vec![0x022B, 0, 0x64])));
    let malformed: &[(&[u8], &str)] = &[
        (&[], "no data"),
        (&[3], "no data"),
        (&[4, 6, 0, 0, 0, 0, 0, 0], "function 4 answers function 3"),
        (&[0x84, 2], "function 132 answers function 3"),
        (&[0x83], "no data"),
        (&[0x83, 2, 2], "1 byte of data"),
        (&[3, 4, 0, 0, 0, 0], "3 registers are 6 bytes; the reply says 4 and holds 4"),
        (&[3, 6, 0, 0, 0, 0], "says 6 and holds 4"),
        (&[3, 6, 0, 0, 0, 0, 0], "says 6 and holds 5"),
        (&[3, 6, 0, 0, 0, 0, 0, 0, 0], "says 6 and holds 7"),
        (&[3, 255, 0, 0, 0, 0, 0, 0], "says 255"),
    ];
    for (pdu, why) in malformed {
        match asked().judge(pdu) {
            Err(Verdict::Malformed(text)) => assert!(text.contains(why), "{pdu:?}: {text}"),
            other => panic!("{pdu:?} gave {other:?}"),
        }
    }
    assert_eq!(asked().judge(&[0x83, 2]), Err(Verdict::Exception(Exception::IllegalAddress)));
    assert_eq!(asked().judge(&[3, 0, 0x6B, 0, 3]), Err(Verdict::Echo));
}

#[test]
fn bits_come_lowest_first_and_exactly_as_many_as_asked() {
    // V1.1b3, section 6.1: coils 20 to 38 are CD 6B 05.
    let request = Request::read(Coil, 0x13, 0x13).unwrap();
    let expected = vec![1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1];
    assert_eq!(request.judge(&[1, 3, 0xCD, 0x6B, 0x05]), Ok(Answer::Words(expected)));
    for wrong in [&[1, 2, 0xCD, 0x6B][..], &[1, 3, 0xCD, 0x6B], &[1, 4, 0, 0, 0, 0], &[2, 3, 0, 0, 0]] {
        assert!(matches!(request.judge(wrong), Err(Verdict::Malformed(_))), "{wrong:?}");
    }
    // Three bytes of bits make an answer as long as the request: it is still an echo.
    let request = Request::read(Coil, 0x0300, 20).unwrap();
    assert_eq!(request.judge(&[1, 3, 0, 0, 20]), Err(Verdict::Echo));
}

#[test]
fn a_write_is_done_only_when_the_answer_repeats_it() {
    let single = written(Coil, 0xAC, &[1], false);
    assert_eq!(single.judge(&[5, 0, 0xAC, 0xFF, 0]), Ok(Answer::Written));
    let several = written(Holding, 1, &[0x0A, 0x102], false);
    assert_eq!(several.judge(&[16, 0, 1, 0, 2]), Ok(Answer::Written));
    assert_eq!(several.judge(several.bytes()), Err(Verdict::Echo));
    for wrong in
        [&[5, 0, 0xAC, 0, 0][..], &[5, 0, 0xAD, 0xFF, 0], &[5, 0, 0xAC, 0xFF], &[6, 0, 0xAC, 0xFF, 0]]
    {
        assert!(matches!(single.judge(wrong), Err(Verdict::Malformed(_))), "{wrong:?}");
    }
    assert!(matches!(several.judge(&[16, 0, 1, 0, 1]), Err(Verdict::Malformed(_))));
    assert_eq!(single.judge(&[0x85, 4]), Err(Verdict::Exception(Exception::DeviceFailure)));
}

#[test]
fn an_identification_is_read_whole_or_not_at_all() {
    let mut reply = vec![0x2B, 0x0E, 1, 1, 0, 0, 3];
    for (id, text) in [(0, "Acme"), (1, "M\u{fc}ller 7 "), (2, "V1.0\0")] {
        reply.extend([id, u8::try_from(text.len()).unwrap()]);
        reply.extend(text.bytes());
    }
    let request = Request::identify(0);
    let objects = vec![(0, "Acme".into()), (1, "Müller 7".into()), (2, "V1.0".into())];
    assert_eq!(request.judge(&reply), Ok(Answer::Objects(objects, None)));
    for cut in 2..reply.len() {
        assert_eq!(
            request.length(&reply[..cut]),
            if cut < reply.len() - 5 { Length::Later } else { Length::Is(reply.len()) }
        );
        assert!(matches!(request.judge(&reply[..cut]), Err(Verdict::Malformed(_))), "{cut} bytes");
    }
    (reply[4], reply[5]) = (0xFF, 3);
    assert!(matches!(request.judge(&reply), Ok(Answer::Objects(_, Some(3)))));
    reply[6] = 200;
    assert!(matches!(request.judge(&reply), Err(Verdict::Malformed(_))));
    assert_eq!(request.length(&[0x2B, 0x0D]), Length::Never);
    assert_eq!(request.length(&[0x2B, 0x0E, 1, 1, 0, 0, 1, 0, 255]), Length::Never);
    assert_eq!(request.judge(&[0xAB, 1]), Err(Verdict::Exception(Exception::IllegalFunction)));
}
