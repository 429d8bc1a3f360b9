//! Random lives of a counter, with restarts of the gateway, against the energy that went through.

use super::*;
use crate::model::Unit;

const PERIOD_MS: i64 = 900_000;
const T0: Wall = Wall(1_790_000_100_000);
const POLLS: usize = 60;
const WRAP: f64 = 1_000_000.0;

/// xorshift64*, so that a history can be played again.
struct Dice(u64);

impl Dice {
    /// A number below `n`.
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        u32::try_from((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % u64::from(n)).unwrap()
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

/// A meter and who reads it, now and then.
struct Life {
    dice: Dice,
    nature: Nature,
    at: Wall,
    /// What the meter shows.
    count: f64,
    /// What must have been counted between readings of the same count.
    owed: f64,
    aggregates: Aggregates,
    stored: Vec<(Stamp, Reading)>,
    given: BTreeMap<Wall, RollUp>,
    anew: usize,
    slips: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let wrap = dice.one_in(2).then_some(WRAP);
        let most_per_hour = (!dice.one_in(3)).then_some(6000.0);
        let count = f64::from(dice.below(1_000_000));
        Self {
            dice,
            nature: Nature { wrap, most_per_hour },
            at: T0,
            count,
            owed: 0.0,
            aggregates: Aggregates::new(900),
            stored: Vec::new(),
            given: BTreeMap::new(),
            anew: 0,
            slips: 0,
        }
    }

    /// So much time passes; the meter runs at 6,000 counts an hour at most.
    fn pass(&mut self, secs: u32) -> f64 {
        self.at = self.at.plus_ms(i64::from(secs) * 1000);
        let grown = f64::from(self.dice.below(secs * 6000 / 3600 + 1));
        self.count += grown;
        if self.nature.wrap.is_some() && self.count >= WRAP {
            self.count -= WRAP;
        }
        grown
    }

    fn pause(&mut self) -> u32 {
        // A third of a day is longer than a restart looks back at roll-ups.
        match self.dice.below(20) {
            0 => 30_000 + self.dice.below(60_000),
            _ => 10 + self.dice.below(500),
        }
    }

    fn read(&mut self, value: f64) -> Option<Counted> {
        let point = PointId::new("energy_import").unwrap();
        let reading = Reading::new(point, value, Unit::KilowattHour, PointKind::Counter);
        let stamp = Stamp::new(None, self.at);
        let counted = self.aggregates.add(&device(), &stamp, &reading, self.nature);
        let reading = match counted {
            Some(Counted::Odd(doubt)) => reading.doubted(doubt),
            _ => reading,
        };
        self.stored.push((stamp, reading));
        for roll_up in self.aggregates.close(self.at) {
            self.given.insert(roll_up.start, roll_up);
        }
        counted
    }

    /// As the store's recall does it.
    fn restart(&mut self) {
        let newest = self.at;
        let roll_ups_from = newest.plus_ms(-REVISABLE_SPAN * PERIOD_MS).period_start(PERIOD_MS);
        let readings_from = newest.plus_ms(-2 * PERIOD_MS - crate::model::time::MAX_AHEAD_MS);
        self.aggregates = Aggregates::new(900);
        self.aggregates.remember_from(roll_ups_from, readings_from);
        for (start, roll_up) in &self.given {
            if *start < roll_ups_from {
                let (device, point) = (device(), roll_up.point.clone());
                let standing = Standing { device, point, start: *start, last: roll_up.last };
                self.aggregates.restore_counter(&standing);
            } else {
                self.aggregates.restore(roll_up);
            }
        }
        for (stamp, reading) in self.stored.iter().filter(|(stamp, _)| stamp.gateway >= readings_from) {
            self.aggregates.replay(&device(), stamp, reading, self.nature);
        }
    }

    /// A value no counter can come to from this one in the time of three readings.
    fn impossible(&mut self) -> Option<f64> {
        let reach = 3000.0;
        let far = if self.nature.most_per_hour.is_some() && self.dice.one_in(2) {
            self.count + reach + f64::from(self.dice.below(1_000_000))
        } else {
            self.count - reach - f64::from(self.dice.below(400_000))
        };
        let range = if self.nature.wrap.is_some() { 0.0..WRAP - reach } else { 0.0..f64::INFINITY };
        // Neither may it pass for a wrap, nor the true value for one that goes on from it.
        let wraps = self.nature.wrap.is_some() && WRAP - self.count + far < WRAP / 2.0 + reach;
        (range.contains(&far) && !wraps && self.count < WRAP - reach).then_some(far)
    }

    fn play(&mut self) {
        self.read(self.count);
        let mut calm = 0;
        for _ in 0..POLLS {
            let secs = self.pause();
            let grown = self.pass(secs);
            self.owed += grown;
            let strange =
                (calm > 3 && secs < 600 && self.dice.one_in(4)).then(|| self.impossible()).flatten();
            match strange {
                // One wrong value: what went through meanwhile is in the next.
                Some(value) if self.dice.one_in(2) => {
                    assert!(matches!(self.read(value), Some(Counted::Odd(_))), "{value}, {}", self.count);
                    (self.slips, calm) = (self.slips + 1, 0);
                }
                // Another meter, or the same one set back: what went through since the last reading is known to
                // nobody.
                Some(value) => {
                    self.owed -= grown;
                    self.count = value;
                    assert!(matches!(self.read(value), Some(Counted::Odd(_))), "{value}");
                    (self.anew, calm) = (self.anew + 1, 0);
                    if self.dice.one_in(4) {
                        self.restart();
                    }
                    let secs = 10 + self.dice.below(500);
                    self.owed += self.pass(secs);
                    let counted = self.read(self.count);
                    assert!(matches!(counted, Some(Counted::Anew { to, .. }) if to == value), "{counted:?}");
                }
                None => {
                    let counted = self.read(self.count);
                    assert!(matches!(counted, Some(Counted::Grown(grown)) if grown >= 0.0), "{counted:?}");
                    calm += 1;
                }
            }
            if self.dice.one_in(8) {
                self.restart();
            }
        }
        self.owed += self.pass(60);
        self.read(self.count);
        self.at = self.at.plus_ms(3 * PERIOD_MS);
        for roll_up in self.aggregates.close(self.at) {
            self.given.insert(roll_up.start, roll_up);
        }
    }
}

fn device() -> DeviceId {
    DeviceId::new("meter").unwrap()
}

#[test]
fn m15_ten_thousand_histories_of_a_counter_conserve_the_energy_to_one_count() {
    let (mut anew, mut slips) = (0, 0);
    for seed in 0..10_000 {
        let mut life = Life::new(seed);
        life.play();
        assert!(life.given.values().all(|r| r.delta.is_some_and(|delta| delta >= 0.0)), "seed {seed}");
        let counted: f64 = life.given.values().filter_map(|r| r.delta).sum();
        assert!((counted - life.owed).abs() < 1.0, "seed {seed}: {counted} counted, {} went", life.owed);
        (anew, slips) = (anew + life.anew, slips + life.slips);
    }
    assert!(anew > 10_000 && slips > 10_000, "{anew} exchanges, {slips} slips");
}
