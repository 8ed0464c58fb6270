//! How busy the machine was.

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
