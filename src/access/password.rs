//! What is taken as a password: a long one that is not among the first to be guessed.

use crate::model::Text;

/// Least characters.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Most characters: a hash takes as long for a page of text as for a word, but nobody types one.
pub const MAX_PASSWORD_CHARS: usize = 128;
/// Least different characters.
const MIN_DIFFERENT: usize = 5;

/// What the commonest passwords are made of, once the digits and signs around them are taken away.
const COMMON: &[&str] = &[
    "abc",
    "abcd",
    "abcdef",
    "abcdefg",
    "abcdefgh",
    "abcdefghi",
    "abcdefghijk",
    "abcdefghijkl",
    "admin",
    "administrator",
    "adminadmin",
    "adminpassword",
    "asdf",
    "asdfgh",
    "asdfghjkl",
    "changeme",
    "chinaedu",
    "default",
    "football",
    "gateway",
    "guest",
    "helloworld",
    "huawei",
    "iloveyou",
    "iloveyouforever",
    "letmein",
    "loveyou",
    "manager",
    "master",
    "mima",
    "mypassword",
    "operator",
    "passw0rd",
    "password",
    "passwordpassword",
    "p@ssw0rd",
    "p@ssword",
    "princess",
    "qazwsx",
    "qazwsxedc",
    "qwer",
    "qwert",
    "qwerty",
    "qwertyuiop",
    "qwertyqwerty",
    "qwertyuiopasdfghjkl",
    "root",
    "rootroot",
    "school",
    "schoolgate",
    "secret",
    "security",
    "student",
    "sunshine",
    "superman",
    "system",
    "teacher",
    "test",
    "testtest",
    "trustno",
    "user",
    "welcome",
    "woaini",
    "woainiyi",
    "woainimama",
    "wodemima",
    "xiaoyuan",
    "xuexiao",
    "yonghu",
    "zaq",
    "zxcvbn",
    "zxcvbnm",
    "qwertyuiopasdf",
];
/// Further ones, digits and all.
const COMMON_WHOLE: &[&str] = &[
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "a1b2c3d4e5f6",
    "abcd1234abcd",
    "abc123abc123",
    "q1w2e3r4t5y6",
    "qwer1234asdf",
    "qwe123qwe123",
    "1234qwerasdf",
    "123qweasdzxc",
    "1qazxsw23edc",
    "zaq12wsxcde3",
    "p@ssw0rdp@ssw0rd",
    "5201314woaini",
    "woaini1314520",
];

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
    let mut different: Vec<char> = small.chars().collect();
    different.sort_unstable();
    different.dedup();
    let common = COMMON.contains(&bare(&small).as_str()) || COMMON_WHOLE.contains(&small.as_str());
    let digits = small.chars().all(|c| !c.is_alphabetic());
    if common || digits || different.len() < MIN_DIFFERENT {
        return Err(Text::new(
            "这是最容易被猜到的密码之一：不要用常见的词加数字，也不要只用数字",
            "this is among the first passwords to be guessed: not a common word with digits, and not digits alone",
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
            ("!!Admin!!!!2026", "zhang"),
            ("123456789012", "zhang"),
            ("13800001111 13800001111", "zhang"),
            ("aaaaaaaaaaaaaa", "zhang"),
            ("1qaz2wsx3edc", "zhang"),
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
