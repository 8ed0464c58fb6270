//! How busy the machine was.

use std::time::{Duration, Instant};

/// Seconds that all cores together have worked since the machine started: not idle, not waiting for I/O, not taken by a hypervisor.
pub fn busy_seconds() -> Result<f64, String> {
    let stat = std::fs::read_to_string("/proc/stat").map_err(|why| format!("read /proc/stat: {why}"))?;
    let first = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, and then steal; guest time is part of user. A tick is 10 ms.
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = fields[..] else {
        return Err("read /proc/stat: its first line is not what proc(5) says".to_owned());
    };
    Ok((user + nice + system + irq + softirq) / 100.0)
}

/// What share of all cores works now, in percent, by a look that lasts a second.
pub fn busy_percent() -> Result<f64, String> {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let (before, started) = (busy_seconds()?, Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    Ok(100.0 * (busy_seconds()? - before) / started.elapsed().as_secs_f64() / cores)
}
