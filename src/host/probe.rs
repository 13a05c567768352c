//! Asking a binary what it is.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::proc::Awaited;
use crate::release::BuildInfo;

const ARGUMENTS: [&str; 3] = ["--no-banner", "build-info", "--output=json"];
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;
/// As much of stderr as is of use in a message.
const MAX_STDERR_BYTES: u64 = 4096;
/// How long what is left on stderr is waited for. It is only quoted.
const LAST_WORDS: Duration = Duration::from_millis(200);
const QUOTED_LINES: usize = 5;
const QUOTED_CHARS: usize = 200;
/// A file that was just written may still be open for writing in a process that forked meanwhile.
const BUSY_TRIES: usize = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// Why a binary could not be asked, or didn't answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("{} does not exist", path.display())]
    Absent {
        /// The binary.
        path: PathBuf,
    },
    /// It is no file.
    #[error("{} is not a file: the path of a daemon's binary is expected", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses to execute it.
    #[error("{} can't be executed: permission denied; see its mode bits (chmod +x) and those \
             of its folders, and that its file system is not mounted noexec", path.display())]
    NotExecutable {
        /// The binary.
        path: PathBuf,
    },
    /// It is no program for this machine.
    #[error("{} is no program for this machine ({}); get the daemon's binary for it",
            path.display(), std::env::consts::ARCH)]
    NotAProgram {
        /// The file.
        path: PathBuf,
    },
    /// Starting or reading failed otherwise.
    #[error("can't run {}", path.display())]
    Run {
        /// The binary.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It didn't end in time, and was killed.
    #[error("'{} build-info' did not end within {}; is it a Nym daemon's binary?{}",
            path.display(), humantime::format_duration(*timeout), quoted(stderr))]
    TimedOut {
        /// The binary.
        path: PathBuf,
        /// How long it was waited for.
        timeout: Duration,
        /// What it said.
        stderr: String,
    },
    /// It ended with a failure.
    #[error("'{} build-info' failed ({status}); is it a Nym daemon's binary?{}",
            path.display(), quoted(stderr))]
    Failed {
        /// The binary.
        path: PathBuf,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// It printed more than any build info holds.
    #[error("'{} build-info' printed more than 1 MiB; it is no Nym daemon's binary",
            path.display())]
    TooLong {
        /// The binary.
        path: PathBuf,
    },
    /// It printed something else.
    #[error("'{} build-info' printed no build info: {problem}; is it a Nym daemon's binary?{}",
            path.display(), quoted(stderr))]
    Garbage {
        /// The binary.
        path: PathBuf,
        /// What is wrong with what it printed.
        problem: String,
        /// What it said on stderr.
        stderr: String,
    },
}

/// Runs `<binary> --no-banner build-info --output=json` and reads what it prints.
///
/// It runs in a process group of its own, which is killed when this ends in any way: what it has
/// started can't outlive the question, nor hold it up by keeping the pipe open.
pub async fn build_info(binary: &Path, timeout: Duration) -> Result<BuildInfo, Error> {
    let path = || binary.to_owned();
    match std::fs::metadata(binary) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(Error::NotAFile { path: path() }),
        Err(error) => return Err(start_error(path(), error)),
    }
    let binary =
        std::path::absolute(binary).map_err(|source| Error::Run { path: path(), source })?;
    let mut child = start(&binary).await?;
    let group = Group::of(child.id());
    let mut stdout = Collected::default();
    let mut stderr = Collected::default();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = {
        let mut said = std::pin::pin!(stderr.fill(err, MAX_STDERR_BYTES));
        let mut all_said = false;
        let talk = async {
            let mut answered = std::pin::pin!(async {
                stdout.fill(out, MAX_OUTPUT_BYTES + 1).await?;
                // Whoever prints more is blocked on the pipe: there is no point in waiting.
                let over = stdout.is_over(MAX_OUTPUT_BYTES);
                if over { Ok(None) } else { child.wait().await.map(Some) }
            });
            tokio::select! {
                ended = &mut answered => ended,
                _ = &mut said => {
                    all_said = true;
                    answered.await
                }
            }
        };
        let ended = tokio::time::timeout(timeout, talk).await;
        drop(group);
        if !all_said {
            // With the group gone the pipe ends, unless somebody has left the group.
            let _ = tokio::time::timeout(LAST_WORDS, said).await;
        }
        ended
    };
    let said = stderr.text();
    match ended {
        Err(_) => Err(Error::TimedOut { path: binary, timeout, stderr: said }),
        Ok(Err(source)) => Err(Error::Run { path: binary, source }),
        Ok(Ok(None)) => Err(Error::TooLong { path: binary }),
        Ok(Ok(Some(status))) => answer(&binary, status, &stdout.bytes, said),
    }
}

fn answer(
    binary: &Path,
    status: ExitStatus,
    stdout: &[u8],
    stderr: String,
) -> Result<BuildInfo, Error> {
    let path = binary.to_owned();
    if !status.success() {
        let status = match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("status {}", status.code().unwrap_or_default()),
        };
        return Err(Error::Failed { path, status, stderr });
    }
    serde_json::from_slice(stdout).map_err(|error| {
        let problem = error.to_string();
        Error::Garbage { path, problem, stderr }
    })
}

async fn start(binary: &Path) -> Result<Child, Error> {
    let mut tries = 0;
    loop {
        let started = Command::new(binary)
            .args(ARGUMENTS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        match started {
            Ok(child) => return Ok(child),
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Err(error) => return Err(start_error(binary.to_owned(), error)),
        }
    }
}

fn start_error(path: PathBuf, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(nix::libc::ENOENT) if !path.exists() => Error::Absent { path },
        Some(nix::libc::EACCES) => Error::NotExecutable { path },
        // A missing interpreter or loader is ENOENT although the file is there.
        Some(nix::libc::ENOEXEC | nix::libc::ENOENT) => Error::NotAProgram { path },
        _ => Error::Run { path, source },
    }
}

/// Kills a process group when it is dropped; until then its leader's status is ours to take.
struct Group(Option<Awaited>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self(leader.map(Awaited::of))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.as_ref().map(Awaited::pid);
        if let Some(group) = leader.and_then(|pid| i32::try_from(pid).ok()) {
            // Where nothing of it is left, that is what was wanted.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// What came through a pipe so far; it stays when reading is given up.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
}

impl Collected {
    async fn fill(
        &mut self,
        from: Option<impl AsyncRead + Unpin>,
        max_bytes: u64,
    ) -> io::Result<()> {
        match from {
            Some(from) => from.take(max_bytes).read_to_end(&mut self.bytes).await.map(drop),
            None => Ok(()),
        }
    }

    fn is_over(&self, max_bytes: u64) -> bool {
        u64::try_from(self.bytes.len()).map_or(true, |len| len > max_bytes)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The first lines of what it said, without control characters.
fn quoted(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let lines = lines.take(QUOTED_LINES).map(|line| {
        let clean = line.chars().filter(|c| !c.is_control());
        format!("\n  {}", clean.take(QUOTED_CHARS).collect::<String>())
    });
    let text: String = lines.collect();
    if text.is_empty() { text } else { format!("; it said:{text}") }
}
