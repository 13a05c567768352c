//! Daemons that ring when they come and go, heard from outside of everything that is measured.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::daemon::FakeDaemon;
use crate::support::run::Stage;

/// Of an upgrade of the largest home, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(10);

type Ring = (Instant, String);

/// Listens to daemons: `started <version> <parent>` they say themselves, `ended <version>` is the
/// kernel's word, which closes their end of a FIFO when they exit.
pub(crate) struct Bell {
    folder: PathBuf,
    ring: Sender<Ring>,
    rung: Receiver<Ring>,
    /// What has been heard and not asked for. Two daemons are heard by two threads, so that the
    /// end of one may be told after the start of the next.
    heard: RefCell<Vec<Ring>>,
}

impl Bell {
    /// Puts its FIFOs into `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (ring, rung) = channel();
        let bell = Self { folder: folder.to_owned(), ring, rung, heard: RefCell::default() };
        mkfifo(&bell.silence(), Mode::S_IRWXU).unwrap();
        bell
    }

    /// A FIFO that nobody writes to: to read it is to wait with no helper process.
    fn silence(&self) -> PathBuf {
        self.folder.join("silence")
    }

    /// Begins to listen to the daemons of a version. The thread ends with this program.
    fn listen(&self, version: &str) -> PathBuf {
        let path = self.folder.join(format!("bell-{version}"));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let (fifo, ring, ended) = (path.clone(), self.ring.clone(), format!("ended {version}"));
        std::thread::spawn(move || {
            // To open it is to wait for a daemon, and to read on is to wait for its end.
            while let Ok(lines) = File::open(&fifo).map(|file| BufReader::new(file).lines()) {
                let lines = lines.map_while(Result::ok).chain([ended.clone()]);
                for line in lines {
                    if ring.send((Instant::now(), line)).is_err() {
                        return;
                    }
                }
            }
        });
        path
    }

    /// Waits for the next line that begins so.
    pub(crate) fn until(&self, stage: &Stage, beginning: &str) -> Ring {
        let end = Instant::now() + DEADLINE;
        let mut heard = self.heard.borrow_mut();
        loop {
            if let Some(at) = heard.iter().position(|(_, line)| line.starts_with(beginning)) {
                return heard.remove(at);
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(ring) = self.rung.recv_timeout(left) else {
                panic!("no daemon says {beginning:?}\n{}", stage.story());
            };
            heard.push(ring);
        }
    }

    /// A `nym-node` that stays up. It has no trap: a shell that blocks in `read` may miss a signal
    /// that it was to handle itself, and the kernel ends it at once.
    pub(crate) fn steady_daemon(&self, version: &str) -> Vec<u8> {
        self.daemon(version, "while :; do read -r line <&4; done")
    }

    /// One that writes a MiB to each of so many files `changing-<n>` when it is asked to stop.
    pub(crate) fn busy_daemon(&self, version: &str, folder: &Path, files: usize) -> Vec<u8> {
        let body = BUSY
            .replace("@FOLDER@", folder.to_str().unwrap())
            .replace("@FILES@", &files.to_string());
        self.daemon(version, &body)
    }

    /// One that says `crashed <version>` and does so, at once.
    pub(crate) fn crashing_daemon(&self, version: &str) -> Vec<u8> {
        self.daemon(version, &format!("echo crashed {version} >&3; exit 1"))
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
            .replace("@BELL@", self.listen(version).to_str().unwrap())
            .replace("@SILENCE@", self.silence().to_str().unwrap())
            .replace("@VERSION@", version)
            .replace("@BODY@", body);
        script.into_bytes()
    }
}

/// So many bytes that no compressor can make smaller.
pub(crate) fn random(bytes: usize) -> Vec<u8> {
    let mut random = Vec::with_capacity(bytes);
    let source = File::open("/dev/urandom").unwrap();
    source.take(bytes as u64).read_to_end(&mut random).unwrap();
    random
}

const BUSY: &str = r#"exec python3 -c '
import os, signal
asked = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)
signal.sigwait(asked)
for n in range(@FILES@):
    with open("@FOLDER@/changing-%d" % n, "wb") as file:
        file.write(os.urandom(1 << 20))
'"#;

const SCRIPT: &str = r#"#!/bin/sh
if [ "$2" = build-info ]; then
    printf '%s\n' '@INFO@'
    exit 0
fi
exec 3> '@BELL@' 4<> '@SILENCE@'
echo "started @VERSION@ $PPID" >&3
@BODY@
"#;
