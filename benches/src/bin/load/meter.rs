//! What the processes have used, and what the disk can do.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Ticks in a second as `/proc` counts them, whatever the kernel's own clock does (proc(5)).
const TICKS: u64 = 100;

/// One write of the probe, in bytes: a page of a database.
const PAGE: usize = 4096;

/// Pages the probe goes round in, written beforehand: a log in use is overwritten, not extended.
const PAGES: u64 = 256;

/// Looks at the server from outside.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) server: u32,
    /// The process all of a PostgreSQL cluster's processes come from.
    pub(crate) database: Option<u32>,
    /// A folder on the disk the data is on.
    pub(crate) folder: PathBuf,
}

/// CPU time, in user mode and in the kernel together.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) server: Duration,
    pub(crate) database: Option<Duration>,
    pub(crate) client: Duration,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let database = self.database.zip(before.database);
        Self {
            server: self.server.saturating_sub(before.server),
            database: database.map(|(now, then)| now.saturating_sub(then)),
            client: self.client.saturating_sub(before.client),
        }
    }
}

impl Meter {
    /// CPU time so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            server: cpu_of(&self.server.to_string()).unwrap().own,
            database: self.database.map(cluster_cpu),
            client: cpu_of("self").unwrap().own,
        }
    }

    /// Resident memory of the server, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Writes and syncs single pages for about `time`, while nothing else does.
    pub(crate) fn probe(&self, time: Duration) -> Probe {
        let mut file = tempfile::tempfile_in(&self.folder).unwrap();
        file.write_all(&vec![0; PAGE * PAGES as usize]).unwrap();
        file.sync_all().unwrap();
        let page = [0x5a; PAGE];
        let mut probe = Probe::default();
        let begun = Instant::now();
        for n in 0.. {
            if begun.elapsed() >= time {
                break;
            }
            let start = Instant::now();
            file.seek(SeekFrom::Start(n % PAGES * PAGE as u64)).unwrap();
            file.write_all(&page).unwrap();
            file.sync_data().unwrap();
            probe.took.push(start.elapsed());
        }
        probe
    }
}

/// How long each write and fdatasync of a page took.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    took: Vec<Duration>,
}

impl Probe {
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.took.append(&mut other.took);
        self
    }

    pub(crate) fn per_second(&self) -> f64 {
        let all: Duration = self.took.iter().sum();
        self.took.len() as f64 / all.as_secs_f64()
    }

    pub(crate) fn median_ms(&self) -> f64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted
            .get(sorted.len() / 2)
            .map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }
}

struct Cpu {
    parent: u32,
    own: Duration,
    /// Of children that have ended and were waited for.
    ended: Duration,
}

/// Of a process by its number, or of `self`. `None` when it is no more.
fn cpu_of(process: &str) -> Option<Cpu> {
    let stat = fs::read_to_string(Path::new("/proc").join(process).join("stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let ticks = |n: usize| fields.get(n)?.parse::<u64>().ok();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS);
    Some(Cpu {
        parent: fields.get(1)?.parse().ok()?,
        own: time(ticks(11)? + ticks(12)?),
        ended: time(ticks(13)? + ticks(14)?),
    })
}

/// Of a PostgreSQL cluster: its first process, those that are its children, and those that were.
fn cluster_cpu(postmaster: u32) -> Duration {
    let first = cpu_of(&postmaster.to_string()).unwrap();
    let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.parse::<u32>().ok()?;
        let cpu = cpu_of(&name)?;
        (cpu.parent == postmaster).then_some(cpu.own)
    });
    first.own + first.ended + children.sum::<Duration>()
}
