//! What the processes of a run use: memory and CPU, from `/proc`, and the limit of open files.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The unit of CPU times in `/proc`: the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Memory of this process, MB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// The most so far (`VmHWM`).
    pub(crate) peak: f64,
    /// Now (`VmRSS`).
    pub(crate) resident: f64,
}

impl Memory {
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes =
                line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.unwrap_or_default() / 1024.0
        };
        Self {
            peak: field("VmHWM:"),
            resident: field("VmRSS:"),
        }
    }
}

/// CPU time so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// The node: this process.
    pub(crate) node: Duration,
    /// The simulated relays.
    pub(crate) relays: Duration,
    /// The node's Postgres.
    pub(crate) postgres: Duration,
    /// The whole machine.
    pub(crate) machine: Duration,
}

impl Cpu {
    /// Reads the clocks; `relays` is the process of the simulated relays.
    pub(crate) fn now(relays: u32) -> Self {
        let processes = processes();
        let own = std::process::id();
        let of = |pid: u32| {
            processes
                .get(&pid)
                .map_or(Duration::ZERO, |process| process.cpu)
        };
        let descends = |mut pid: u32| {
            while let Some(process) = processes.get(&pid) {
                if process.parent == own {
                    return pid != relays;
                }
                pid = process.parent;
            }
            false
        };
        let servers = processes.iter().filter(|(pid, _)| descends(**pid));
        Self {
            node: of(own),
            relays: of(relays),
            postgres: servers
                .map(|(_, process)| process.cpu + process.children)
                .sum(),
            machine: machine(),
        }
    }

    /// What was used since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            node: self.node.saturating_sub(earlier.node),
            relays: self.relays.saturating_sub(earlier.relays),
            postgres: self.postgres.saturating_sub(earlier.postgres),
            machine: self.machine.saturating_sub(earlier.machine),
        }
    }

    /// What was used by others.
    pub(crate) fn others(self) -> Duration {
        self.machine
            .saturating_sub(self.node + self.relays + self.postgres)
    }
}

struct Process {
    parent: u32,
    cpu: Duration,
    /// Of children that have ended.
    children: Duration,
}

fn processes() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold anything, brackets too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks =
        |index: usize| -> Option<Duration> { Some(TICK * fields.get(index)?.parse::<u32>().ok()?) };
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        cpu: ticks(11)? + ticks(12)?,
        children: ticks(13)? + ticks(14)?,
    })
}

/// Time in which a core was not idle, all cores together.
fn machine() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guests are within user.
    let busy = ticks.iter().take(8).sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>();
    Duration::from_millis(busy * TICK.as_millis() as u64)
}
