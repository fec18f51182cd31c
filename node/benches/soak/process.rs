//! What a process and its children use, from `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;

/// Memory in MB, and numbers of things.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// `VmRSS`.
    pub(crate) resident_mb: f64,
    /// Of the children of the process, without what they share: `RssAnon`.
    pub(crate) children_mb: f64,
    /// Open files, connections to the database left out.
    pub(crate) files: f64,
    pub(crate) threads: f64,
    /// Established TCP connections, those to the database left out.
    pub(crate) connections: f64,
}

/// Looks at a process whose database listens on this port.
pub(crate) fn usage(pid: u32, database_port: u16) -> Usage {
    let files: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()))
        .collect();
    let sockets: HashSet<u64> = files
        .iter()
        .filter_map(|name| {
            name.strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect();
    let (mut connections, mut of_database) = (0, 0);
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().filter_map(Connection::read) {
            if sockets.contains(&line.inode) {
                let to_database = line.remote_port == database_port;
                of_database += usize::from(to_database);
                connections += usize::from(line.is_established && !to_database);
            }
        }
    }
    Usage {
        resident_mb: status(pid, "VmRSS:") / 1024.0,
        children_mb: descendants(pid)
            .into_iter()
            .map(|child| status(child, "RssAnon:"))
            .sum::<f64>()
            / 1024.0,
        files: files.len().saturating_sub(of_database) as f64,
        threads: status(pid, "Threads:"),
        connections: connections as f64,
    }
}

/// One line of `/proc/net/tcp`.
struct Connection {
    remote_port: u16,
    is_established: bool,
    inode: u64,
}

impl Connection {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = fields.get(2)?.rsplit_once(':')?.1;
        Some(Self {
            remote_port: u16::from_str_radix(port, 16).ok()?,
            is_established: *fields.get(3)? == "01",
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// A number of `/proc/<pid>/status`; 0 where it is not told.
fn status(pid: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for child in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let parent = status(child, "PPid:") as u32;
        children.entry(parent).or_default().push(child);
    }
    let (mut found, mut next) = (Vec::new(), vec![pid]);
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).into_iter().flatten() {
            found.push(child);
            next.push(child);
        }
    }
    found
}
