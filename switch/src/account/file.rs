//! An account in a file: made, found again, or put aside.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zerocopy::IntoBytes as _;

use super::{Account, Counters, HEADER, Header, LENGTH, MAGIC, Memory};
use crate::link::sys;

/// What was there of an account that is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it begins now.
    Nothing,
    /// It goes on.
    Continued,
    /// Something that is no account of this kind: it begins now, and what was there is put aside.
    Unusable {
        /// What is wrong with it.
        why: &'static str,
        /// Where it is now.
        aside: PathBuf,
    },
}

/// An account can not be kept in a file.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", .path.display())]
pub struct AccountError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl<T: Counters> Account<T> {
    /// The account in the file at `path`, which nobody else has: it goes on, or begins now. `since` is the present, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// If the file can not be made, or mapped.
    pub fn open(path: &Path, since: u64) -> Result<(Self, Found), AccountError> {
        let failed = |operation| move |source| AccountError { operation, path: path.to_owned(), source };
        let mut found = Found::Nothing;
        match File::options().read(true).write(true).open(path) {
            Ok(file) => match why_unusable(&file) {
                Ok(None) => {
                    let mut account: Self = map(&file).map_err(failed("map the counters"))?;
                    match flaw::<T>(account.header()) {
                        None => {
                            account.mend();
                            return Ok((account, Found::Continued));
                        }
                        Some(why) => found = put_aside(path, why).map_err(failed("put aside"))?,
                    }
                }
                Ok(Some(why)) => found = put_aside(path, why).map_err(failed("put aside"))?,
                Err(why) => return Err(failed("look at the counters")(why)),
            },
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => return Err(failed("open the counters")(why)),
        }
        let file = make::<T>(path, since).map_err(failed("make the counters"))?;
        let account = map(&file).map_err(failed("map the counters"))?;
        Ok((account, found))
    }
}

fn map<T: Counters>(file: &File) -> io::Result<Account<T>> {
    sys::map(file, LENGTH).map(|map| Account::of(Memory::Mapped(map)))
}

/// Whole or not at all: it is written beside its place, and moved there.
fn make<T: Counters>(path: &Path, since: u64) -> io::Result<File> {
    let beside = path.with_extension("new");
    let header = Header { magic: MAGIC, layout: T::KIND, since, ..Header::default() };
    let mut page = vec![0; LENGTH];
    page[..HEADER].copy_from_slice(header.as_bytes());
    page[HEADER..HEADER + size_of::<T>()].copy_from_slice(T::default().as_bytes());
    let written = || {
        let mut file = File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&page)?;
        fs::rename(&beside, path)?;
        Ok(file)
    };
    written().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Before it is mapped: a page that is not there must not be touched.
fn why_unusable(file: &File) -> io::Result<Option<&'static str>> {
    let known = file.metadata()?;
    Ok(if !known.is_file() {
        Some("it is no file")
    } else if known.len() != LENGTH as u64 {
        Some("it has another length")
    } else {
        None
    })
}

fn flaw<T: Counters>(header: &Header) -> Option<&'static str> {
    if header.magic != MAGIC {
        Some("it holds no counters")
    } else if header.layout != T::KIND {
        Some("another version has counted in it")
    } else {
        None
    }
}

fn put_aside(path: &Path, why: &'static str) -> io::Result<Found> {
    let aside = path.with_extension("unusable");
    fs::rename(path, &aside)?;
    Ok(Found::Unusable { why, aside })
}
