//! [`Records`]: text by key, one file each, old or new after a crash but never half.
//!
//! A file is written beside its place and changes places with the old one, which is written over the next time. So to save
//! something anew makes no file and deletes none: on ext4 whoever makes one looks in vain at each that was deleted in the last
//! five seconds, and to replace one starts its writing to the disk. As a rule nothing is synced: what a record of a container speaks of
//! does not outlive a loss of power, and after one that comes at the wrong moment a record is corrupt, which its reader can bear.
//! What is there for good, a network, is on the disk when it is saved.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A directory of records.
#[derive(Debug)]
pub(super) struct Records {
    directory: PathBuf,
    /// Ends the process in so many steps; each change has two, before it and after it. How a test makes it crash at each.
    steps_left: Option<u32>,
}

const EXTENSION: &str = "json";
/// Where a text is written before it is saved. Nobody reads it.
const BESIDE: &str = "beside.new";

impl Records {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        make_directory(&directory)?;
        Ok(Records { directory, steps_left: None })
    }

    pub(super) fn crash_after(&mut self, steps: u32) {
        self.steps_left = Some(steps);
    }

    pub(super) fn save(&mut self, key: &str, text: &str) -> io::Result<()> {
        self.put(key, text, |_| Ok(()))
    }

    /// The same, and a loss of power does no harm to it from then on.
    pub(super) fn save_for_good(&mut self, key: &str, text: &str) -> io::Result<()> {
        self.put(key, text, File::sync_all)?;
        // Or the old file might still be in this place on the disk, while the next text is written over it.
        File::open(&self.directory)?.sync_all()
    }

    fn put(&mut self, key: &str, text: &str, written: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
        let path = self.path(key)?;
        self.step();
        let beside = self.directory.join(BESIDE);
        let saved = write_over(&beside, text).and_then(|file| written(&file)).and_then(|()| exchange(&beside, &path));
        saved.inspect_err(|_| {
            // Half a text on a full disk: nobody reads it, and it would stay.
            let _ = fs::remove_file(&beside);
        })?;
        self.step();
        Ok(())
    }

    pub(super) fn forget(&mut self, key: &str) -> io::Result<()> {
        let path = self.path(key)?;
        self.step();
        let gone = absent_is_fine(fs::remove_file(path));
        self.step();
        gone
    }

    pub(super) fn load(&self) -> io::Result<Vec<(String, String)>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let key = path.file_stem().and_then(|stem| stem.to_str());
            let is_record = path.extension().is_some_and(|extension| extension == EXTENSION);
            if let (true, Some(key)) = (is_record, key) {
                // What is not even UTF-8 is for the reader to find corrupt.
                records.push((key.to_owned(), String::from_utf8_lossy(&fs::read(&path)?).into_owned()));
            }
        }
        records.sort();
        Ok(records)
    }

    pub(super) fn set_aside(&mut self, key: &str) -> io::Result<PathBuf> {
        let path = self.path(key)?;
        let aside = (1..)
            .map(|number: u32| path.with_extension(format!("{EXTENSION}.corrupt-{number}")))
            .find(|aside| !aside.exists())
            .ok_or(ErrorKind::AlreadyExists)?;
        fs::rename(&path, &aside)?;
        Ok(aside)
    }

    fn path(&self, key: &str) -> io::Result<PathBuf> {
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if key.is_empty() || !key.bytes().all(is_key) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a key has letters, digits, '-' and '_' only"));
        }
        Ok(self.directory.join(format!("{key}.{EXTENSION}")))
    }

    fn step(&mut self) {
        let Some(left) = &mut self.steps_left else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            // Not `abort`: that would leave a core dump, and SIGABRT can be caught.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

/// Makes a text what is in a file, without emptying it first: ext4 takes that, too, for a reason to write to the disk.
fn write_over(path: &Path, text: &str) -> io::Result<File> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    Ok(file)
}

/// Puts a file in the place of another, which is beside it then, where the file system can do that.
fn exchange(beside: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, beside, CWD, path, RenameFlags::EXCHANGE) {
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => fs::rename(beside, path),
        exchanged => Ok(exchanged?),
    }
}

/// Makes a directory, and those it is in, for its owner alone.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// To delete what is not there is to be done already.
pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    absent_is_none(result).map(Option::unwrap_or_default)
}

/// What is not there is `None`.
pub(super) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            Directory(std::env::temp_dir().join(format!("pontoon-records-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn keeps_the_last_text_of_each_key_in_order() {
        let directory = Directory::new("order");
        let mut records = Records::open(directory.0.clone()).expect("opened");
        records.save("b", "1").expect("saved");
        records.save_for_good("a", "0").expect("saved");
        records.save_for_good("a", "2").expect("saved");
        records.save("b", "3").expect("saved");
        let pair = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        assert_eq!(records.load().expect("read"), [pair("a", "2"), pair("b", "3")]);
        records.forget("a").expect("deleted");
        records.forget("a").expect("deleted twice");
        assert_eq!(records.load().expect("read"), [pair("b", "3")]);
    }

    #[test]
    fn a_shorter_text_in_the_place_of_a_longer_one_is_all_there_is() {
        let directory = Directory::new("shorter");
        let mut records = Records::open(directory.0.clone()).expect("opened");
        for (key, text) in [("a", "long and longer"), ("a", "short"), ("b", "of another"), ("a", ""), ("b", "7")] {
            records.save(key, text).expect("saved");
            assert!(records.load().expect("read").contains(&(key.to_owned(), text.to_owned())));
        }
    }

    #[test]
    fn to_save_anew_deletes_no_file_and_makes_none() {
        let inodes = |directory: &Path| {
            let entries = fs::read_dir(directory).expect("read").map(|entry| entry.expect("an entry"));
            let mut inodes: Vec<u64> = entries.map(|entry| std::os::unix::fs::DirEntryExt::ino(&entry)).collect();
            inodes.sort_unstable();
            inodes
        };
        let directory = Directory::new("inodes");
        let mut records = Records::open(directory.0.clone()).expect("opened");
        records.save("a", "1").expect("saved");
        records.save("a", "2").expect("saved");
        let before = inodes(&directory.0);
        records.save("a", "3").expect("saved");
        assert_eq!(inodes(&directory.0), before);
    }

    #[test]
    fn sets_aside_without_replacing_what_was_set_aside_before() {
        let directory = Directory::new("aside");
        let mut records = Records::open(directory.0.clone()).expect("opened");
        for number in 1..=2 {
            records.save("key", "corrupt").expect("saved");
            let place = records.set_aside("key").expect("moved");
            assert_eq!(place, directory.0.join(format!("key.json.corrupt-{number}")));
        }
        assert_eq!(records.load().expect("read"), []);
    }

    #[test]
    fn a_key_is_not_a_path() {
        let directory = Directory::new("key");
        let mut records = Records::open(directory.0.clone()).expect("opened");
        for key in ["", "../x", "a/b", "."] {
            assert_eq!(records.save(key, "").expect_err("refused").kind(), ErrorKind::InvalidInput);
        }
    }
}
