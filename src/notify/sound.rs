//! A sound from this machine's loudspeaker, played by `aplay`: a file of the school, or a tone of our own.

use super::robot::per_minute;
use super::wording::one_line;
use super::{Means, Message, Notifier, NotifierKind, Occasion, Rate, Told, Verdict};
use crate::config::{Channel, Sound};
use crate::model::Priority;
use std::f64::consts::TAU;
use std::path::Path;
use std::process::Stdio;
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Loudspeakers.
pub const KIND: NotifierKind = NotifierKind {
    name: "sound",
    doc: "本机喇叭播放声音（aplay）。A sound from this machine's loudspeaker, by aplay.",
    example: r#"device = "default"
[channel.files]
critical = "sounds/critical.wav"
"#,
};

/// Samples in a second of our own tones.
const RATE_HZ: u32 = 16_000;
/// Longest words of `aplay` that are read, bytes.
const MAX_WORDS: u64 = 4096;

/// A loudspeaker.
#[derive(Debug)]
pub(super) struct Loudspeaker {
    sound: Sound,
    said: Option<String>,
}

impl Loudspeaker {
    pub(super) fn new(_: &Channel, sound: &Sound, _: &Means) -> Self {
        Self { sound: sound.clone(), said: None }
    }

    async fn play(&mut self, priority: Priority) -> Verdict {
        let mut command = Command::new("aplay");
        command.args(["--quiet", "--file-type=wav"]).arg(format!("--device={}", self.sound.device));
        let file = self.sound.files.get(&priority);
        if let Some(file) = file
            && let Some(why) = not_wav(file).await
        {
            return Verdict::Refused { why };
        }
        match file {
            Some(file) => command.arg("--").arg(file).stdin(Stdio::null()),
            None => command.arg("-").stdin(Stdio::piped()),
        };
        command.stdout(Stdio::null()).stderr(Stdio::piped()).env_clear().kill_on_drop(true);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Verdict::Refused { why: "there is no aplay: install the package alsa-utils".into() };
            }
            Err(error) => return Verdict::Failed { why: format!("aplay cannot be started: {error}") },
        };
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // Where it does not read to the end, its exit code says why.
                stdin.write_all(&tone(priority)).await.ok();
            }
        };
        let hear = async {
            let mut words = Vec::new();
            if let Some(stderr) = stderr {
                stderr.take(MAX_WORDS).read_to_end(&mut words).await.ok();
            }
            words
        };
        let played = tokio::time::timeout(super::OWN_LIMIT, async {
            let ((), words) = tokio::join!(feed, hear);
            (child.wait().await, words)
        });
        match played.await {
            Ok((Ok(status), words)) => {
                let words = one_line(&String::from_utf8_lossy(&words));
                self.said = (!words.is_empty()).then(|| words.clone());
                if status.success() {
                    return Verdict::Accepted;
                }
                let words = super::wording::cut(&words, 200);
                Verdict::Failed { why: format!("aplay ended with {status}: {words}") }
            }
            Ok((Err(error), _)) => Verdict::Failed { why: format!("aplay cannot be waited for: {error}") },
            Err(_) => Verdict::Failed {
                why: format!(
                    "still playing after {} ms, so it was ended: a file must be shorter",
                    super::OWN_LIMIT.as_millis()
                ),
            },
        }
    }
}

/// Why a file cannot be a sound. `aplay` plays whatever it does not know as noise, and says that all is well.
async fn not_wav(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path).await {
        Err(error) => Some(format!("{shown} cannot be played: {error}")),
        // A pipe would have to be waited for.
        Ok(found) if !found.is_file() => None,
        Ok(_) => {
            let mut head = [0; 12];
            let read = match fs::File::open(path).await {
                Ok(mut file) => file.read_exact(&mut head).await.is_ok(),
                Err(_) => false,
            };
            let wav = read && head.starts_with(b"RIFF") && head.ends_with(b"WAVE");
            (!wav).then(|| format!("{shown} is no file in WAV"))
        }
    }
}

/// A tone of two seconds in WAV, of two notes that follow each other the faster the sooner somebody must act.
fn tone(priority: Priority) -> Vec<u8> {
    let (low_hz, high_hz, note_ms) = match priority {
        Priority::Critical => (800.0, 1200.0, 125),
        Priority::High => (700.0, 1000.0, 250),
        Priority::Medium => (600.0, 800.0, 500),
        Priority::Low => (500.0, 500.0, 1000),
    };
    let (samples, per_note) = (2 * RATE_HZ, RATE_HZ * note_ms / 1000);
    let data = samples * 2;
    let mut wav = Vec::new();
    let mut put = |bytes: &[u8]| wav.extend_from_slice(bytes);
    put(b"RIFF");
    put(&(36 + data).to_le_bytes());
    put(b"WAVEfmt ");
    // 16 bytes of format: PCM, one channel, samples and bytes a second, bytes and bits of a sample.
    put(&16_u32.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&RATE_HZ.to_le_bytes());
    put(&(RATE_HZ * 2).to_le_bytes());
    put(&2_u16.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    for n in 0..samples {
        let hz = if (n / per_note).is_multiple_of(2) { low_hz } else { high_hz };
        let height = (TAU * hz * f64::from(n) / f64::from(RATE_HZ)).sin() * 0.9 * f64::from(i16::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "nine tenths of the largest sample at most")]
        let sample = height as i16;
        put(&sample.to_le_bytes());
    }
    wav
}

impl Notifier for Loudspeaker {
    fn rate(&self) -> Rate {
        per_minute(12)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            // That something is over is no reason to call anybody.
            if message.occasion == Occasion::Over {
                return Verdict::Accepted;
            }
            self.play(message.priority).await
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_differ_and_say_how_long_they_are() {
        let all = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low].map(tone);
        for (n, wav) in all.iter().enumerate() {
            assert_eq!(wav.len(), 44 + 4 * 16_000);
            assert_eq!(wav[4..8], u32::try_from(wav.len() - 8).unwrap().to_le_bytes());
            assert_eq!(wav[40..44], u32::try_from(wav.len() - 44).unwrap().to_le_bytes());
            assert!(all.iter().skip(n + 1).all(|other| other != wav));
        }
    }
}
