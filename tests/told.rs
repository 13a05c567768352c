//! What an operator is told: it is true, it names the thing, and it says what to do.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::run::{ANNOUNCED_AT, Run, Stage};
use crate::support::server::Reply;
use crate::support::site::Site;
use crate::support::terminal::on_terminal;

const NOTHING: [&str; 0] = [];

/// A stage with a run that has been through an upgrade to 1.1.0.
fn upgraded() -> (Stage, Run) {
    let stage = Stage::new();
    let run = upgrade(&stage);
    (stage, run)
}

fn upgrade(stage: &Stage) -> Run {
    let run = stage.start(&NOTHING);
    stage.until_started(1);
    stage.announce("1.1.0");
    stage.until_log("started 1.1.0", 1);
    stage.until_phase("Running");
    run
}

/// Puts a folder in the place of a file.
fn in_its_place(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

#[test]
fn a_roll_back_is_called_one_in_the_log_and_in_the_journal() {
    let (stage, mut run) = upgraded();
    stage.site.ok(&["rollback"]);
    stage.until_log("started 1.0.0", 2);
    stage.until_phase("Running");
    let shown = stage.site.ok(&["journal", "show"]);
    let end = run.stop(Signal::SIGINT);
    for text in [&end.stderr, &shown] {
        for rest in ["the data is as", "the upgrade lock is held", "committed, the version before"]
        {
            let wanted = format!("roll-back of v1.1.0 (1.1.0) to genesis (1.0.0): {rest}");
            assert!(text.contains(&wanted), "{wanted}\n{text}");
        }
        assert!(text.contains("upgrade 1: committed, the new version holds"), "{text}");
        assert!(!text.contains("upgrade 2"), "{text}");
    }
}

#[test]
fn a_roll_back_that_fails_is_called_one() {
    let (stage, mut run) = upgraded();
    run.stop(Signal::SIGINT);
    stage.site.ok(&["rollback"]);
    let binary = stage.site.data("genesis/bin/nym-node");
    in_its_place(&binary);
    let end = stage.run_to_end(&NOTHING);
    let wanted = format!(
        "roll-back of v1.1.0 (1.1.0) to genesis (1.0.0) failed: {0} is a folder, and should be a \
         file; move it out of the way: mv '{0}' '{0}.aside'; put the binary of genesis back",
        binary.display()
    );
    assert!(end.stderr.contains(&wanted), "{wanted}\n{}", end.stderr);
}

#[test]
fn nothing_is_said_of_a_daemon_that_is_down() {
    let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "1h");
    stage.switch("exit-at-start.1.0.0", "3");
    stage.server.put(ANNOUNCED_AT, Reply::status(503));
    let mut run = stage.start(&NOTHING);
    stage.until("a word about upstream", || {
        run.stderr().contains("upstream can't be asked").then_some(())
    });
    stage.until_phase("Restarting");
    let end = run.stop(Signal::SIGINT);
    assert!(!end.stderr.contains("runs on"), "{}", end.stderr);
}

#[test]
fn init_says_what_is_next_to_a_person_alone() {
    let site = Site::new();
    let arguments = site.init_arguments("1.0.0");
    let quiet = site.run(&arguments);
    assert!(quiet.status == 0 && !quiet.stderr.contains("next:"), "{}", quiet.stderr);
    let out = on_terminal(&site.command(&arguments), (24, 80), "");
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(told.contains("next: `nymvisor run …`"), "{told}");
    assert!(told.contains("/etc/systemd/system/nym-node.service"), "{told}");
}

#[test]
fn what_is_said_on_a_terminal_is_broken_between_words() {
    let (stage, mut run) = upgraded();
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    stage.site.ok(&["upgrades", "hold"]);
    for (arguments, columns) in [
        (&["upgrades", "hold", "--until", "12h"][..], 80),
        (&["upgrades", "list"], 40),
        (&["status"], 50),
    ] {
        let out = on_terminal(&stage.site.command(arguments), (24, columns), "");
        let told = String::from_utf8(out.stdout).unwrap();
        // The hash of the journal's head is longer than that.
        let mut lines = told.lines().filter(|line| line.contains(' ') && !line.starts_with("   "));
        assert!(lines.all(|line| line.trim_end().chars().count() <= columns), "{told}");
        assert!(told.contains("held"), "{told}");
    }
}

#[test]
fn an_upgrade_that_another_of_its_version_replaces_is_named() {
    let site = Site::new().initialised();
    let binary = site.binary("nym-node", "1.1.0").to_str().unwrap().to_owned();
    let add = |name: &str| site.run(&["add-upgrade", &binary, "--upgrade-name", name]);
    let first = add("v1.1.0");
    assert_eq!((first.status, first.stderr.as_str()), (0, ""));
    let second = add("patched");
    let wanted = "'v1.1.0' is of the same version, and no longer queued: 'patched' takes its place";
    assert!(second.status == 0 && second.stderr.contains(wanted), "{}", second.stderr);
}

#[test]
fn a_folder_in_the_place_of_the_old_binary_is_not_called_missing() {
    let (stage, mut run) = upgraded();
    let binary = stage.site.data("genesis/bin/nym-node");
    in_its_place(&binary);
    let refused = stage.site.run(&["rollback"]);
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    let wanted = format!("{0} is a folder, and should be a file; move", binary.display());
    assert!(refused.stderr.contains(&wanted), "{}", refused.stderr);
    let order = format!("mv '{0}' '{0}.aside'; put the binary of genesis back", binary.display());
    assert!(refused.stderr.contains(&order), "{}", refused.stderr);
    fs::remove_dir(&binary).unwrap();
    let refused = stage.site.run(&["rollback"]);
    assert!(refused.stderr.contains("nym-node is missing"), "{}", refused.stderr);
    assert_eq!(stage.logged("signal"), 1, "{:?}", stage.log());
    run.stop(Signal::SIGINT);
}

#[test]
fn a_folder_in_the_place_of_the_binary_that_runs_is_named_at_the_start() {
    let site = Site::new().initialised();
    let binary = site.data("genesis/bin/nym-node");
    in_its_place(&binary);
    let refused = site.run(&["run"]);
    assert_eq!(refused.status, 3, "{}", refused.stderr);
    let order = format!("move it out of the way: mv '{0}' '{0}.aside'", binary.display());
    assert!(refused.stderr.contains(&order), "{}", refused.stderr);
    assert!(refused.stderr.contains("put that binary back"), "{}", refused.stderr);
}

/// The command is one that a shell takes, also where a path has a quote in it.
#[test]
fn a_folder_in_the_place_of_a_state_file_is_named_with_the_command_that_moves_it() {
    let folder = tempfile::Builder::new().prefix("it's $HOME ").tempdir().unwrap();
    let site = Site::within(folder).initialised();
    let binary = site.binary("nym-node", "1.1.0").to_str().unwrap().to_owned();
    let add = ["add-upgrade", &binary, "--upgrade-name", "v1.1.0"];
    for path in [
        site.data("upgrade-plan.json"),
        site.data("upgrade-history.json"),
        site.home("nymvisor/current-version-info.json"),
    ] {
        let whole = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).unwrap();
        let refused = site.run(&add);
        assert_eq!(refused.status, 3, "{}", refused.stderr);
        let wanted = format!("{} is a folder, and should be a file", path.display());
        assert!(refused.stderr.contains(&wanted), "{}", refused.stderr);
        let at = refused.stderr.find("mv '").unwrap();
        let done = Command::new("sh").args(["-c", &refused.stderr[at..]]).status().unwrap();
        assert!(done.success(), "{}", refused.stderr);
        assert!(path.with_extension("json.aside").is_dir() && !path.exists());
        if let Some(whole) = whole {
            fs::write(&path, whole).unwrap();
        }
    }
    site.ok(&add);
}

#[test]
fn what_no_text_can_show_is_quoted_for_the_shell_too() {
    let path = Path::new(OsStr::from_bytes(b"/a\xff'b\\\n1"));
    let shown = r"mv $'/a\377\'b\\\0121' $'/a\377\'b\\\0121.aside'";
    assert_eq!(nymvisor::disk::mv_aside(path), shown);
}

#[test]
fn run_names_the_command_and_goes_by_what_else_it_knows() {
    let (stage, mut run) = upgraded();
    run.stop(Signal::SIGINT);
    let plan = stage.site.data("upgrade-plan.json");
    in_its_place(&plan);
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 2);
    let order = format!("mv '{0}' '{0}.aside'", plan.display());
    stage.until("the command", || run.stderr().contains(&order).then_some(()));
    fs::rename(&plan, stage.site.data("upgrade-plan.json.aside")).unwrap();
    run.stop(Signal::SIGINT);
    let mut run = stage.start(&NOTHING);
    stage.until_log("started 1.1.0", 3);
    stage.until("the plan", || plan.is_file().then_some(()));
    run.stop(Signal::SIGINT);
}

#[test]
fn a_refusal_names_the_upgrade_that_is_under_way_and_its_phase() {
    let stage = Stage::new();
    // Asked to end, it stays for its grace period.
    stage.switch("ignore-int.1.1.0", "");
    let _run = upgrade(&stage);
    stage.announce("1.2.0");
    stage.until_phase("Draining");
    let newer = stage.site.binary("nym-node", "1.3.0").to_str().unwrap().to_owned();
    let add = ["add-upgrade", &newer, "--upgrade-name", "v1.2.0", "--force", "--now"];
    for command in [&["rollback"][..], &["retry", "v1.2.0"], &add] {
        let refused = stage.site.run(command);
        assert_eq!(refused.status, 1, "{command:?}: {}", refused.stderr);
        for wanted in ["v1.2.0", "in the phase Draining", "`nymvisor journal show`"] {
            assert!(refused.stderr.contains(wanted), "{command:?}: {}", refused.stderr);
        }
    }
}
