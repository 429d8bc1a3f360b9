//! How wide text is in the two fonts of a page, and where its lines break.

/// Widths of the ASCII characters from blank to tilde in Helvetica, thousandths of its size (Adobe Core 14 metrics).
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // blank to slash
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584,
    556, // digits to question mark
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to underscore
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // grave to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p to tilde
];

/// What may not begin a line.
const NEVER_FIRST: &str = "，。、；：？！）】》」』”’%,.;:?!)]}…";

/// Whether a character is set in Helvetica; every other is set in the Chinese font.
pub(super) fn is_latin(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// Width of a character, thousandths of the size of its font.
fn width_of(c: char) -> u32 {
    let latin = u32::from(c).checked_sub(0x20).and_then(|n| HELVETICA.get(usize::try_from(n).ok()?));
    latin.map_or(1000, |width| u32::from(*width))
}

/// Width of a text of this size, points.
pub(super) fn width(text: &str, size: f32) -> f32 {
    points(text.chars().map(width_of).sum(), size)
}

#[expect(clippy::cast_precision_loss, reason = "lines are far shorter than 2^24 thousandths")]
fn points(thousandths: u32, size: f32) -> f32 {
    thousandths as f32 / 1000.0 * size
}

/// Breaks a text into lines no wider than so many points. Chinese breaks anywhere but before closing marks; a Latin word
/// only where it is wider than a whole line.
pub(super) fn lines(text: &str, size: f32, widest: f32) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let clean: String = paragraph.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = String::new();
        for piece in pieces(&clean) {
            if line.is_empty() || width(&line, size) + width(piece.trim_end(), size) <= widest {
                line.push_str(piece);
            } else {
                lines.push(std::mem::replace(&mut line, piece.trim_start().to_owned()));
            }
            // A word that no line can hold is cut.
            while width(line.trim_end(), size) > widest && line.chars().count() > 1 {
                let cut = fitting(&line, size, widest);
                let rest = line.split_off(cut);
                lines.push(std::mem::replace(&mut line, rest));
            }
        }
        lines.push(line);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Where a line is cut: behind as many characters as fit, and one at least.
fn fitting(line: &str, size: f32, widest: f32) -> usize {
    let mut sum = 0;
    let mut cut = 0;
    for (at, c) in line.char_indices() {
        sum += width_of(c);
        if at > 0 && points(sum, size) > widest {
            break;
        }
        cut = at + c.len_utf8();
    }
    cut
}

/// What may not be broken: a Latin word with the blanks behind it, or one other character with the closing marks behind
/// it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut before: Option<char> = None;
        let end = rest.char_indices().find(|(_, c)| {
            let breaks = before.is_some_and(|before| breaks(before, *c));
            before = Some(*c);
            breaks
        });
        let (piece, behind) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Whether a line may break between two characters.
fn breaks(before: char, behind: char) -> bool {
    if behind == ' ' || NEVER_FIRST.contains(behind) {
        return false;
    }
    before == ' ' || !is_latin(before) || !is_latin(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_all_of_the_text_and_are_no_wider_than_they_may() {
        let texts = [
            "",
            "门卫",
            "实验楼三层化学准备室温度过高，已持续两小时。请立即查看！",
            "the quick brown fox jumps over the lazy dog",
            "https://example.invalid/averyveryveryverylongpathwithoutanyblank/and/more",
            "设备 gw-1.meter-17 无应答（timeout），见 docs/alarms.md。",
            "一\n二\n\n三",
        ];
        for text in texts {
            for widest in [12.0, 40.0, 97.0, 400.0] {
                let broken = lines(text, 9.0, widest);
                let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert_eq!(squeezed(&broken.concat()), squeezed(text));
                for line in &broken {
                    let fits = width(line, 9.0) <= widest || line.chars().count() <= 1;
                    // A closing mark hangs on what stands before it where nothing else fits.
                    assert!(fits || widest < 20.0, "{line:?} {widest}");
                }
            }
        }
        assert_eq!(lines("a\nb", 9.0, 100.0), ["a", "b"]);
        assert_eq!(lines("温度过高，请查看", 10.0, 40.0), ["温度过", "高，请查", "看"]);
        assert_eq!(lines("two words", 10.0, 30.0), ["two", "words"]);
    }
}
