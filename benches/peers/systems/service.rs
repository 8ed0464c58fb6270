//! A server of somebody else's, started by hand in a host's namespaces.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::namespace::Keeper;
use crate::cage;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// It ends when this goes.
pub struct Service {
    program: &'static str,
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it with a pipe on its standard input, that stays open.
    pub fn new(host: &Keeper, program: &'static str, arguments: &[String]) -> Result<Self, String> {
        let failed = |why: std::io::Error| format!("start {program}: {why}");
        let log = PathBuf::from(cage::DIR).join(format!("{program}.log"));
        let output = File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut command = host.command(program);
        let child = command.args(arguments).stdin(Stdio::piped()).stdout(output).stderr(errors).spawn();
        child.map(|child| Service { program, child, log }).map_err(failed)
    }

    /// Waits until it is ready: until `is_ready` says so.
    ///
    /// # Errors
    /// If it ends instead, or takes too long, with the last that it said.
    pub fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<(), String> {
        let started = Instant::now();
        while !is_ready() {
            let ended = self.child.try_wait().map_err(|why| format!("wait for {}: {why}", self.program))?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let how = ended.map_or_else(|| "is not ready".to_owned(), |status| format!("ended, {status}"));
                return Err(format!("{} {how}: {}", self.program, self.last_word()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn last_word(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim_end().to_owned();
        said.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
