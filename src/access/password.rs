//! What is taken as a password: a long one that is not among the first to be guessed.
//!
//! zxcvbn judges it by lists of common passwords (30,000), words and names, by keyboard walks, repeats and dates
//! (Wheeler, USENIX Security 2016); it asks for ten to the tenth guesses at least.

use crate::model::Text;
use zxcvbn::{Score, zxcvbn};

/// Least characters.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Most characters: a hash takes as long for a page of text as for a word, but nobody types one.
pub const MAX_PASSWORD_CHARS: usize = 128;
/// What anybody would try at a school's gateway.
const NEAR: [&str; 8] =
    ["schoolgate", "xiaomen", "xuexiao", "xiaoyuan", "laoshi", "guanliyuan", "mima", "wodemima"];

/// Whether somebody of this name may have this password.
///
/// # Errors
/// What is wrong with it.
pub fn check(password: &str, name: &str) -> Result<(), Text> {
    let chars = password.chars().count();
    if chars < MIN_PASSWORD_CHARS {
        let (zh, en) = (
            format!("密码太短：至少 {MIN_PASSWORD_CHARS} 个字符，可以是一句话"),
            format!(
                "the password is too short: at least {MIN_PASSWORD_CHARS} characters; a sentence will do"
            ),
        );
        return Err(Text::new(zh, en));
    }
    if chars > MAX_PASSWORD_CHARS {
        let (zh, en) = (
            format!("密码太长：最多 {MAX_PASSWORD_CHARS} 个字符"),
            format!("the password is too long: at most {MAX_PASSWORD_CHARS} characters"),
        );
        return Err(Text::new(zh, en));
    }
    let small = password.to_lowercase();
    let name = name.trim().to_lowercase();
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphabetic()).to_owned();
    if !name.is_empty()
        && (small.trim() == name || bare(&small) == bare(&name) || small.replace(&name, "").is_empty())
    {
        return Err(Text::new("密码不能是账号名", "the password must not be the name of the account"));
    }
    let digits = small.chars().all(|c| !c.is_alphabetic());
    let near: Vec<&str> = NEAR.iter().copied().chain([name.as_str()]).collect();
    if digits || zxcvbn(password, &near).score() < Score::Four {
        return Err(Text::new(
            "这个密码容易被猜到：不要用常见的词加数字、键盘上相邻的键或重复的字，也不要只用数字；几个不相干的词连起来就好",
            "this password is soon guessed: not common words with digits, neighbouring keys or repeats, and not digits alone; a few words that have nothing to do with each other will do",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_guesses_are_refused_and_sentences_are_taken() {
        for (password, name) in [
            ("short", "zhang"),
            ("elevenchars", "zhang"),
            ("password1234", "zhang"),
            ("Password@2026", "zhang"),
            ("123456789012", "zhang"),
            ("13800001111 13800001111", "zhang"),
            ("aaaaaaaaaaaaaa", "zhang"),
            ("1qaz2wsx3edc", "zhang"),
            ("qwertyuiopasdf", "zhang"),
            ("abcd1234abcd", "zhang"),
            ("a1b2c3d4e5f6", "zhang"),
            ("qwer1234asdf", "zhang"),
            ("123qweasdzxc", "zhang"),
            ("p@ssw0rdp@ssw0rd", "zhang"),
            ("woaini1314520", "zhang"),
            ("5201314woaini", "zhang"),
            ("Schoolgate2026!", "zhang"),
            ("iloveyouforever", "zhang"),
            ("wodemima2026", "zhang"),
            ("administrator1", "zhang"),
            ("Zhang-Dawei-Laoshi", "zhang-dawei-laoshi"),
            ("zhangdawei2026!", "zhangdawei"),
            ("zhangweizhangwei", "zhangwei"),
            ("我我我我我我我我我我我我", "zhang"),
        ] {
            assert!(check(password, name).is_err(), "{password}");
        }
        assert!(check(&"长句".repeat(65), "zhang").is_err());
        for password in
            ["门口的桂花八月开放今年很香", "correct horse battery", "tr0ub4dor-and-3-cats", "aV9#kQ2!mZ7p"]
        {
            assert_eq!(check(password, "zhang"), Ok(()), "{password}");
        }
    }
}
