//! Load, memory and uptime, from `/proc`.

use std::io;

/// Load of all cores together between two looks.
#[derive(Debug, Default)]
pub(crate) struct Load {
    last: Option<Ticks>,
}

/// Clock ticks since the system started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    busy: u64,
    total: u64,
}

impl Load {
    /// Load in percent since the last call, 0 to 100; since the start of the system on the first call.
    pub(crate) fn percent(&mut self, now: Ticks) -> f64 {
        let last = self.last.replace(now).unwrap_or(Ticks { busy: 0, total: 0 });
        let total = now.total.saturating_sub(last.total);
        if total == 0 {
            return 0.0;
        }
        let busy = now.busy.saturating_sub(last.busy).min(total);
        // Tenths are as exact as ticks of 10 ms allow.
        (busy as f64 * 1000.0 / total as f64).round() / 10.0
    }
}

impl Ticks {
    /// Reads `/proc/stat`.
    ///
    /// # Errors
    /// When it cannot be read or has no `cpu` line.
    pub(crate) fn read() -> io::Result<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat")?)
            .ok_or_else(|| io::Error::other("/proc/stat: no cpu line"))
    }

    /// The first line, proc(5): user nice system idle iowait irq softirq steal, then guest times that
    /// are contained in user and nice.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<u64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))?
            .split_ascii_whitespace()
            .take(8)
            .map_while(|field| field.parse().ok())
            .collect();
        let idle = fields.get(3)?.saturating_add(fields.get(4).copied().unwrap_or(0));
        let total = fields.iter().fold(0u64, |sum, field| sum.saturating_add(*field));
        Some(Self { busy: total.saturating_sub(idle), total })
    }
}

/// Memory in use, MB (10⁶ bytes): what programs could not get.
///
/// # Errors
/// When `/proc/meminfo` cannot be read.
pub(crate) fn memory_used_mb() -> io::Result<u64> {
    used_mb(&std::fs::read_to_string("/proc/meminfo")?)
        .ok_or_else(|| io::Error::other("/proc/meminfo: no MemTotal or MemAvailable"))
}

fn used_mb(meminfo: &str) -> Option<u64> {
    let kib = |key: &str| -> Option<u64> {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        rest.split_ascii_whitespace().next()?.parse().ok()
    };
    let used = kib("MemTotal")?.saturating_sub(kib("MemAvailable").or_else(|| kib("MemFree"))?);
    Some(used.saturating_mul(1024) / 1_000_000)
}

/// Time since the system was started, whole seconds.
///
/// # Errors
/// When `/proc/uptime` cannot be read.
pub(crate) fn uptime_s() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(['.', ' ']).next().and_then(|s| s.parse().ok());
    seconds.ok_or_else(|| io::Error::other("/proc/uptime: not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_what_happened_between_two_looks() {
        let first = Ticks::parse("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4\n").unwrap();
        let second = Ticks::parse("cpu  150 0 125 875 150 0 0 0 75 0\n").unwrap();
        let mut load = Load::default();
        assert_eq!(load.percent(first), 20.0, "since start: 200 of 1000");
        assert_eq!(load.percent(second), 25.0, "75 of 300");
        assert_eq!(load.percent(second), 0.0, "no time passed");
        assert_eq!(load.percent(first), 0.0, "counters that went back");
    }

    #[test]
    fn old_kernels_and_nonsense() {
        assert_eq!(Ticks::parse("cpu  10 0 10 80\n"), Some(Ticks { busy: 20, total: 100 }));
        assert_eq!(Ticks::parse("cpu0 10 0 10 80\n"), None);
        assert_eq!(Ticks::parse("cpu  x y\n"), None);
        assert_eq!(used_mb("MemTotal: 2000000 kB\nMemFree: 5 kB\nMemAvailable: 1000000 kB\n"), Some(1024));
        assert_eq!(used_mb("MemFree: 5 kB\n"), None);
    }

    #[test]
    fn this_machine_can_be_read() {
        let ticks = Ticks::read().unwrap();
        assert!((0.0..=100.0).contains(&Load::default().percent(ticks)));
        assert!(memory_used_mb().unwrap() > 0);
        uptime_s().unwrap();
    }
}
