//! Bulk and floods, by iperf3.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{PATIENCE, Pair};
use crate::systems::End;

/// Sends as fast as TCP can over each pair; Gbit/s received in all.
pub fn bulk(pairs: &[Pair], options: &[&str], length: Duration) -> Result<f64, String> {
    // A machine's default congestion control may pace; all systems are compared with the same.
    let results = iperf3(pairs, length, &[&["-C", "cubic"], options].concat())?;
    let rates = results.iter().map(|result| number(&result["end"]["sum_received"], "bits_per_second"));
    Ok(rates.sum::<Result<f64, String>>()? / 1e9)
}

/// What became of a flood.
pub struct Flood {
    pub received_kpps: f64,
    pub lost_percent: f64,
}

/// One sender of datagrams of 64 bytes.
pub fn flood(pair: &[Pair], length: Duration) -> Result<Flood, String> {
    let results = iperf3(pair, length, &["-u", "-b", "0", "-l", "64"])?;
    let sum = &results[0]["end"]["sum"];
    let (sent, lost) = (number(sum, "packets")?, number(sum, "lost_packets")?);
    let received_kpps = (sent - lost) / number(sum, "seconds")? / 1e3;
    Ok(Flood { received_kpps, lost_percent: 100.0 * lost / sent.max(1.0) })
}

fn number(result: &Value, name: &str) -> Result<f64, String> {
    result[name].as_f64().ok_or_else(|| format!("iperf3 reports no {name}"))
}

/// Runs iperf3 from the first to the second end of each pair, all at once; what the clients report.
fn iperf3(pairs: &[Pair], length: Duration, options: &[&str]) -> Result<Vec<Value>, String> {
    let limit = length + PATIENCE;
    // All servers listen before the first client starts; whatever fails, those that run are ended.
    let servers: Vec<Running> = pairs.iter().map(|(_, to)| server(*to, limit)).collect::<Result<_, String>>()?;
    let seconds = length.as_secs().max(1).to_string();
    let client = |(from, to): &Pair| {
        let address = to.address.to_string();
        let fixed = ["-c", &address, "-t", &seconds, "-J", "--connect-timeout", "5000"];
        Running::start(*from, limit, &[fixed.as_slice(), options].concat())
    };
    let clients: Vec<Running> = pairs.iter().map(client).collect::<Result<_, String>>()?;
    let results = clients.into_iter().map(Running::report).collect();
    drop(servers);
    results
}

fn server(at: End, limit: Duration) -> Result<Running, String> {
    let mut server = Running::start(at, limit, &["-s", "-1"])?;
    let mut said = BufReader::new(server.0.stdout.as_mut().expect("it is a pipe"));
    // It says that it listens; until then nobody can connect.
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        if said.read_line(&mut line).unwrap_or(0) == 0 {
            return Err("iperf3 -s ends before it listens".to_owned());
        }
    }
    Ok(server)
}

/// An iperf3 that ends when it is dropped, and after a while in any case.
struct Running(Child);

impl Running {
    fn start(end: End, limit: Duration, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", end.pid));
        // A container's command has a session of its own, and with it a share of the processor (autogroups, sched(7)).
        command.args([
            "setsid",
            "--wait",
            "timeout",
            "--kill-after=2",
            &limit.as_secs().to_string(),
            "iperf3",
            "--forceflush",
        ]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Running).map_err(|why| format!("start iperf3: {why}"))
    }

    /// Waits for its end and reads what it reports in JSON.
    fn report(mut self) -> Result<Value, String> {
        let mut said = String::new();
        let stdout = self.0.stdout.as_mut().expect("it is a pipe");
        std::io::Read::read_to_string(stdout, &mut said).map_err(|why| format!("read from iperf3: {why}"))?;
        let status = self.0.wait().map_err(|why| format!("wait for iperf3: {why}"))?;
        let report: Value = serde_json::from_str(&said).map_err(|_| format!("iperf3 reports nothing, {status}"))?;
        report["error"].as_str().map_or(Ok(()), |why| Err(format!("iperf3: {why}")))?;
        Ok(report)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `timeout` passes it on; a server has ended by itself when all went well.
        if let Ok(None) = self.0.try_wait() {
            let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}
