//! Real processes for tests: this program again in another role, and waiting without guessing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "NYMVISOR_TEST_ROLE";
const FOLDER: &str = "NYMVISOR_TEST_FOLDER";
/// More than anything that is waited for takes, on a machine whose medium is busy with other work
/// as well: what is synced may wait half a minute there.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// This test program again, running `test` alone, which finds its role by [`role`].
pub(crate) fn again(test: &str, role: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]);
    command.env(ROLE, role).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The same, started by a shell after `prelude`, which can ignore signals for it.
pub(crate) fn again_after(prelude: &str, test: &str, role: &str, folder: &Path) -> Command {
    let plain = again(test, role, folder);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{prelude}; exec \"$0\" \"$@\""));
    command.arg(plain.get_program()).args(plain.get_args());
    command.env(ROLE, role).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The role and the folder that [`again`] gave this process; none where the suite just runs.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(FOLDER)?.into()))
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The number that somebody writes into a file, once a whole line is there.
pub(crate) fn number_in(path: &Path) -> u32 {
    eventually(&format!("a number in {}", path.display()), || {
        let content = std::fs::read_to_string(path).ok()?;
        content.strip_suffix('\n')?.trim().parse().ok()
    })
}

/// Whether a process is there and no zombie.
pub(crate) fn is_live(pid: u32) -> bool {
    nymvisor::proc::stat(pid).is_ok_and(|stat| stat.live)
}

/// A child that doesn't outlive its test.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
