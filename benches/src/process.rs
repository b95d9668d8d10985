//! What the kernel counts of a process.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Kernel ticks per second in /proc/PID/stat (USER_HZ, the same on every Linux).
const TICKS: f64 = 100.0;

/// Where the kernel tells of a process.
#[must_use]
pub fn folder(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// CPU time of a process and its children that ended, user and system, seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(folder(pid).join("stat"))?;
    // The name, in parentheses, may hold anything; the fields after it are numbered from 3.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()? as f64 / TICKS)
}
