//! The file system given to SQLite: its usual one with a listener between. The only unsafe code of this package.
//!
//! Each file is opened by the usual file system and keeps its own functions but for those that are listened to: its
//! table of functions is replaced by a copy that stands at the front of an [`Ear`].
#![expect(
    unsafe_code,
    reason = "SQLite takes a file system as C functions; rusqlite has no safe way to it, and the crates that have one \
              either need libclang to build or know no write-ahead log"
)]

use super::{Call, Op, Tape};
use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file system as SQLite sees it, and what it leads to. SQLite hands the address of `vfs` to every function of it.
#[repr(C)]
struct Layer {
    vfs: ffi::sqlite3_vfs,
    below: *mut ffi::sqlite3_vfs,
    tape: Arc<Tape>,
    /// What `vfs.zName` points to.
    _name: CString,
}

/// What is known of an open file. `table` is what SQLite calls; `below` are the functions of the usual file system.
#[repr(C)]
struct Ear {
    table: ffi::sqlite3_io_methods,
    below: *const ffi::sqlite3_io_methods,
    tape: Arc<Tape>,
    file: u64,
    /// A journal or log: its directory is synced with its first sync.
    syncs_dir: bool,
}

/// Keeps the layer registered.
#[derive(Debug)]
pub(super) struct Registration {
    layer: *mut Layer,
    name: String,
}

// SAFETY: the layer is written only while it is made and when it is dropped; SQLite itself guards its list.
unsafe impl Send for Registration {}
// SAFETY: as above; shared, nothing of the layer changes.
unsafe impl Sync for Registration {}

impl Registration {
    pub(super) fn new(tape: Arc<Tape>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("disk-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.clone()).expect("a name without zero bytes");
        // SAFETY: a null name asks for the default file system, which lives as long as the process.
        let below = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!below.is_null(), "SQLite has a default file system");
        // SAFETY: just looked up and never freed; a copy of plain numbers and pointers.
        let mut vfs = unsafe { std::ptr::read(below) };
        vfs.pNext = std::ptr::null_mut();
        vfs.zName = c_name.as_ptr();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        let layer = Box::into_raw(Box::new(Layer { vfs, below, tape, _name: c_name }));
        // SAFETY: the layer stays where it is until `drop`, which takes it out of SQLite's list first.
        let refused = unsafe { ffi::sqlite3_vfs_register(&raw mut (*layer).vfs, 0) };
        assert_eq!(refused, ffi::SQLITE_OK, "SQLite takes a further file system");
        Self { layer, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: registered in `new`. The layer itself stays: a connection may still be open on it.
        unsafe { ffi::sqlite3_vfs_unregister(&raw mut (*self.layer).vfs) };
    }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed yet.
unsafe fn ear<'a>(file: *mut ffi::sqlite3_file) -> &'a Ear {
    // SAFETY: `open` made the functions' table the first field of the ear, and nobody else writes `pMethods`.
    unsafe { &*(*file).pMethods.cast::<Ear>() }
}

fn name_of(path: *const c_char) -> String {
    // SAFETY: SQLite gives paths that end with a zero byte and live during the call.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned();
    Path::new(&path).file_name().map_or(path.clone(), |name| name.to_string_lossy().into_owned())
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the address that was registered, which is that of a `Layer`.
    let layer = unsafe { &*vfs.cast::<Layer>() };
    // SAFETY: SQLite wants this field set whatever happens.
    unsafe { (*file).pMethods = std::ptr::null() };
    if layer.tape.fails(Call::Open) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: as in `name_of`; a null path is a temporary file.
    let existed =
        !path.is_null() && unsafe { CStr::from_ptr(path) }.to_str().is_ok_and(|p| Path::new(p).exists());
    // SAFETY: the usual file system's own function, its own address, and the memory it asks for.
    let refused = unsafe {
        (*layer.below).xOpen.map_or(ffi::SQLITE_ERROR, |f| f(layer.below, path, file, flags, flags_out))
    };
    // SAFETY: set by the call above.
    let below = unsafe { (*file).pMethods };
    if refused != ffi::SQLITE_OK || path.is_null() || below.is_null() {
        return refused;
    }
    // SAFETY: a table of functions of the usual file system, which lives as long as the process.
    let mut table = unsafe { std::ptr::read(below) };
    // Without the functions for memory maps, which could not be listened to.
    table.iVersion = 2;
    table.xClose = Some(close);
    table.xRead = Some(read);
    table.xWrite = Some(write);
    table.xTruncate = Some(truncate);
    table.xSync = Some(sync);
    let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    let number = layer.tape.opened(&name_of(path), existed);
    let tape = Arc::clone(&layer.tape);
    let ear = Box::new(Ear { table, below, tape, file: number, syncs_dir: flags & journal != 0 });
    // SAFETY: `close` takes the box back.
    unsafe { (*file).pMethods = Box::into_raw(ear).cast_const().cast::<ffi::sqlite3_io_methods>() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, path: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite passes the address that was registered, which is that of a `Layer`.
    let layer = unsafe { &*vfs.cast::<Layer>() };
    if layer.tape.fails(Call::Delete) {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: the usual file system's own function and address.
    let outcome =
        unsafe { (*layer.below).xDelete.map_or(ffi::SQLITE_ERROR, |f| f(layer.below, path, sync_dir)) };
    if outcome == ffi::SQLITE_OK {
        layer.tape.deleted(&name_of(path), sync_dir != 0);
    }
    outcome
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: opened by `open`, and SQLite closes a file once; from here on it has its own functions again.
    unsafe {
        let ear = Box::from_raw((*file).pMethods.cast::<Ear>().cast_mut());
        (*file).pMethods = ear.below;
        (*ear.below).xClose.map_or(ffi::SQLITE_ERROR, |f| f(file))
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: opened by `open`.
    let ear = unsafe { ear(file) };
    if ear.tape.fails(Call::Read) {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: the same call, one layer down.
    unsafe { (*ear.below).xRead.map_or(ffi::SQLITE_ERROR, |f| f(file, to, len, at)) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: opened by `open`.
    let ear = unsafe { ear(file) };
    let fails = ear.tape.fails(Call::Write);
    let len = if fails { len / 2 } else { len };
    // SAFETY: the same call, one layer down, with as many bytes or fewer.
    let outcome = unsafe { (*ear.below).xWrite.map_or(ffi::SQLITE_ERROR, |f| f(file, from, len, at)) };
    if outcome == ffi::SQLITE_OK {
        let len = usize::try_from(len).expect("a length");
        // SAFETY: SQLite gives at least this many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), len) }.to_vec();
        ear.tape.push(Op::Write { file: ear.file, offset: u64::try_from(at).expect("an offset"), bytes });
    }
    if fails { ffi::SQLITE_IOERR_WRITE } else { outcome }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: opened by `open`.
    let ear = unsafe { ear(file) };
    if ear.tape.fails(Call::Truncate) {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: the same call, one layer down.
    let outcome = unsafe { (*ear.below).xTruncate.map_or(ffi::SQLITE_ERROR, |f| f(file, len)) };
    if outcome == ffi::SQLITE_OK {
        ear.tape.push(Op::Truncate { file: ear.file, len: u64::try_from(len).expect("a length") });
    }
    outcome
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: opened by `open`.
    let ear = unsafe { ear(file) };
    if ear.tape.fails(Call::Sync) {
        ear.tape.push(Op::SyncFailed { file: ear.file });
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: the same call, one layer down.
    let outcome = unsafe { (*ear.below).xSync.map_or(ffi::SQLITE_ERROR, |f| f(file, flags)) };
    if outcome == ffi::SQLITE_OK {
        ear.tape.synced(ear.file, ear.syncs_dir);
    }
    outcome
}
