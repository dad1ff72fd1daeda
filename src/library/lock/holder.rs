//! What the holder of a lock says of itself in the lock file, and how that is read back.
//!
//! The content is lines of UTF-8: the pid in decimal; the [`Address`] that the daemon really bound; where the lock does
//! not lie beside its library, the library's path; and `started`, the process's start time in clock ticks since boot (`proc_pid_stat(5)`). The address is absent until the daemon
//! listens. After them come the [`super::notes`].

use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::base::address::Address;
use crate::base::text::Escaped;

/// Longer than any content; what is beyond is not ours.
const LONGEST: usize = 16 * 1024;

/// What a holder has written about itself; nothing yet, for a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, in its own pid namespace.
    pub pid: Option<u32>,
    /// Where it listens; a `vpo scan` never does.
    pub address: Option<Address>,
    /// The library that it has locked, where the lock file does not lie beside it.
    library: Option<Box<str>>,
    /// When the process started, in clock ticks since boot.
    started: Option<NonZeroU64>,
}

impl Holder {
    /// This process, before it listens. `library` is given where the lock file does not lie beside it.
    pub(super) fn this_process(library: Option<&Path>) -> Self {
        let pid = std::process::id();
        let library = library.map(|library| Escaped(library.display()).to_string().into());
        Self { pid: Some(pid), address: None, library, started: started(pid) }
    }

    /// The lock file's content.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let lines = [
            self.pid.map(|pid| pid.to_string()),
            self.address.as_ref().map(ToString::to_string),
            self.library.as_deref().map(str::to_owned),
            self.started.map(|ticks| format!("started {ticks}")),
        ];
        for line in lines.iter().flatten() {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Only whole lines count: a writer may be half way through the last one.
    fn parse(content: &str) -> Self {
        let mut lines = content.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let mut holder = Self { pid: lines.next().and_then(|line| line.parse().ok()), ..Self::default() };
        for line in lines {
            if let Some(ticks) = line.strip_prefix("started ") {
                holder.started = ticks.parse().ok();
            } else if line.starts_with('/') {
                holder.library = Some(line.into());
            } else {
                holder.address = Address::parse(line).or(holder.address);
            }
        }
        holder
    }

    /// What the holder of an open lock file has written into it. The process id is left out where no such process can be
    /// seen, or another one has that number: the file is from another time, or another pid namespace (a container).
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut holder = Self::parse(&content(file)?);
        if holder.started.is_some() && holder.pid.and_then(started) != holder.started {
            holder.pid = None;
        }
        Ok(holder)
    }

    /// Whether it says that it has locked another library than `library`: two daemons share a runtime directory.
    pub(super) fn is_elsewhere(&self, library: &Path) -> bool {
        self.library.as_deref().is_some_and(|locked| *locked != Escaped(library.display()).to_string())
    }

    /// The library that it names, for people.
    pub(super) fn library(&self) -> &str {
        self.library.as_deref().unwrap_or("unknown")
    }
}

/// All of a lock file, as far as it is ours; empty for what is not text.
pub(super) fn content(file: &File) -> io::Result<String> {
    let mut content = vec![0; LONGEST];
    // In one read: of two, the second could go on in what another write has put there meanwhile.
    let length = file.read_at(&mut content, 0)?;
    let text = content.get(..length).and_then(|content| std::str::from_utf8(content).ok());
    Ok(text.unwrap_or_default().to_owned())
}

/// When the process `pid` started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
fn started(pid: u32) -> Option<NonZeroU64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, may hold anything, and ends at the last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.address) {
            (Some(pid), Some(address)) => write!(f, "the daemon with pid {pid} at {address}"),
            (None, Some(address)) => write!(f, "another process (its lock file names {address})"),
            (Some(pid), None) => {
                write!(f, "the process with pid {pid} (`vpo scan`, or a daemon that does not listen yet)")
            }
            (None, None) => f.write_str("another process (`vpo scan`, or a daemon that does not listen yet)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_holds_lines_forges_none() {
        let library = Path::new("/v/a\nhttp://127.0.0.1:1\n\u{202e}.db");
        let address = Some(Address::Unix("/run/vpo.sock".into()));
        let holder = Holder { address, ..Holder::this_process(Some(library)) };
        let text = holder.to_text();
        assert!(text.contains("\n/v/a\\nhttp://127.0.0.1:1\\n\\u{202e}.db\n"), "{text}");
        let read = Holder::parse(&text);
        assert_eq!(read, holder);
        assert!(!read.is_elsewhere(library) && read.is_elsewhere(Path::new("/v/a")));
    }
}
