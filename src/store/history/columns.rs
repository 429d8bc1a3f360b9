//! Columns of numbers as bytes: integers and floats that come back bit for bit, from bytes that may be damaged.

use super::Damage;
use pco::ChunkConfig;
use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};

/// Fewer numbers than this are not worth a compressor's tables.
const WORTH_PCO: usize = 16;
/// Powers of ten that decimals are tried with: meters give at most four places.
const TENS: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
/// Their inverses, as a profile's `scale` writes them.
const TENTHS: [f64; 5] = [1.0, 0.1, 0.01, 0.001, 0.000_1];
/// Integers below this are exact as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How integers stand in a column.
const LINE: u8 = 0;
const STEPS: u8 = 1;
const PCO: u8 = 2;

/// How floats stand in a column; decimals add their places.
const WHOLE_F64: u8 = 0;
const WHOLE_F32: u8 = 1;
const DIVIDED: u8 = 0x10;
const MULTIPLIED: u8 = 0x20;
const DIVIDED_F32: u8 = 0x30;

/// Bytes being read: every length is checked against what is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Damage::Shape("it ends too early"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.take(N)?.try_into().map_err(|_| Damage::Shape("it ends too early"))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damage::Shape("a number is too long"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        self.number().map(unfold)
    }

    /// A count, at most `most`: nothing is ever allocated on a damaged file's word alone.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, Damage> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|n| *n <= most)
            .ok_or(Damage::Shape("a count is larger than there can be"))
    }

    pub(super) fn text(&mut self) -> Result<String, Damage> {
        let len = self.count(self.0.len())?;
        String::from_utf8(self.take(len)?.to_vec()).map_err(|_| Damage::Shape("a text is not UTF-8"))
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, u64::try_from(count).unwrap_or(u64::MAX));
}

pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, fold(value));
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Small numbers of either sign become small numbers.
fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unfold(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Writes runs of equal codes; their lengths add up to what the reader expects.
pub(super) fn put_runs(out: &mut Vec<u8>, codes: &[u64]) {
    for run in codes.chunk_by(|a, b| a == b) {
        put_count(out, run.len());
        put_number(out, run.first().copied().unwrap_or(0));
    }
}

pub(super) fn runs(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<u64>, Damage> {
    let mut codes = Vec::with_capacity(count);
    while codes.len() < count {
        let len = bytes.count(count - codes.len())?;
        if len == 0 {
            return Err(Damage::Shape("a run has no length"));
        }
        let code = bytes.number()?;
        codes.resize(codes.len() + len, code);
    }
    Ok(codes)
}

/// Writes integers in the shortest of three ways: a straight line, steps, or compressed.
pub(super) fn put_integers(out: &mut Vec<u8>, values: &[i64]) -> Result<(), Damage> {
    let Some((first, rest)) = values.split_first() else { return Ok(()) };
    let steps = || values.iter().zip(rest).map(|(a, b)| b.wrapping_sub(*a));
    let step = steps().next().unwrap_or(0);
    if steps().all(|s| s == step) {
        out.push(LINE);
        put_signed(out, *first);
        put_signed(out, step);
        return Ok(());
    }
    let mut stepped = Vec::with_capacity(values.len() + 8);
    put_signed(&mut stepped, *first);
    steps().for_each(|s| put_signed(&mut stepped, s));
    if values.len() >= WORTH_PCO {
        let packed = compressed(values)?;
        if packed.len() < stepped.len() {
            out.push(PCO);
            put_count(out, packed.len());
            out.extend_from_slice(&packed);
            return Ok(());
        }
    }
    out.push(STEPS);
    out.extend_from_slice(&stepped);
    Ok(())
}

pub(super) fn integers(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<i64>, Damage> {
    if count == 0 {
        return Ok(Vec::new());
    }
    match bytes.byte()? {
        LINE => {
            let (first, step) = (bytes.signed()?, bytes.signed()?);
            Ok(std::iter::successors(Some(first), |v| Some(v.wrapping_add(step))).take(count).collect())
        }
        STEPS => {
            let mut value = 0_i64;
            (0..count)
                .map(|_| {
                    value = value.wrapping_add(bytes.signed()?);
                    Ok(value)
                })
                .collect()
        }
        PCO => {
            let len = bytes.count(bytes.0.len())?;
            decompressed(bytes.take(len)?, count)
        }
        _ => Err(Damage::Shape("a column of integers is of no known form")),
    }
}

/// Writes floats: as integers where all are decimals of few places, else as they are.
pub(super) fn put_floats(out: &mut Vec<u8>, values: &[f64]) -> Result<(), Damage> {
    if values.is_empty() {
        return Ok(());
    }
    if let Some((form, decimals)) = decimals(values) {
        out.push(form);
        return put_integers(out, &decimals);
    }
    let singles: Option<Vec<f32>> = values.iter().map(|v| single(*v)).collect();
    let (form, packed) = match singles {
        Some(singles) => (WHOLE_F32, compressed(&singles)?),
        None => (WHOLE_F64, compressed(values)?),
    };
    out.push(form);
    put_count(out, packed.len());
    out.extend_from_slice(&packed);
    Ok(())
}

pub(super) fn floats(bytes: &mut Bytes<'_>, count: usize) -> Result<Vec<f64>, Damage> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let form = bytes.byte()?;
    if form > WHOLE_F32 {
        let undo = undo(form).ok_or(Damage::Shape("a column of values is of no known form"))?;
        return Ok(integers(bytes, count)?.into_iter().map(undo).collect());
    }
    let len = bytes.count(bytes.0.len())?;
    let packed = bytes.take(len)?;
    if form == WHOLE_F32 {
        return Ok(decompressed::<f32>(packed, count)?.into_iter().map(f64::from).collect());
    }
    decompressed(packed, count)
}

/// The value as a single float, if it came from one: many meters give such.
#[expect(clippy::cast_possible_truncation, reason = "whether anything was lost is what is asked")]
fn single(value: f64) -> Option<f32> {
    let single = value as f32;
    (f64::from(single).to_bits() == value.to_bits()).then_some(single)
}

/// All values as integers, and the form that gives back every bit of them.
fn decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let forms = [DIVIDED, MULTIPLIED, DIVIDED_F32];
    let places = 0..u8::try_from(TENS.len()).unwrap_or(0);
    places.flat_map(|k| forms.map(|form| form + k)).find_map(|form| {
        let (undo, tens) = (undo(form)?, TENS.get(usize::from(form & 0x0F))?);
        let whole = |v: &f64| -> Option<i64> {
            let scaled = (v * tens).round();
            #[expect(clippy::cast_possible_truncation, reason = "below 2^53")]
            let whole = (scaled.abs() < EXACT).then_some(scaled as i64)?;
            (undo(whole).to_bits() == v.to_bits()).then_some(whole)
        };
        values.iter().map(whole).collect::<Option<Vec<i64>>>().map(|all| (form, all))
    })
}

/// From the integer of a decimal to its value: one division or multiplication, the same on every machine.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "written only where it is exact"
)]
fn undo(form: u8) -> Option<impl Fn(i64) -> f64> {
    let places = usize::from(form & 0x0F);
    let (tens, tenth) = (*TENS.get(places)?, *TENTHS.get(places)?);
    let kind = form & 0xF0;
    matches!(kind, DIVIDED | MULTIPLIED | DIVIDED_F32).then_some(move |n: i64| match kind {
        DIVIDED => n as f64 / tens,
        MULTIPLIED => n as f64 * tenth,
        _ => f64::from((n as f64 / tens) as f32),
    })
}

fn compressed<T: Number>(values: &[T]) -> Result<Vec<u8>, Damage> {
    let file = FileCompressor::default();
    let mut out = file.write_header(Vec::new()).map_err(Damage::Column)?;
    let mut chunk = file.chunk_compressor(values, &ChunkConfig::default()).map_err(Damage::Column)?;
    chunk.write_meta(&mut out).map_err(Damage::Column)?;
    // One page: a chunk holds no more numbers than a page may.
    chunk.write_page(0, &mut out).map_err(Damage::Column)?;
    Ok(out)
}

fn decompressed<T: Number + Default>(bytes: &[u8], count: usize) -> Result<Vec<T>, Damage> {
    let (file, rest) = FileDecompressor::new(bytes).map_err(Damage::Column)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(Damage::Column)?;
    let mut page = chunk.page_decompressor(rest, count).map_err(Damage::Column)?;
    let mut values = vec![T::default(); count];
    let progress = page.read(&mut values).map_err(Damage::Column)?;
    if progress.n_processed != count {
        return Err(Damage::Shape("a column is too short"));
    }
    Ok(values)
}
