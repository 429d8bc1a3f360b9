//! How long to wait before the next try: doubling with full jitter, a cap, and no clock of its own.

use std::time::Duration;

/// A doubling pause. Each [`Backoff::pause`] draws evenly from half to all of the current span (so that hundreds
/// of peers do not come back in the same second), then doubles the span up to the cap.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    span: Duration,
    seed: u64,
}

impl Backoff {
    /// Starts at `first`, never exceeds `cap`. `seed` makes the jitter repeatable in tests.
    #[must_use]
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, span: first, seed: seed | 1 }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        // xorshift64*: good enough to spread retries, and repeatable.
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        let draw = self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        #[expect(clippy::cast_precision_loss, reason = "24 bits are exact in f64")]
        let share = 0.5 + 0.5 * (draw as f64) / f64::from(1u32 << 24);
        let pause = self.span.mul_f64(share);
        self.span = (self.span * 2).min(self.cap);
        pause
    }

    /// Back to the first span, after a success.
    pub fn reset(&mut self) {
        self.span = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_with_jitter_and_resets() {
        let (first, cap) = (Duration::from_secs(1), Duration::from_secs(300));
        let mut backoff = Backoff::new(first, cap, 7);
        let mut span = first;
        for _ in 0..20 {
            let pause = backoff.pause();
            assert!(pause >= span / 2 && pause <= span, "{pause:?} of {span:?}");
            span = (span * 2).min(cap);
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
        assert_ne!(Backoff::new(cap, cap, 1).pause(), Backoff::new(cap, cap, 99).pause());
    }
}
