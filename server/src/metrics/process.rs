//! What the operating system says of this process.

/// Ticks in which Linux counts processor time: 100 a second for programs, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Unknown figures are zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) resident_bytes: f64,
    pub(crate) open_files: f64,
    pub(crate) max_files: f64,
    pub(crate) cpu_seconds: f64,
}

impl Process {
    pub(crate) fn now() -> Self {
        Self {
            resident_bytes: resident_bytes().unwrap_or_default(),
            open_files: open_files().unwrap_or_default(),
            max_files: max_files(),
            cpu_seconds: cpu_seconds().unwrap_or_default(),
        }
    }
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

#[allow(clippy::cast_precision_loss, reason = "a process has no 2^52 files")]
fn open_files() -> Option<f64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

#[cfg(unix)]
#[allow(
    clippy::cast_precision_loss,
    reason = "no system allows 2^52 files and means it"
)]
fn max_files() -> f64 {
    rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0.0, |(soft, _)| soft as f64)
}

#[cfg(not(unix))]
fn max_files() -> f64 {
    0.0
}

/// Fields 14 and 15 of `/proc/self/stat`, counted from behind the program's name, which may hold spaces.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let now = Process::now();
        assert!(now.resident_bytes > 1e6 && now.open_files >= 3.0 && now.max_files >= now.open_files);
        let begun = std::time::Instant::now();
        let before = now.cpu_seconds;
        while begun.elapsed().as_millis() < 100 {}
        let used = Process::now().cpu_seconds - before;
        assert!((0.01..2.0).contains(&used), "{used}");
    }
}
