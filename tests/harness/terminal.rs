//! A terminal of its own for a program: what it shows to a person, and what it does without one.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A pseudo-terminal. What is written to it is collected.
pub(crate) struct Terminal {
    theirs: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// A new one.
    pub(crate) fn new() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&ours).expect("granted");
        unlockpt(&ours).expect("unlocked");
        let name = ptsname(&ours, Vec::new()).expect("a name");
        let name = OsStr::from_bytes(name.to_bytes());
        let theirs = OpenOptions::new().read(true).write(true).open(name).expect("opens");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&screen);
        std::thread::spawn(move || {
            let (mut ours, mut buffer) = (File::from(ours), [0; 4096]);
            // Ends with an error when the last descriptor of the other side is closed.
            while let Ok(count @ 1..) = ours.read(&mut buffer) {
                sink.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Self { theirs, screen }
    }

    /// The side of the program.
    pub(crate) fn end(&self) -> File {
        self.theirs.try_clone().expect("a descriptor")
    }

    /// What it shows so far, with the line ends of the program.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("not poisoned")).replace("\r\n", "\n")
    }
}
