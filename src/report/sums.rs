//! How the meters of a set add up, where some of them count what others count already (上级表, 下级表).
//!
//! Of each meter only what those right below it do not count is told apart: these remainders add up to the total by
//! themselves, whatever is within what.

use super::energy::Periods;
use crate::model::{DeviceId, EnergyItem, SubMeters, Wall};
use std::collections::{BTreeMap, BTreeSet};

/// Sub-meters that have so much more than the meter above them, as a share of that, are told of: less may be the meters'
/// own inaccuracy, or that they are not read at the same moment.
const INACCURACY: f64 = 0.01;
/// What is less than that is nothing: it comes of reckoning, kWh.
const NOTHING: f64 = 1e-6;

/// A meter with less than the meters right below it have together.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// Which.
    pub device: DeviceId,
    /// How much more they have, kWh.
    pub kwh: f64,
}

/// What the meters of a set come to together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// What is added, and with −1 what is taken off; of the others it is counted already.
    signs: BTreeMap<DeviceId, f64>,
    /// All together, kWh.
    pub total: f64,
    /// How many meters there are.
    pub meters: usize,
    /// How many of them are not added, because another one of them counts their energy.
    pub within: usize,
    /// Main meters of which nothing is known in the span, unlike of some below them: those count instead.
    pub unknown: usize,
    /// What it was used for, kWh; adds up to the total. `None` is what is not told apart.
    pub items: BTreeMap<Option<EnergyItem>, f64>,
    /// Where sub-meters have more than the meter above them.
    pub over: Vec<Over>,
}

/// A set of meters, of those of which something is known and those that stand for themselves.
struct Set<'s> {
    sub_meters: &'s SubMeters,
    counted: BTreeSet<&'s DeviceId>,
}

impl<'s> Set<'s> {
    /// A meter of which nothing is known does not count for those below it of which something is.
    fn new(meters: &'s BTreeMap<DeviceId, Option<f64>>, sub_meters: &'s SubMeters) -> Self {
        let known = meters.iter().filter(|(_, kwh)| kwh.is_some());
        let above_known: BTreeSet<&DeviceId> =
            known.flat_map(|(meter, _)| sub_meters.above(meter.as_str())).collect();
        let counted = meters.iter().filter(|(meter, kwh)| kwh.is_some() || !above_known.contains(meter));
        Self { sub_meters, counted: counted.map(|(meter, _)| meter).collect() }
    }

    /// The nearest of them that counts the energy of a meter already.
    fn main(&self, meter: &DeviceId) -> Option<&'s DeviceId> {
        self.sub_meters.above(meter.as_str()).find(|main| self.counted.contains(main))
    }
}

impl Sums {
    /// Adds up what each meter of a set counted, kWh, where anything is known; of one item, that alone. A meter without
    /// an item is for the item of the nearest meter above it that has one.
    #[must_use]
    pub fn of(
        meters: &BTreeMap<DeviceId, Option<f64>>,
        sub_meters: &SubMeters,
        item_of: impl Fn(&DeviceId) -> Option<EnergyItem>,
        only: Option<EnergyItem>,
    ) -> Self {
        let item =
            |meter: &DeviceId| item_of(meter).or_else(|| sub_meters.above(meter.as_str()).find_map(&item_of));
        let wanted = |meter: &DeviceId| only.is_none() || item(meter) == only;
        let set = Set::new(meters, sub_meters);
        let mut below: BTreeMap<&DeviceId, f64> = BTreeMap::new();
        for meter in &set.counted {
            if let (Some(main), Some(kwh)) = (set.main(meter), kwh(meters, meter)) {
                *below.entry(main).or_default() += kwh;
            }
        }
        let mut sums = Self::default();
        for (meter, known) in meters {
            let (here, counts, main) = (wanted(meter), set.counted.contains(&meter), set.main(meter));
            sums.meters += usize::from(here);
            sums.unknown += usize::from(here && !counts);
            if !counts {
                continue;
            }
            // Of one item, what a meter of another one above it counts is not that item's.
            let taken = main.is_some_and(wanted);
            sums.within += usize::from(here && taken);
            let own = known.unwrap_or(0.0);
            if here != taken {
                let sign = if here { 1.0 } else { -1.0 };
                sums.signs.insert(meter.clone(), sign);
                sums.total += sign * own;
            }
            if !here {
                continue;
            }
            let rest = own - below.get(meter).copied().unwrap_or(0.0);
            if !below.contains_key(meter) || rest.abs() > NOTHING {
                *sums.items.entry(item(meter)).or_default() += rest;
            }
            if known.is_some() && -rest > (INACCURACY * own.abs()).max(NOTHING) {
                sums.over.push(Over { device: meter.clone(), kwh: -rest });
            }
        }
        sums
    }

    /// The same meters' periods, also those of another span, added up in the same way.
    #[must_use]
    pub fn periods<'r>(&self, rows: impl IntoIterator<Item = (&'r str, &'r [(Wall, f64)])>) -> Periods {
        let mut periods = Periods::new();
        for (meter, rows) in rows {
            let Some(sign) = self.signs.get(meter) else { continue };
            for (start, kwh) in rows {
                *periods.entry(*start).or_default() += sign * kwh;
            }
        }
        periods
    }
}

fn kwh(meters: &BTreeMap<DeviceId, Option<f64>>, meter: &DeviceId) -> Option<f64> {
    meters.get(meter).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use EnergyItem::{Hvac, Lighting};

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    type Items = BTreeMap<DeviceId, EnergyItem>;

    /// `main=100`, `light<main:lighting=30`, `dead<main=?`: meters, the one above each, its item, and what it counted; `-`
    /// where it is not of the set.
    fn school(written: &str) -> (BTreeMap<DeviceId, Option<f64>>, SubMeters, Items) {
        let (mut meters, mut within, mut items) = (BTreeMap::new(), Vec::new(), Items::new());
        for text in written.split_whitespace() {
            let (text, kwh) = text.split_once('=').unwrap();
            let (text, item) = text.split_once(':').unwrap_or((text, ""));
            let (meter, main) = text.split_once('<').unwrap_or((text, ""));
            items
                .extend(EnergyItem::ALL.iter().find(|one| one.as_str() == item).map(|one| (id(meter), *one)));
            within.extend((!main.is_empty()).then(|| (id(meter), id(main))));
            if kwh != "-" {
                meters.insert(id(meter), kwh.parse().ok());
            }
        }
        (meters, within.into_iter().collect(), items)
    }

    fn sums(written: &str, only: Option<EnergyItem>) -> Sums {
        let (meters, sub_meters, items) = school(written);
        Sums::of(&meters, &sub_meters, |meter| items.get(meter).copied(), only)
    }

    struct Case {
        meters: &'static str,
        total: f64,
        /// Meters, of them not added, and main meters of which nothing is known.
        counts: (usize, usize, usize),
        items: &'static [(Option<EnergyItem>, f64)],
        over: &'static [(&'static str, f64)],
    }

    const CASES: &[Case] = &[
        Case { meters: "", total: 0.0, counts: (0, 0, 0), items: &[], over: &[] },
        // A forest: two mains, one of them with three levels.
        Case {
            meters: "a=100 a1<a=40 a2<a=30 a11<a1=15 b=7 b1<b=7",
            total: 107.0,
            counts: (6, 4, 0),
            items: &[(None, 107.0)],
            over: &[],
        },
        // The school's main is in none of the places asked for: what it counts is not theirs.
        Case {
            meters: "main=- a<main=40 b<main=30",
            total: 70.0,
            counts: (2, 0, 0),
            items: &[(None, 70.0)],
            over: &[],
        },
        // One in the middle is not of the set: its own are still within the main.
        Case {
            meters: "main=100 a<main=- a1<a=15",
            total: 100.0,
            counts: (2, 1, 0),
            items: &[(None, 100.0)],
            over: &[],
        },
        // A main without an item: the rest is not told apart.
        Case {
            meters: "main=100 light<main:lighting=30 air<main:hvac=45",
            total: 100.0,
            counts: (3, 2, 0),
            items: &[(None, 25.0), (Some(Lighting), 30.0), (Some(Hvac), 45.0)],
            over: &[],
        },
        // All of it is told apart: nothing is said of no rest.
        Case {
            meters: "main=75 light<main:lighting=30 air<main:hvac=45",
            total: 75.0,
            counts: (3, 2, 0),
            items: &[(Some(Lighting), 30.0), (Some(Hvac), 45.0)],
            over: &[],
        },
        // The same item below, another one below that, and one without, which is the main's.
        Case {
            meters: "air:hvac=100 east<air:hvac=40 lamps<east:lighting=10 pump<air=5",
            total: 100.0,
            counts: (4, 3, 0),
            items: &[(Some(Lighting), 10.0), (Some(Hvac), 90.0)],
            over: &[],
        },
        // More below than above is shown as it is.
        Case {
            meters: "main=100 light<main:lighting=60 air<main:hvac=50",
            total: 100.0,
            counts: (3, 2, 0),
            items: &[(None, -10.0), (Some(Lighting), 60.0), (Some(Hvac), 50.0)],
            over: &[("main", 10.0)],
        },
        // It is told of although another main has a rest that makes up for it.
        Case {
            meters: "a=10 a1<a=13.2 b=100 b1<b=50",
            total: 110.0,
            counts: (4, 2, 0),
            items: &[(None, 110.0)],
            over: &[("a", 3.2)],
        },
        // Within the inaccuracy of meters nothing is told of, and nothing is hidden.
        Case {
            meters: "main=100 air<main:hvac=100.9",
            total: 100.0,
            counts: (2, 1, 0),
            items: &[(None, -0.9), (Some(Hvac), 100.9)],
            over: &[],
        },
        // Nothing is known of the main: those below it count instead, also two steps below.
        Case {
            meters: "main=? a<main=? a1<a=15 b<main=20 c<main=?",
            total: 35.0,
            counts: (5, 0, 2),
            items: &[(None, 35.0)],
            over: &[],
        },
        // A main that was read and did not move is known.
        Case {
            meters: "main=0 a<main=20",
            total: 0.0,
            counts: (2, 1, 0),
            items: &[(None, 0.0)],
            over: &[("main", 20.0)],
        },
        // Nothing is known of any: the main counts in other spans.
        Case { meters: "main=? a<main=?", total: 0.0, counts: (2, 1, 0), items: &[(None, 0.0)], over: &[] },
        // A ring, which the configuration refuses, ends.
        Case { meters: "a<b=5 b<a=5", total: 0.0, counts: (2, 2, 0), items: &[], over: &[] },
    ];

    #[test]
    fn what_a_main_meter_counts_is_counted_once_and_items_add_up_to_the_total() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        for Case { meters, total, counts, items, over } in CASES {
            let found = sums(meters, None);
            assert!(near(found.total, *total), "{meters}: {}", found.total);
            assert_eq!((found.meters, found.within, found.unknown), *counts, "{meters}");
            assert!(near(found.items.values().sum(), found.total), "{meters}: {:?}", found.items);
            assert_eq!(
                found.items.keys().collect::<Vec<_>>(),
                items.iter().map(|(item, _)| item).collect::<Vec<_>>()
            );
            for (item, kwh) in *items {
                assert!(near(*kwh, *found.items.get(item).unwrap()), "{meters}: {:?}", found.items);
            }
            let told: Vec<&str> = found.over.iter().map(|over| over.device.as_str()).collect();
            assert_eq!(told, over.iter().map(|(meter, _)| *meter).collect::<Vec<_>>(), "{meters}");
            assert!(
                found.over.iter().zip(*over).all(|(found, (_, kwh))| near(found.kwh, *kwh)),
                "{:?}",
                found.over
            );
            // Asked for by itself, an item has what it has among all.
            for (item, kwh) in &found.items {
                let alone = sums(meters, *item);
                let wanted = if item.is_some() { *kwh } else { found.total };
                assert!(near(alone.total, wanted), "{meters} {item:?}: {}", alone.total);
                assert!(
                    near(alone.items.values().sum(), alone.total),
                    "{meters} {item:?}: {:?}",
                    alone.items
                );
            }
        }
    }

    #[test]
    fn other_spans_are_added_up_as_this_one_is() {
        let found = sums("main=? a<main=15 b<main=20 c=1", None);
        let rows = |meter: &'static str, kwh: f64| (meter, vec![(Wall(0), kwh), (Wall(9), kwh)]);
        // A year before there was a main meter; it is not compared with what stands in for it now.
        let before = [rows("main", 100.0), rows("a", 10.0), rows("b", 10.0), rows("stranger", 7.0)];
        let added = found.periods(before.iter().map(|(meter, rows)| (*meter, rows.as_slice())));
        assert_eq!(added, Periods::from([(Wall(0), 20.0), (Wall(9), 20.0)]));
        let found = sums("air:hvac=100 lamps<air:lighting=10", Some(Hvac));
        assert_eq!((found.total, found.meters, found.within), (90.0, 1, 0));
        let now = [rows("air", 100.0), rows("lamps", 10.0)];
        let added = found.periods(now.iter().map(|(meter, rows)| (*meter, rows.as_slice())));
        assert_eq!(added.get(&Wall(9)), Some(&90.0));
    }
}
