//! Control groups of tests, to start nymvisor in; and mounts that let it make none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nymvisor::host::cgroup::{Place, candidates};

use super::groups;

/// A group that a test has made. All that is in it ends with it.
#[derive(Debug)]
pub(crate) struct Nest {
    pub(crate) folder: PathBuf,
}

impl Nest {
    /// None where no group can be made: that is said, and the test is skipped.
    pub(crate) fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let place = match Place::find("test") {
            Ok(place) => place,
            Err(why) => {
                eprintln!("skipped: no control group can be made here: {why}");
                return None;
            }
        };
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let folder = place.folder().join(format!("test-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Some(Self { folder })
    }

    /// The same command, begun in this group.
    pub(crate) fn within(&self, command: &Command) -> Command {
        let script = "echo 0 > \"$0\"/cgroup.procs && exec \"$@\"";
        wrapped(command, "sh", &["-c".as_ref(), script.as_ref(), self.folder.as_os_str()])
    }

    /// Those that nymvisor has made in it, by name.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        groups::end(&self.folder);
    }
}

/// A command with another program in front of it: its folder and environment stay, and it leads a
/// process group, as `Stage::start` has it.
pub(crate) fn wrapped(command: &Command, program: &str, arguments: &[&OsStr]) -> Command {
    let mut wrapped = Command::new(program);
    wrapped.args(arguments).arg(command.get_program()).args(command.get_args());
    wrapped.env_clear().current_dir(command.get_current_dir().unwrap());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.process_group(0);
    wrapped
}

/// The same command where control groups can only be read; none where this can't be done.
pub(crate) fn read_only(command: &Command) -> Option<Command> {
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no mount namespace can be made here (unshare)");
        return None;
    }
    let mut script = String::from("set -e\n");
    for folder in candidates() {
        let folder = folder.display();
        script += &format!("mount --bind '{folder}' '{folder}'\n");
        script += &format!("mount -o remount,bind,ro '{folder}'\n");
    }
    script += "exec \"$@\"\n";
    let arguments = ["--mount", "sh", "-c", &script, "sh"].map(OsStr::new);
    Some(wrapped(command, "unshare", &arguments))
}
