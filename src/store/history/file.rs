//! A file of sealed readings: a chunk per device, an index, a footer; written once, whole or not at all.
//!
//! ```text
//! header   8 bytes   "SGATHIS" and the version
//! chunks             one per device, one behind the other
//! index              per chunk: device, readings, numbers, times, length, first 16 bytes of its SHA-256
//! footer 104 bytes   place and shape of all this, SHA-256 of header, index and footer, 8 bytes "SGATEND" and version
//! ```
//! Every byte is covered by a digest or compared with what it must be, so a flipped bit anywhere is found.

use super::columns::{Bytes, put_number, put_signed, put_text};
use super::disk::{Disk, Growing, Place};
use super::{Chunk, Damage, SEAL_MOST, Sealed, SeriesName};
use crate::museum;
use crate::store::StoreError;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file begins with: a name and the version of its form.
const HEADER: [u8; 8] = *b"SGATHIS\x01";
/// What it ends with.
const END: [u8; 8] = *b"SGATEND\x01";
/// Eight numbers, a digest and the end.
const FOOTER: usize = 8 * 8 + 32 + 8;
/// Longest index: far more than a file of [`SEAL_MOST`] readings can need.
const MOST_INDEX: u64 = 64 * 1024 * 1024;
/// Ending of a file that is still being written.
pub(super) const UNFINISHED: &str = ".tmp";
/// Ending of a sealed file.
pub(super) const ENDING: &str = ".sgh";

/// Where one device's readings stand in a file, and what can be known without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Whose.
    pub device: String,
    /// How many.
    pub readings: u64,
    /// Number of the first.
    pub first_seq: i64,
    /// Number of the last.
    pub last_seq: i64,
    /// Earliest time one is reckoned with, milliseconds.
    pub first_at: i64,
    /// Latest such time, milliseconds.
    pub last_at: i64,
    offset: u64,
    len: u64,
    digest: [u8; 16],
}

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Footer {
    index_at: u64,
    index_len: u64,
    chunks: u64,
    readings: u64,
    first_seq: i64,
    last_seq: i64,
    first_at: i64,
    last_at: i64,
}

impl Footer {
    /// The numbers as bytes, then the digest over header, index and these numbers, then the end.
    fn bytes(self, index: &[u8]) -> (Vec<u8>, [u8; 32]) {
        let mut out = Vec::with_capacity(FOOTER);
        for number in [self.index_at, self.index_len, self.chunks, self.readings] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.first_seq, self.last_seq, self.first_at, self.last_at] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let digest = Sha256::new().chain_update(HEADER).chain_update(index).chain_update(&out).finalize();
        out.extend_from_slice(&digest);
        out.extend_from_slice(&END);
        (out, digest.into())
    }

    fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut bytes = Bytes(bytes);
        let mut number = || bytes.array::<8>().map(u64::from_le_bytes);
        Ok(Self {
            index_at: number()?,
            index_len: number()?,
            chunks: number()?,
            readings: number()?,
            first_seq: number()?.cast_signed(),
            last_seq: number()?.cast_signed(),
            first_at: number()?.cast_signed(),
            last_at: number()?.cast_signed(),
        })
    }
}

fn chunk_digest(bytes: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(bytes);
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    half
}

/// The name of a file that holds these readings.
pub(super) fn file_name(first_seq: i64, last_seq: i64) -> String {
    format!("{first_seq:012}-{last_seq:012}{ENDING}")
}

/// A file being written, under a name that says it is not finished.
#[derive(Debug)]
pub(super) struct Writer {
    out: BufWriter<Growing>,
    directory: PathBuf,
    places: Vec<ChunkPlace>,
    offset: u64,
}

impl Writer {
    /// Begins a file in the history directory of a data directory; what an unfinished seal left there is overwritten.
    ///
    /// # Errors
    /// When the directory or the file cannot be made.
    pub(super) fn create(place: &Place) -> Result<Self, StoreError> {
        let directory = place.history();
        let disk = Arc::clone(&place.disk);
        if !directory.is_dir() {
            disk.make_dir(&directory).map_err(file_error(&directory, "making the directory"))?;
            sync(&*disk, &place.dir)?;
        }
        let path = directory.join(format!("sealing{UNFINISHED}"));
        let file = disk.create(&path).map_err(file_error(&path, "making the file"))?;
        let mut out = BufWriter::new(Growing { disk, file, path: path.clone() });
        out.write_all(&HEADER).map_err(file_error(&path, "writing"))?;
        Ok(Self { out, directory, places: Vec::new(), offset: 8 })
    }

    fn unfinished(&self) -> PathBuf {
        self.directory.join(format!("sealing{UNFINISHED}"))
    }

    /// Whether nothing was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a device's readings, in order of their numbers; nothing for none.
    ///
    /// # Errors
    /// When they cannot be compressed or the disk refuses.
    pub(super) fn add(
        &mut self,
        device: &str,
        names: &[SeriesName],
        doubts: &[String],
        rows: &[super::Row],
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let path = self.unfinished();
        let bytes = super::chunk::encode(names, doubts, rows)
            .map_err(|cause| StoreError::Sealed { path: path.clone(), cause })?;
        let times = || rows.iter().map(super::Row::effective);
        self.out.write_all(&bytes).map_err(file_error(&path, "writing"))?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.places.push(ChunkPlace {
            device: device.to_owned(),
            readings: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            first_seq: first.seq,
            last_seq: last.seq,
            first_at: times().min().unwrap_or(first.arrived),
            last_at: times().max().unwrap_or(last.arrived),
            offset: self.offset,
            len,
            digest: chunk_digest(&bytes),
        });
        self.offset += len;
        Ok(())
    }

    /// Makes the file durable under its own name. It is not listed yet.
    ///
    /// # Errors
    /// When nothing was added or the disk refuses.
    pub(super) fn finish(self) -> Result<Sealed, StoreError> {
        self.finish_as(file_name)
    }

    /// The same under a name of its own, for a file that takes the place of `other`.
    pub(super) fn finish_beside(self, other: &str) -> Result<Sealed, StoreError> {
        let stem = other.strip_suffix(ENDING).unwrap_or(other).to_owned();
        self.finish_as(|_, _| format!("{stem}.r{ENDING}"))
    }

    fn finish_as(mut self, name: impl Fn(i64, i64) -> String) -> Result<Sealed, StoreError> {
        let path = self.unfinished();
        let least = |of: fn(&ChunkPlace) -> i64| self.places.iter().map(of).min();
        let most = |of: fn(&ChunkPlace) -> i64| self.places.iter().map(of).max();
        let (Some(first_seq), Some(last_seq), Some(first_at), Some(last_at)) =
            (least(|p| p.first_seq), most(|p| p.last_seq), least(|p| p.first_at), most(|p| p.last_at))
        else {
            return Err(StoreError::Sealed { path, cause: Damage::Shape("it would hold no readings") });
        };
        let mut index = Vec::new();
        self.places.iter().for_each(|place| put_place(&mut index, place));
        let footer = Footer {
            index_at: self.offset,
            index_len: u64::try_from(index.len()).unwrap_or(u64::MAX),
            chunks: u64::try_from(self.places.len()).unwrap_or(u64::MAX),
            readings: self.places.iter().map(|place| place.readings).sum(),
            first_seq,
            last_seq,
            first_at,
            last_at,
        };
        let (foot, digest) = footer.bytes(&index);
        let written = self.out.write_all(&index).and_then(|()| self.out.write_all(&foot));
        written.and_then(|()| self.out.flush()).map_err(file_error(&path, "writing"))?;
        let growing = self.out.get_ref();
        if !museum::on("seal_before_durable") {
            growing.sync().map_err(file_error(&path, "writing"))?;
        }
        let file = name(first_seq, last_seq);
        let named = self.directory.join(&file);
        growing.disk.rename(&path, &named).map_err(file_error(&named, "naming the file"))?;
        if !museum::on("sealed_file_not_in_directory") {
            sync(&*growing.disk, &self.directory)?;
        }
        let bytes = footer.index_at + footer.index_len + u64::try_from(foot.len()).unwrap_or(0);
        let Footer { readings, .. } = footer;
        Ok(Sealed { file, first_seq, last_seq, readings, bytes, first_at, last_at, digest })
    }
}

/// Makes what a directory lists durable.
pub(super) fn sync(disk: &dyn Disk, directory: &Path) -> Result<(), StoreError> {
    disk.sync_dir(directory).map_err(file_error(directory, "making the directory durable"))
}

pub(super) fn file_error(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File { path, doing, cause }
}

fn put_place(index: &mut Vec<u8>, place: &ChunkPlace) {
    put_text(index, &place.device);
    put_number(index, place.readings);
    for number in [place.first_seq, place.last_seq, place.first_at, place.last_at] {
        put_signed(index, number);
    }
    put_number(index, place.len);
    index.extend_from_slice(&place.digest);
}

fn place(index: &mut Bytes<'_>, offset: u64) -> Result<ChunkPlace, Damage> {
    Ok(ChunkPlace {
        device: index.text()?,
        readings: index.number()?,
        first_seq: index.signed()?,
        last_seq: index.signed()?,
        first_at: index.signed()?,
        last_at: index.signed()?,
        offset,
        len: index.number()?,
        digest: index.array()?,
    })
}

/// A sealed file, opened by reading its footer and index alone.
#[derive(Debug)]
pub struct HistoryFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    digest: [u8; 32],
    footer: Footer,
    places: Vec<ChunkPlace>,
}

impl HistoryFile {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or is not as it was written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(file_error(path, "opening"))?;
        let bytes = file.metadata().map_err(file_error(path, "measuring"))?.len();
        let damaged = |cause| StoreError::Sealed { path: path.to_owned(), cause };
        let read = |at: u64, len: u64| read_at(&file, path, at, len);
        let foot_at = bytes
            .checked_sub(u64::try_from(FOOTER).unwrap_or(0))
            .ok_or(Damage::Shape("it is too short"))
            .map_err(damaged)?;
        let foot = read(foot_at, bytes - foot_at)?;
        let footer = Footer::read(&foot).map_err(damaged)?;
        let fits = footer.index_at.checked_add(footer.index_len) == Some(foot_at);
        if !fits || footer.index_len > MOST_INDEX || read(0, 8.min(bytes))? != HEADER {
            return Err(damaged(Damage::Shape("its footer or header is not as written")));
        }
        let index = read(footer.index_at, footer.index_len)?;
        let (expected, digest) = footer.bytes(&index);
        if expected != foot {
            return Err(damaged(Damage::Shape("its index or footer is not as written")));
        }
        let places = places(&index, &footer).map_err(damaged)?;
        Ok(Self { file, path: path.to_owned(), bytes, digest, footer, places })
    }

    /// Writes devices' readings as a file of a data directory that no store has open. Its next start takes the file
    /// into the list, if their numbers are not known there: for a salvage, and to measure large stores.
    ///
    /// # Errors
    /// When there are none, they cannot be compressed, or the disk refuses.
    pub fn write(data_dir: &Path, devices: &[(String, Chunk)]) -> Result<Sealed, StoreError> {
        let mut writer = Writer::create(&Place::here(data_dir))?;
        for (device, Chunk { names, doubts, rows }) in devices {
            writer.add(device, names, doubts, rows)?;
        }
        writer.finish()
    }

    /// The file as it must be listed.
    #[must_use]
    pub fn sealed(&self) -> Sealed {
        let Footer { readings, first_seq, last_seq, first_at, last_at, .. } = self.footer;
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Sealed {
            file,
            first_seq,
            last_seq,
            readings,
            bytes: self.bytes,
            first_at,
            last_at,
            digest: self.digest,
        }
    }

    /// What stands in it.
    #[must_use]
    pub fn places(&self) -> &[ChunkPlace] {
        &self.places
    }

    /// A device's readings; only the series that `wanted` asks for.
    ///
    /// # Errors
    /// When the bytes cannot be read or are not as they were written.
    pub fn chunk(
        &self,
        place: &ChunkPlace,
        wanted: impl Fn(&SeriesName) -> bool,
    ) -> Result<Chunk, StoreError> {
        let damaged = |cause| StoreError::Sealed { path: self.path.clone(), cause };
        let bytes = read_at(&self.file, &self.path, place.offset, place.len)?;
        if chunk_digest(&bytes) != place.digest {
            return Err(damaged(Damage::Shape("a device's readings are not as written")));
        }
        Chunk::decode(&bytes, wanted).map_err(damaged)
    }

    /// Reads every byte and unpacks every reading.
    ///
    /// # Errors
    /// On the first thing that is not as it was written.
    pub fn verify(&self) -> Result<(), StoreError> {
        for place in &self.places {
            let chunk = self.chunk(place, |_| true)?;
            let rows = &chunk.rows;
            let ends = (rows.first().map(|row| row.seq), rows.last().map(|row| row.seq));
            if u64::try_from(rows.len()) != Ok(place.readings)
                || ends != (Some(place.first_seq), Some(place.last_seq))
            {
                let cause = Damage::Shape("its index does not fit its readings");
                return Err(StoreError::Sealed { path: self.path.clone(), cause });
            }
        }
        Ok(())
    }
}

fn places(index: &[u8], footer: &Footer) -> Result<Vec<ChunkPlace>, Damage> {
    let mut index = Bytes(index);
    let (mut all, mut offset, mut readings) = (Vec::new(), 8_u64, 0_u64);
    while !index.0.is_empty() {
        let place = place(&mut index, offset)?;
        offset = offset.checked_add(place.len).ok_or(Damage::Shape("its chunks do not fit"))?;
        readings = readings.saturating_add(place.readings);
        all.push(place);
    }
    let most = u64::try_from(SEAL_MOST).unwrap_or(0);
    if offset != footer.index_at || readings != footer.readings || readings > most {
        return Err(Damage::Shape("its index does not fit its chunks"));
    }
    Ok(all)
}

/// Reads exactly `len` bytes, which the caller knows to be in the file.
fn read_at(file: &File, path: &Path, at: u64, len: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at).map_err(file_error(path, "reading"))?;
    Ok(bytes)
}
