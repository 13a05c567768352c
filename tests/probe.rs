//! Asking binaries what they are, however they behave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nymvisor::host::probe::{Error, build_info};
use nymvisor::release::BuildInfo;

use crate::support::daemon::FakeDaemon;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

async fn ask(folder: &Path, script: &str, timeout: Duration) -> Result<BuildInfo, Error> {
    let path = folder.join("daemon");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    build_info(&path, timeout).await
}

fn ends(pid: u32) -> bool {
    let deadline = Instant::now() + LONG;
    let stat = format!("/proc/{pid}/stat");
    while Instant::now() < deadline {
        // A zombie that nobody has reaped has ended too.
        match fs::read_to_string(&stat) {
            Err(_) => return true,
            Ok(text) if text.contains(") Z ") => return true,
            Ok(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

#[tokio::test]
async fn a_daemon_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nym-node");
    let daemon = FakeDaemon::new("nym-node", "1.2.3");
    daemon.write(&path);
    let info = build_info(&path, LONG).await.unwrap();
    assert_eq!(serde_json::to_value(&info).unwrap(), *daemon.build_info());
}

#[tokio::test]
async fn h11_a_binary_that_hangs_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script = format!(
        "#!/bin/sh\necho 'what is that?' >&2\nsleep 1000 &\necho $$ $! > {}\nwait",
        pids.display()
    );
    let error = ask(folder.path(), &script, Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("within 2s") && error.to_string().contains("what is that?"));
    let pids = fs::read_to_string(pids).unwrap();
    for pid in pids.split_whitespace() {
        assert!(ends(pid.parse().unwrap()), "{pid} lives on");
    }
}

#[tokio::test]
async fn h11_a_grandchild_that_keeps_the_pipe_open_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("#!/bin/sh\nsleep 1000 &\necho $! > {}\nexit 0", pid.display());
    let error = ask(folder.path(), &script, Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(ends(fs::read_to_string(pid).unwrap().trim().parse().unwrap()));
    // On stderr alone it is no reason to wait at all.
    let info = FakeDaemon::new("n", "1.0.0").build_info().to_string();
    let script = format!("#!/bin/sh\nsleep 1000 >&- &\necho '{info}'");
    ask(folder.path(), &script, LONG).await.unwrap();
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let error = ask(folder.path(), "#!/bin/sh\nexec yes", LONG).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    let error = ask(folder.path(), "#!/bin/sh\nexec yes >&2", SHORT).await.unwrap_err();
    assert!(!matches!(error, Error::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn garbage_and_failures_are_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let answers = ["", "{}", "[1,2]", "<html>", "{\"binary_name\":1}", "{} {}"];
    for answer in answers {
        let script = format!("#!/bin/sh\necho '{answer}'; echo hint >&2");
        let error = ask(folder.path(), &script, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Garbage { .. }), "{answer}: {error}");
        assert!(error.to_string().contains("hint"), "{error}");
    }
    let script = "#!/bin/sh\nprintf '\\033[31merror: unknown --no-banner\\n' >&2; exit 2";
    let error = ask(folder.path(), script, LONG).await.unwrap_err().to_string();
    assert!(error.contains("(status 2)") && error.contains("\n  [31merror: unknown"), "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
    let error = ask(folder.path(), "#!/bin/sh\nkill -9 $$", LONG).await.unwrap_err();
    assert!(error.to_string().contains("(signal 9)"), "{error}");
}

#[tokio::test]
async fn what_is_no_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon");
    let asked = || build_info(&path, LONG);
    assert!(matches!(asked().await, Err(Error::Absent { .. })));
    fs::create_dir(&path).unwrap();
    assert!(matches!(asked().await, Err(Error::NotAFile { .. })));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "no program").unwrap();
    assert!(matches!(asked().await, Err(Error::NotExecutable { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(asked().await, Err(Error::NotAProgram { .. })));
    let missing_loader = ask(folder.path(), "#!/no/such/interpreter\n", LONG).await;
    assert!(matches!(missing_loader, Err(Error::NotAProgram { .. })));
}

#[tokio::test]
async fn a_file_that_is_still_open_for_writing_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon");
    // Scripts aren't held up by this, their interpreter is what is executed: a program is needed.
    fs::copy("/bin/true", &path).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let closing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(writer);
    };
    let (answer, ()) = tokio::join!(build_info(&path, LONG), closing);
    assert!(matches!(answer, Err(Error::Garbage { .. })), "it ran: {answer:?}");
}
