//! What kind of trouble a store error is: the few kinds between which the code has to choose.

use super::StoreError;
use rusqlite::ErrorCode;
use std::io::ErrorKind;

/// The kind of a store error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreFault {
    /// No room is left on the medium.
    Full,
    /// The medium or the file may only be read.
    ReadOnly,
    /// Reading, writing or syncing failed: the medium or its driver.
    Io,
    /// What is on the medium is not what was written.
    Corrupt,
    /// Another program holds the file.
    Busy,
    /// Anything else: a fault of the program.
    Other,
}

impl StoreFault {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Io => "io",
            Self::Corrupt => "corrupt",
            Self::Busy => "busy",
            Self::Other => "other",
        }
    }

    /// Whether it passes once somebody frees room, remounts or lets go, and a restart would mend nothing.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::Busy)
    }

    pub(super) fn of_io(cause: &std::io::Error) -> Self {
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Io,
        }
    }

    fn of_sqlite(cause: &rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Io,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            None if matches!(
                cause,
                FromSqlConversionFailure(..)
                    | IntegralValueOutOfRange(..)
                    | InvalidColumnType(..)
                    | Utf8Error(..)
            ) =>
            {
                Self::Corrupt
            }
            _ => Self::Other,
        }
    }
}

impl StoreError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn fault(&self) -> StoreFault {
        match self {
            Self::File { cause, .. } => StoreFault::of_io(cause),
            Self::Sqlite { cause, .. } => StoreFault::of_sqlite(cause),
            Self::Row { .. } | Self::Damaged { .. } | Self::Unsound { .. } | Self::Sealed { .. } => {
                StoreFault::Corrupt
            }
            Self::NoLog { .. } => StoreFault::Io,
            Self::Locked(_) | Self::Waiting => StoreFault::Busy,
            Self::Closed | Self::Foreign { .. } | Self::Newer { .. } | Self::OldSqlite(_) | Self::Json(_) => {
                StoreFault::Other
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn every_code_has_its_kind() {
        for (code, fault) in [
            (ffi::SQLITE_FULL, StoreFault::Full),
            (ffi::SQLITE_READONLY, StoreFault::ReadOnly),
            (ffi::SQLITE_READONLY_DBMOVED, StoreFault::ReadOnly),
            (ffi::SQLITE_IOERR_FSYNC, StoreFault::Io),
            (ffi::SQLITE_IOERR_SHMSIZE, StoreFault::Io),
            (ffi::SQLITE_CANTOPEN, StoreFault::Io),
            (ffi::SQLITE_CORRUPT, StoreFault::Corrupt),
            (ffi::SQLITE_NOTADB, StoreFault::Corrupt),
            (ffi::SQLITE_BUSY, StoreFault::Busy),
            (ffi::SQLITE_LOCKED, StoreFault::Busy),
            (ffi::SQLITE_CONSTRAINT, StoreFault::Other),
        ] {
            let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(StoreError::Sqlite { doing: "", cause }.fault(), fault, "{code}");
        }
        for (kind, fault) in [
            (ErrorKind::StorageFull, StoreFault::Full),
            (ErrorKind::ReadOnlyFilesystem, StoreFault::ReadOnly),
            (ErrorKind::PermissionDenied, StoreFault::ReadOnly),
            (ErrorKind::Other, StoreFault::Io),
        ] {
            assert_eq!(StoreFault::of_io(&kind.into()), fault, "{kind}");
        }
    }
}
