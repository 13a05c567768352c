//! Daemons that ring when they come and go, heard from outside of everything that is measured.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::daemon::FakeDaemon;
use crate::support::run::Stage;

const DEADLINE: Duration = Duration::from_mins(2);
/// What ends the listening thread.
const OVER: &str = "over";

/// A FIFO that daemons write to, and the times at which their lines came.
pub(crate) struct Bell {
    path: PathBuf,
    /// A FIFO that nobody writes to: to read it is to wait without a helper process.
    silence: PathBuf,
    rung: Receiver<(Instant, String)>,
    own: File,
}

impl Bell {
    /// Puts its FIFOs into `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (path, silence) = (folder.join("bell"), folder.join("silence"));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        mkfifo(&silence, Mode::S_IRWXU).unwrap();
        // Open in both directions, so that it never ends while no daemon is there.
        let own = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let lines = BufReader::new(own.try_clone().unwrap()).lines();
        let (ring, rung) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).take_while(|line| line != OVER) {
                if ring.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Self { path, silence, rung, own }
    }

    /// Waits for the next line that begins so; those before it are lost.
    pub(crate) fn until(&self, stage: &Stage, beginning: &str) -> (Instant, String) {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.rung.recv_timeout(left) else {
                panic!("no daemon says {beginning:?}\n{}", stage.story());
            };
            if line.starts_with(beginning) {
                return (at, line);
            }
        }
    }

    /// A `nym-node` that rings `started <version> <parent>` and `ended`, stays up and ends when it
    /// is asked to.
    pub(crate) fn steady_daemon(&self, version: &str) -> Vec<u8> {
        self.daemon(version, "while :; do read -r line <&4; done")
    }

    /// One that rings the same and crashes at once.
    pub(crate) fn crashing_daemon(&self, version: &str) -> Vec<u8> {
        self.daemon(version, "echo ended >&3; exit 1")
    }

    /// The same as [`Self::steady_daemon`], of so many bytes.
    pub(crate) fn large_daemon(&self, version: &str, bytes: usize) -> Vec<u8> {
        let mut script = self.steady_daemon(version);
        // A shell reads no further than it has to: nothing is read after this line.
        script.extend_from_slice(b"exit\n");
        let padding = random(bytes.saturating_sub(script.len()));
        script.extend(padding);
        script
    }

    fn daemon(&self, version: &str, body: &str) -> Vec<u8> {
        let script = SCRIPT
            .replace("@INFO@", &FakeDaemon::new("nym-node", version).build_info().to_string())
            .replace("@BELL@", self.path.to_str().unwrap())
            .replace("@SILENCE@", self.silence.to_str().unwrap())
            .replace("@VERSION@", version)
            .replace("@BODY@", body);
        script.into_bytes()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = writeln!(self.own, "{OVER}");
    }
}

/// So many bytes that no compressor can make smaller.
pub(crate) fn random(bytes: usize) -> Vec<u8> {
    use std::io::Read;
    let mut random = Vec::with_capacity(bytes);
    let source = fs::File::open("/dev/urandom").unwrap();
    source.take(bytes as u64).read_to_end(&mut random).unwrap();
    random
}

const SCRIPT: &str = r#"#!/bin/sh
if [ "$2" = build-info ]; then
    printf '%s\n' '@INFO@'
    exit 0
fi
exec 3<> '@BELL@' 4<> '@SILENCE@'
trap 'echo ended >&3; exit 0' INT TERM
echo "started @VERSION@ $PPID" >&3
@BODY@
"#;
