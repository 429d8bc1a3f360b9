use super::*;

/// 78 bytes that a transmission device sent (v1.1, 2020-10-22 17:13:24).
const GOLDEN: &str = "404000000101180d11160a140000000000000605040302013000020201010300d90006000200a3c1c7f8a3b1b2e3\
                      dfc8b2b8d7dfc0c8000000000000000000000000000000000301213010814682323";

fn unhex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn golden() -> Vec<u8> {
    unhex(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/gb26875/fire.hex"))
            .unwrap(),
    )
}

fn all(frames: &mut Frames) -> Vec<Result<Frame, &'static str>> {
    std::iter::from_fn(|| frames.next()).map(|frame| frame.map_err(|error| error.kind)).collect()
}
