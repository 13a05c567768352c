//! The demo's folder, and the processes that it starts in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::cli::Error;
use crate::config::{self, Config, Env, Paths};
use crate::disk::RealDisk;

/// Name of the daemon that is played.
pub(super) const DAEMON: &str = "nym-node";

/// What may be inherited. All else might change what the demo shows: our own variables, a proxy.
const INHERITED: [&str; 3] = ["PATH", "LANG", "LD_LIBRARY_PATH"];
/// So much data makes a backup that can be seen in the timeline.
const DATABASE_BYTES: usize = 8 * 1024 * 1024;
/// A download that can be seen in the journal.
const BINARY_BYTES: usize = 1024 * 1024;
/// A run that was asked to end is killed after so long.
const END_PATIENCE: Duration = Duration::from_secs(15);
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// What was killed a moment ago may still be writing while its folder is removed.
const REMOVE_TRIES: u32 = 50;

/// A temporary folder with all that the demo needs.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    program: PathBuf,
}

impl Stage {
    /// A new folder, which goes when this is dropped.
    pub(super) fn new() -> Result<Self, Error> {
        let temp = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("nymvisor-demo-").tempdir_in(&temp);
        let program = std::env::current_exe().map_err(Error::io("find", Path::new("nymvisor")))?;
        Ok(Self { folder: folder.map_err(Error::io("create a folder in", &temp))?, program })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Something in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The daemon's home.
    pub(super) fn home(&self) -> PathBuf {
        self.join("home")
    }

    /// Puts data into the daemon's home, and a shell of our own beside it.
    pub(super) fn furnish(&self) -> Result<(), Error> {
        let made = || -> io::Result<()> {
            let data = self.home().join("data");
            fs::create_dir_all(self.home().join("config"))?;
            fs::create_dir_all(&data)?;
            fs::write(self.home().join("config/config.toml"), "[host]\nport = 1789\n")?;
            fs::write(data.join("ledger.log"), "")?;
            fs::write(data.join("node.db"), noise(DATABASE_BYTES))?;
            std::os::unix::fs::symlink("node.db", data.join("current.db"))?;
            std::os::unix::fs::symlink("/bin/sh", self.join("sh"))
        };
        made().map_err(Error::io("set the stage in", self.path()))
    }

    /// The binary of a daemon: a script that has this program play it.
    pub(super) fn binary(&self, shell: &Path, version: &str, flags: &[OsString]) -> Vec<u8> {
        let home = self.home();
        let mut script = b"#!".to_vec();
        script.extend_from_slice(shell.as_os_str().as_bytes());
        script.extend_from_slice(b"\nexec");
        let fixed = ["play-daemon", "--name", DAEMON, "--version", version, "--home"];
        let words = [self.program.as_os_str()].into_iter().chain(fixed.map(OsStr::new));
        for word in words.chain([home.as_os_str()]).chain(flags.iter().map(OsString::as_os_str)) {
            script.push(b' ');
            script.extend(quoted(word));
        }
        script.extend_from_slice(b" -- \"$@\"\n");
        // The shell is gone when it would come to this.
        while script.len() < BINARY_BYTES {
            script.extend_from_slice(b"# a real daemon's binary has some tens of megabytes\n");
        }
        script
    }

    /// Writes an executable file.
    pub(super) fn put_executable(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.join(name);
        let put = fs::write(&path, bytes)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
        put.map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// What every command here is told by its environment.
    fn env(&self) -> Vec<(OsString, OsString)> {
        let inherited = INHERITED
            .into_iter()
            .filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(name), value)));
        let ours = ["HOME", "NYM_HOME_DIR"].map(|name| (name.into(), self.path().into()));
        inherited.chain(ours).collect()
    }

    /// The configuration and the paths of the instance, once there is one.
    pub(super) fn load(&self) -> Result<(Config, Paths), Error> {
        Ok(config::load(&RealDisk, &Env::of(self.env()))?)
    }

    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().envs(self.env()).stdin(Stdio::null()).process_group(0);
        let parent = nix::unistd::getpid();
        #[expect(unsafe_code, reason = "the closure makes only async-signal-safe system calls")]
        unsafe {
            command.pre_exec(move || {
                // What we block to hear it in our own time.
                SigSet::empty().thread_set_mask()?;
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                // A parent that died before that call sends no signal any more.
                let is_orphan = nix::unistd::getppid() != parent;
                if is_orphan { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
            });
        }
        command
    }

    /// Runs a command of this program to its end, and gives what came of it.
    pub(super) fn output(&self, args: &[OsString]) -> Result<Output, Error> {
        self.command(args).output().map_err(Error::io("run", &self.program))
    }

    /// Runs a command of this program, which must succeed.
    pub(super) fn run(&self, args: &[OsString]) -> Result<(), Error> {
        let output = self.output(args)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        Err(Error::Refused(format!("the command failed ({}): {said}", output.status)))
    }

    /// Starts a command of this program that goes on; what it prints goes to `log`.
    pub(super) fn start(
        &self,
        args: &[OsString],
        envs: &[(&str, &str)],
        log: &str,
    ) -> Result<Started, Error> {
        let path = self.join(log);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let both = file.try_clone().map_err(Error::io("share", &path))?;
        let mut command = self.command(args);
        let child = command.envs(envs.iter().copied()).stdout(file).stderr(both).spawn();
        Ok(Started { child: child.map_err(Error::io("run", &self.program))?, ended: None })
    }

    /// Leaves the folder where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// Removes the folder.
    pub(super) fn remove(self) -> Result<(), Error> {
        let path = self.folder.keep();
        for _ in 1..REMOVE_TRIES {
            if fs::remove_dir_all(&path).is_ok() {
                return Ok(());
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        fs::remove_dir_all(&path).map_err(Error::io("remove", &path))
    }
}

/// A process that ends when this is dropped: it is asked first, and killed if that doesn't help.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Started {
    /// Asks it to end.
    pub(super) fn ask_to_end(&self) {
        if let (None, Ok(pid)) = (self.ended, i32::try_from(self.child.id())) {
            // It is our child and not yet waited for: the id is its own.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.ask_to_end();
        let since = Instant::now();
        while self.ended().is_none() {
            if since.elapsed() > END_PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }
}

/// A word as a shell takes it literally.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.to_owned().into_vec() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Bytes that can't be compressed (a xorshift generator).
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise
}
