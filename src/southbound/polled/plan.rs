//! Which registers to ask for together: few requests, no point torn in two, nothing beyond what the device allows.

use crate::profile::{ModbusLimits, RegisterSpan, RegisterTable};
use crate::southbound::modbus::pdu::{MAX_BITS, MAX_REGISTERS};

/// One read, and the points it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which table.
    pub table: RegisterTable,
    /// First register, 0-based.
    pub address: u16,
    /// How many registers; more than the limit only where a single point is longer.
    pub words: u16,
    /// Read at every so many-th poll.
    pub every: u16,
    /// The points wholly inside, by address.
    pub points: Vec<RegisterSpan>,
}

impl Block {
    fn around(point: RegisterSpan) -> Self {
        let RegisterSpan { table, address, words, every } = point;
        Self { table, address, words, every, points: vec![point] }
    }

    /// Takes a point in if the limits allow.
    fn grow(&mut self, point: RegisterSpan, limits: &ModbusLimits) -> bool {
        let end = u32::from(self.address) + u32::from(self.words);
        let from = u32::from(point.address);
        let to = end.max(from + u32::from(point.words));
        let near = from <= end + u32::from(limits.max_gap);
        let words = to - u32::from(self.address);
        let most = if point.table.is_bits() { MAX_BITS } else { limits.max_registers };
        if point.table != self.table || point.every != self.every || !near || words > u32::from(most) {
            return false;
        }
        let Ok(words) = u16::try_from(words) else { return false };
        self.words = words;
        self.points.push(point);
        true
    }

    /// Registers or bits to read once, whatever points they belong to.
    #[must_use]
    pub fn of(table: RegisterTable, address: u16, words: u16) -> Self {
        Self { table, address, words, every: 1, points: Vec::new() }
    }

    /// The same points in two smaller reads; `None` when there is only one point.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (left, right) = self.points.split_at_checked(self.points.len() / 2)?;
        Some((Self::spanning(left)?, Self::spanning(right)?))
    }

    /// Whether a point stands in it.
    pub(super) fn holds(&self, point: &RegisterSpan) -> bool {
        self.points.iter().any(|own| (own.table, own.address) == (point.table, point.address))
    }

    /// Takes in a read that begins where this one ends, if both together are not longer than `longest` nor than any
    /// device allows.
    pub(super) fn join(&mut self, next: &Self, longest: u16) -> bool {
        let most = if self.table.is_bits() { MAX_BITS } else { MAX_REGISTERS };
        let touches = u32::from(self.address) + u32::from(self.words) == u32::from(next.address);
        let words = self.words.saturating_add(next.words);
        if !touches || words > most.min(longest) || (self.table, self.every) != (next.table, next.every) {
            return false;
        }
        self.words = words;
        self.points.extend_from_slice(&next.points);
        true
    }

    fn spanning(points: &[RegisterSpan]) -> Option<Self> {
        let (first, rest) = points.split_first()?;
        let no_limit = ModbusLimits { max_registers: u16::MAX, max_gap: u16::MAX };
        let mut block = Self::around(*first);
        rest.iter().all(|point| block.grow(*point, &no_limit)).then_some(block)
    }
}

/// Merges points into reads. Points without registers are left out; the reads come in order of table and address.
#[must_use]
pub fn plan(points: &[RegisterSpan], limits: &ModbusLimits) -> Vec<Block> {
    let mut sorted: Vec<RegisterSpan> = points.iter().copied().filter(|point| point.words > 0).collect();
    sorted.sort_by_key(|point| (point.table, point.every, point.address, point.words));
    let mut blocks: Vec<Block> = Vec::new();
    for point in sorted {
        let taken = blocks.last_mut().is_some_and(|block| block.grow(point, limits));
        if !taken {
            blocks.push(Block::around(point));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use RegisterTable::{Holding, Input};

    fn at(table: RegisterTable, address: u16, words: u16) -> RegisterSpan {
        RegisterSpan { table, address, words, every: 1 }
    }

    fn limits(max_registers: u16, max_gap: u16) -> ModbusLimits {
        ModbusLimits { max_registers, max_gap }
    }

    #[test]
    fn merges_neighbours_and_bridges_small_gaps_only() {
        let points =
            [at(Input, 6, 2), at(Input, 0, 2), at(Input, 0x46, 2), at(Input, 2, 2), at(Holding, 4, 1)];
        let reads = |max, gap| -> Vec<(u16, u16)> {
            plan(&points, &limits(max, gap)).iter().map(|b| (b.address, b.words)).collect()
        };
        assert_eq!(reads(125, 0), [(4, 1), (0, 4), (6, 2), (0x46, 2)]);
        assert_eq!(reads(125, 2), [(4, 1), (0, 8), (0x46, 2)]);
        assert_eq!(reads(125, 125), [(4, 1), (0, 0x48)]);
        assert_eq!(reads(3, 125), [(4, 1), (0, 2), (2, 2), (6, 2), (0x46, 2)]);
    }

    #[test]
    fn m16_a_point_is_never_torn_not_even_at_the_end_or_when_it_is_long() {
        let end = plan(&[at(Input, 65_535, 1), at(Input, 65_534, 1), at(Input, 65_535, 2)], &limits(125, 0));
        assert_eq!((end[0].address, end[0].words, end[0].points.len()), (65_534, 3, 3));
        let long = plan(&[at(Input, 0, 200), at(Input, 200, 1)], &limits(125, 0));
        assert_eq!(long.len(), 2, "a point is never split");
        assert_eq!(plan(&[at(Input, 0, 0)], &limits(125, 0)), []);
    }

    /// 20,000 random register maps: every point in exactly one block, wholly; no block over the limits.
    #[test]
    fn m16_any_register_map_is_covered_once_every_point_in_one_read() {
        let mut seed = 0x5EED_0001u64;
        let mut draw = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            u16::try_from(seed % below).unwrap()
        };
        for round in 0..20_000 {
            let limits = limits(4 + draw(122), draw(40));
            let count = draw(30);
            let points: Vec<RegisterSpan> = (0..count)
                .map(|_| {
                    let base = if round % 2 == 0 { 0 } else { 65_200 };
                    at(if draw(2) == 0 { Holding } else { Input }, base + draw(330), 1 + draw(4))
                })
                .collect();
            let blocks = plan(&points, &limits);
            let mut covered: Vec<RegisterSpan> = blocks.iter().flat_map(|b| b.points.clone()).collect();
            let mut wanted = points.clone();
            covered.sort_by_key(|p| (p.table, p.address, p.words));
            wanted.sort_by_key(|p| (p.table, p.address, p.words));
            assert_eq!(covered, wanted, "round {round}");
            for block in &blocks {
                assert!(block.words <= limits.max_registers, "round {round}: {block:?}");
                check_shape(block, limits.max_gap);
            }
        }
    }

    fn check_shape(block: &Block, max_gap: u16) {
        let (from, to) = (u32::from(block.address), u32::from(block.address) + u32::from(block.words));
        let mut reach = from;
        for p in &block.points {
            let (a, b) = (u32::from(p.address), u32::from(p.address) + u32::from(p.words));
            assert!(p.table == block.table && a >= from && b <= to, "{p:?} in {block:?}");
            assert!(a <= reach + u32::from(max_gap), "gap before {p:?} in {block:?}");
            reach = reach.max(b);
        }
        assert_eq!(reach, to, "nothing is read behind the last point of {block:?}");
    }

    #[test]
    fn halving_reaches_single_points_in_log2_steps_and_loses_none() {
        let points: Vec<RegisterSpan> = (0..60).map(|i| at(Input, i * 2, 2)).collect();
        let mut blocks = plan(&points, &limits(125, 0));
        assert_eq!(blocks.len(), 1);
        for _ in 0..6 {
            blocks = blocks
                .iter()
                .flat_map(|b| match b.halves() {
                    Some((left, right)) => vec![left, right],
                    None => vec![b.clone()],
                })
                .collect();
        }
        assert!(blocks.iter().all(|b| b.points.len() == 1 && b.halves().is_none()));
        assert_eq!(blocks.iter().flat_map(|b| b.points.clone()).collect::<Vec<_>>(), points);
    }
}
