//! Counters that outlive the daemon, a file each in the runtime directory; and what interfaces count themselves.

use std::collections::BTreeMap;
use std::fs;

use switch::account::{Account, Counters, Found};

use super::Linux;
use crate::backend::BackendError;
use crate::linux::failure::Step;
use crate::linux::records::{absent_is_fine, make_directory};

impl Linux {
    pub(super) fn open_account<T: Counters>(&self, key: &str, since: u64) -> Result<Account<T>, BackendError> {
        let directory = self.paths.accounts();
        make_directory(&directory).map_err(Step::CreateDirectory.on(directory.display()))?;
        let path = directory.join(key);
        let opened = Account::open(&path, since).map_err(|why| Step::OpenAccount.failed(path.display(), why))?;
        if let (_, Found::Unusable { why, aside }) = &opened {
            tracing::warn!("counters in {} begin anew: {why}; what was there is {}", path.display(), aside.display());
        }
        Ok(opened.0)
    }

    pub(super) fn list_accounts(&self) -> Result<Vec<String>, BackendError> {
        let directory = self.paths.accounts();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(Step::ReadRecords.failed(directory.display(), why).into()),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // (Others are half made, or put aside.)
        let mut keys: Vec<String> = names.filter(|name| !name.contains('.')).collect();
        keys.sort();
        Ok(keys)
    }

    pub(super) fn remove_account(&self, key: &str) -> Result<(), BackendError> {
        let path = self.paths.accounts().join(key);
        Ok(absent_is_fine(fs::remove_file(&path)).map_err(Step::Delete.on(path.display()))?)
    }
}

/// How many frames each interface could not send, in the network namespace of a process, or of this thread.
pub(super) fn transmit_drops(pid: Option<u32>) -> BTreeMap<String, u64> {
    let of = pid.map_or("thread-self".to_owned(), |pid| pid.to_string());
    let text = fs::read_to_string(format!("/proc/{of}/net/dev")).unwrap_or_default();
    text.lines().filter_map(line).collect()
}

/// A line of `/proc/net/dev`: a name, a colon, eight numbers of what came in, and of what went out packets after bytes, errors,
/// drops.
fn line(text: &str) -> Option<(String, u64)> {
    let (name, numbers) = text.rsplit_once(':')?;
    let dropped = numbers.split_whitespace().nth(8 + 3)?.parse().ok()?;
    Some((name.trim().to_owned(), dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_read_from_the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    2    3    4     5          6         7      200       8    9   10   11    12      13         14
  eth0: 1 2 3 4 5 6 7 8 9 10 11 120 13 14 15 16
";
        let read: Vec<(String, u64)> = text.lines().filter_map(line).collect();
        assert_eq!(read, [("lo".to_owned(), 10), ("eth0".to_owned(), 120)]);
    }
}
