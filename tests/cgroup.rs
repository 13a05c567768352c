//! A control group of its own for each daemon, with real groups; skipped where none can be made.
//!
//! Each test has a group of its own to start nymvisor in, so that it sees what is left there.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::helper::is_live;
use crate::support::nest::{Nest, read_only};
use crate::support::run::{Run, Stage};

mod escapes;
mod places;
mod refused;
mod sessions;
mod starts;

/// A process of a session of its own with nothing in its environment, which lives for a few
/// milliseconds: long enough to write a byte, and to start the next of its kind. A file ends it.
const CHAIN: &str = r#"
[ -e "$1/stop" ] && exit
printf x >> "$1/chain"
env -i setsid -f /bin/sh "$1/chain.sh" "$1"
"#;

/// A process of a session of its own with nothing in its environment, which lives until it is
/// killed. It hears the polite signal.
const HIDDEN: &str = r#"
trap 'echo hidden asked >> "$1/events.log"' INT
echo hidden $$ >> "$1/events.log"
while [ -d "$1" ] && ! [ -e "$1/stop" ]; do printf x >> "$1/hidden"; sleep 0.02; done
"#;

/// A daemon that starts one of these, and ends when it is asked to.
fn install(stage: &Stage, name: &str, script: &str) {
    let path = stage.site.home(&format!("{name}.sh"));
    fs::write(&path, script).unwrap();
    stage.install_script(&format!(
        "trap 'exit 0' INT
        [ -e \"$home/{name}\" ] || env -i setsid -f /bin/sh \"$home/{name}.sh\" \"$home\"
        while ! [ -s \"$home/{name}\" ]; do sleep 0.01; done
        echo started 1.0.0 $$ >> \"$home/events.log\"
        while :; do sleep 0.02; done"
    ));
}

/// A `run` of the stage in this group.
fn start_in(nest: &Nest, stage: &Stage) -> Run {
    stage.start_command(nest.within(&stage.run_command(&["run"])))
}

/// How much a file in the home holds.
fn length(stage: &Stage, name: &str) -> u64 {
    fs::metadata(stage.site.home(name)).map_or(0, |meta| meta.len())
}

/// The process id in the last line of the daemons' log that begins so.
fn pid_of(stage: &Stage, beginning: &str) -> u32 {
    stage.until_log(beginning, 1).rsplit(' ').next().unwrap().parse().unwrap()
}

/// What escapes is to end with the test all the same.
struct Stopped<'a>(&'a Stage);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = fs::write(self.0.site.home("stop"), "");
    }
}
