//! Processes that run without us, with real ones.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nymvisor::host::processes::{Foreign, Sought, foreign, is_alive, leftovers};
use nymvisor::machine::Daemon;
use nymvisor::proc;
use tempfile::{TempDir, tempdir};

use crate::support::helper::{Guarded, again, eventually, role};

const NAME: &str = "nym-node";
/// Says that it is there, opens a file if it is told to, and waits without a child of its own.
const SCRIPT: &str = "#!/bin/sh
if [ -n \"$OPENS\" ]; then file=$OPENS; unset OPENS; exec 3>>\"$file\"; fi
echo ready
read line
";

/// A user's folder with two homes of the same daemon, and an instance of ours for the first.
struct Place {
    top: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { top: tempdir().unwrap() };
        for folder in [place.home("x").join("data"), place.home("x").join("nymvisor")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::create_dir_all(place.home("y")).unwrap();
        fs::create_dir_all(place.path("bin")).unwrap();
        for name in [NAME, "nymvisor", "nym-api", "vim"] {
            let script = place.path("bin").join(name);
            fs::write(&script, SCRIPT).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for id in ["one", "two"] {
            let config = place.config(id);
            fs::create_dir_all(config.parent().unwrap()).unwrap();
            let home = if id == "one" { place.home("x") } else { place.home("y") };
            fs::write(config, format!("[daemon]\nhome = \"{}\"\n", home.display())).unwrap();
        }
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.top.path().join(below)
    }

    fn home(&self, id: &str) -> PathBuf {
        self.path("user/.nym/nym-nodes").join(id)
    }

    fn config(&self, id: &str) -> PathBuf {
        self.path("user/.nym/nymvisors/instances").join(id).join("config/config.toml")
    }

    fn sought(&self) -> Sought {
        Sought {
            home: self.home("x"),
            daemon_name: NAME.to_owned(),
            binaries_dir: self.path("user/.nym/nymvisors/data/nym-node"),
            our_args: vec!["run".into(), "--mode".into(), "mixnode".into()],
            user_home: Some(self.path("user").into()),
            token_prefix: format!("one-{}", self.top.path().display()),
            config_path: self.config("one"),
            instance_id: "one".to_owned(),
        }
    }

    /// A process of that name with these arguments; `@` in front stands for this place.
    fn start(&self, fake: &Fake) -> Guarded {
        let mut command = Command::new("/bin/sh");
        command.arg(self.path("bin").join(fake.name)).args(fake.args.iter().map(|a| self.at(a)));
        self.dress(&mut command, fake);
        ready(command)
    }

    fn dress(&self, command: &mut Command, fake: &Fake) {
        command.env_clear().envs(fake.env.iter().map(|(name, value)| (name, self.at(value))));
        command.current_dir(if fake.cwd.is_empty() { "/".into() } else { self.at(fake.cwd) });
        if !fake.opens.is_empty() {
            command.env("OPENS", self.at(fake.opens));
        }
    }

    fn at(&self, text: &str) -> OsString {
        let parts: Vec<&str> = text.splitn(2, '@').collect();
        match parts.as_slice() {
            [before, below] => {
                let mut whole = OsString::from(before);
                whole.push(self.path(below));
                whole
            }
            _ => text.into(),
        }
    }
}

#[derive(Default)]
struct Fake {
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    cwd: &'static str,
    opens: &'static str,
}

fn ready(mut command: Command) -> Guarded {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // Another thread's fork may hold a file open that was written a moment ago.
    let mut child = eventually("the start", || command.spawn().ok());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Guarded(child)
}

fn assert_found(place: &Place, fake: &Fake, why: &str) {
    let guarded = place.start(fake);
    let Foreign { pid, command_line, why: told } =
        foreign(&place.sought()).unwrap_or_else(|| panic!("not found: {why}, {:?}", fake.args));
    assert_eq!(pid, guarded.0.id());
    assert!(command_line.contains(fake.name), "{command_line}");
    assert!(told.contains(why), "{told}, not {why}");
}

fn assert_overlooked(place: &Place, fake: &Fake) {
    let guarded = place.start(fake);
    let found = foreign(&place.sought());
    assert_eq!(found, None, "{:?} {:?} in {:?}", fake.args, fake.env, fake.cwd);
    drop(guarded);
}

const HOME: (&str, &str) = ("HOME", "@user");

#[test]
fn evidence_that_a_daemon_serves_the_home() {
    let place = Place::new();
    let daemon = || Fake { name: NAME, args: &["run"], ..Fake::default() };
    let table = [
        (Fake { cwd: "@user/.nym/nym-nodes/x", ..daemon() }, "working folder"),
        (Fake { cwd: "@user/.nym/nym-nodes/x/data", ..daemon() }, "working folder"),
        (Fake { opens: "@user/.nym/nym-nodes/x/data/db", ..daemon() }, "open"),
        (Fake { args: &["run", "--home", "@user/.nym/nym-nodes/x"], ..daemon() }, "argument"),
        (Fake { args: &["run", "--home=@user/.nym/nym-nodes/x/"], ..daemon() }, "argument"),
        (Fake { args: &["-c", "@user/.nym/nym-nodes/x/data/c.toml"], ..daemon() }, "argument"),
        (Fake { args: &["--home=@user/.nym/nym-nodes/y/../x"], ..daemon() }, "argument"),
        (Fake { args: &["--home", "nym-nodes/x"], cwd: "@user/.nym", ..daemon() }, "argument"),
        (Fake { env: &[("NYMNODE_HOME", "@user/.nym/nym-nodes/x")], ..daemon() }, "NYMNODE_HOME"),
        (Fake { args: &["run", "--id", "x"], env: &[HOME], ..daemon() }, "--id x"),
        (Fake { args: &["run", "--id=x"], env: &[HOME], ..daemon() }, "--id x"),
        (Fake { args: &["run", "--mode", "mixnode"], env: &[HOME], ..daemon() }, "same arguments"),
    ];
    for (fake, why) in &table {
        assert_found(&place, fake, why);
        assert_eq!(foreign(&place.sought()), None, "it has ended");
    }
}

#[test]
fn what_looks_like_evidence_and_is_none() {
    let place = Place::new();
    let daemon = || Fake { name: NAME, args: &["run"], ..Fake::default() };
    let ours = ["run", "--mode", "mixnode"].as_slice();
    let table = [
        // Another home of the same daemon.
        Fake { cwd: "@user/.nym/nym-nodes/y", env: &[HOME], ..daemon() },
        Fake { args: &["run", "--id", "y"], env: &[HOME], ..daemon() },
        Fake { args: &["--home=@user/.nym/nym-nodes/x/../y"], ..daemon() },
        Fake { cwd: "@user/.nym/nym-nodes", env: &[HOME], ..daemon() },
        // Backups and locks in the home are nymvisor's.
        Fake { opens: "@user/.nym/nym-nodes/x/nymvisor/backup", ..daemon() },
        Fake { env: &[("BACKUPS", "@user/.nym/nym-nodes/x/nymvisor/backups")], ..daemon() },
        // Where a shell was says nothing.
        Fake { env: &[("OLDPWD", "@user/.nym/nym-nodes/x")], ..daemon() },
        // The same id elsewhere, or by its own word for another home.
        Fake { args: &["run", "--id", "x"], env: &[("HOME", "@another")], ..daemon() },
        Fake { args: &["run", "--id", "x"], ..daemon() },
        Fake {
            args: &["run", "--id", "x"],
            env: &[HOME, ("DAEMON_HOME", "@user/.nym/nym-nodes/y")],
            ..daemon()
        },
        // The same arguments for somebody else.
        Fake { args: ours, env: &[("HOME", "@another")], ..daemon() },
        Fake { args: ours, env: &[HOME, ("NYMVISOR_SESSION_TOKEN", "two:7")], ..daemon() },
        Fake { args: ours, env: &[HOME, ("DAEMON_HOME", "@user/.nym/nym-nodes/y")], ..daemon() },
        Fake { args: &["run", "--mode"], env: &[HOME], ..daemon() },
        // It only says what it is.
        Fake { args: &["build-info"], cwd: "@user/.nym/nym-nodes/x", ..daemon() },
        // Other programs.
        Fake { name: "nym-api", cwd: "@user/.nym/nym-nodes/x", ..daemon() },
        Fake { name: "vim", args: &["nym-node"], cwd: "@user/.nym/nym-nodes/x", ..daemon() },
    ];
    for fake in &table {
        assert_overlooked(&place, fake);
    }
}

#[test]
fn empty_arguments_are_no_evidence() {
    let place = Place::new();
    let _running = place.start(&Fake { name: NAME, env: &[HOME], ..Fake::default() });
    let sought = Sought { our_args: Vec::new(), ..place.sought() };
    assert_eq!(foreign(&sought), None);
}

#[test]
fn a_daemon_is_known_by_its_script_its_binary_or_where_that_lies() {
    let place = Place::new();
    let inside = Fake { cwd: "@user/.nym/nym-nodes/x", ..Fake::default() };
    // As a script that the kernel runs, by the short name.
    let mut script = Command::new(place.path("bin").join(NAME));
    place.dress(&mut script, &inside);
    // As a binary under its name, deleted since; and under another name among our binaries.
    let binaries = place.sought().binaries_dir.join("genesis/bin");
    fs::create_dir_all(&binaries).unwrap();
    let (named, placed) = (place.path("nym-node"), binaries.join("other"));
    for binary in [&named, &placed] {
        fs::copy("/bin/sh", binary).unwrap();
    }
    for (program, argument, deleted) in [
        (script.get_program().to_owned(), None, false),
        (named.clone().into_os_string(), Some(SCRIPT), true),
        (placed.into_os_string(), Some(SCRIPT), false),
    ] {
        let mut command = Command::new(&program);
        std::os::unix::process::CommandExt::arg0(&mut command, "disguised");
        command.args(argument.map(|text| ["-c", text]).into_iter().flatten());
        place.dress(&mut command, &inside);
        let running = ready(command);
        if deleted {
            fs::remove_file(&named).unwrap();
        }
        let found = foreign(&place.sought());
        assert_eq!(found.map(|found| found.pid), Some(running.0.id()), "{}", program.display());
    }
}

#[test]
fn a_link_to_the_home_is_the_home() {
    let place = Place::new();
    let link = place.path("linked");
    std::os::unix::fs::symlink(place.home("x"), &link).unwrap();
    let fake = Fake { name: NAME, cwd: "@user/.nym/nym-nodes/x", ..Fake::default() };
    let running = place.start(&fake);
    let found = foreign(&Sought { home: link, ..place.sought() });
    assert_eq!(found.map(|found| found.pid), Some(running.0.id()));
}

#[test]
fn another_nymvisor_of_the_home_is_named() {
    let place = Place::new();
    fs::write(
        place.path("file.env"),
        format!("# ours\nexport NYMVISOR_ID='one'\nNYM_HOME_DIR={:?}\n", place.path("user")),
    )
    .unwrap();
    let manager = || Fake { name: "nymvisor", args: &["run", "run"], ..Fake::default() };
    let named = &[("DAEMON_HOME", "@user/.nym/nym-nodes/x")];
    let table = [
        (Fake { env: named, ..manager() }, "DAEMON_HOME"),
        (Fake { env: &[HOME, ("NYMVISOR_ID", "one")], ..manager() }, "instance one"),
        (
            Fake { env: &[("NYM_HOME_DIR", "@user"), ("NYMVISOR_ID", "one")], ..manager() },
            "instance one",
        ),
        (
            Fake {
                env: &[(
                    "NYMVISOR_CONFIG_PATH",
                    "@user/.nym/nymvisors/instances/one/config/config.toml",
                )],
                ..manager()
            },
            "instance one",
        ),
        (Fake { args: &["-c", "@file.env", "run", "--id", "x"], ..manager() }, "instance one"),
        (
            Fake {
                args: &["--config-env-file=file.env", "run"],
                cwd: "@",
                env: &[HOME, ("NYMVISOR_ID", "two")],
                ..manager()
            },
            "instance one",
        ),
        (Fake { env: &[("NYMVISOR_CONFIG_PATH", "@copy.toml")], ..manager() }, "names the home"),
        (Fake { opens: "@user/.nym/nym-nodes/x/nymvisor/some.lock", ..manager() }, "open"),
    ];
    fs::copy(place.config("one"), place.path("copy.toml")).unwrap();
    for (fake, why) in &table {
        assert_found(&place, fake, why);
    }
    // The only instance is taken by one that was told nothing.
    assert_overlooked(&place, &Fake { env: &[HOME], ..manager() });
    fs::remove_file(place.config("two")).unwrap();
    assert_found(&place, &Fake { env: &[HOME], ..manager() }, "instance one");
}

#[test]
fn another_nymvisor_of_another_home_is_not() {
    let place = Place::new();
    let manager = || Fake { name: "nymvisor", args: &["run", "run"], ..Fake::default() };
    let named = &[("DAEMON_HOME", "@user/.nym/nym-nodes/x")];
    for fake in [
        Fake { env: &[HOME, ("NYMVISOR_ID", "two")], ..manager() },
        Fake { env: &[("HOME", "@another"), ("NYMVISOR_ID", "one")], ..manager() },
        Fake {
            env: &[HOME, ("NYMVISOR_ID", "one"), ("DAEMON_HOME", "@user/.nym/nym-nodes/y")],
            ..manager()
        },
        // Commands that run nothing.
        Fake { args: &["config"], env: named, ..manager() },
        Fake { args: &["add-upgrade", "run"], env: named, ..manager() },
        Fake { args: &["-c", "run"], env: named, ..manager() },
    ] {
        assert_overlooked(&place, &fake);
    }
}

#[test]
fn a_command_line_is_shown_without_credentials() {
    let place = Place::new();
    let fake = Fake {
        name: NAME,
        args: &[
            "run",
            "--nyxd",
            "https://me:secret@host/path",
            "http://plain/x@y",
            "--api=http://a?k=secret",
        ],
        cwd: "@user/.nym/nym-nodes/x",
        ..Fake::default()
    };
    // Nothing of this stands for a folder here.
    let mut command = Command::new("/bin/sh");
    command.arg(place.path("bin").join(NAME)).args(fake.args);
    place.dress(&mut command, &fake);
    let _running = ready(command);
    let shown = foreign(&place.sought()).unwrap().command_line;
    assert!(
        shown.ends_with("run --nyxd https://host/path http://plain/x@y --api=http://a?…"),
        "{shown}"
    );
}

#[test]
fn our_ancestors_never_count() {
    let Some((role, folder)) = role() else { return look_from_below() };
    assert_eq!(role, "below");
    let home = folder.join("home");
    let sought = Sought { home, ..Place::new().sought() };
    fs::write(folder.join("found"), format!("{:?}", foreign(&sought))).unwrap();
}

/// A script named like the daemon, in its home, starts us.
fn look_from_below() {
    let folder = tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let script = home.join(NAME);
    fs::write(&script, "\"$@\"; exit $?").unwrap();
    let below = again("processes::our_ancestors_never_count", "below", folder.path());
    let mut command = Command::new("/bin/sh");
    command.arg(&script).arg(below.get_program()).args(below.get_args()).current_dir(&home);
    command.envs(below.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("found")).unwrap(), "None");
}

#[test]
fn another_users_daemon_is_judged_by_its_command_line() {
    const NOBODY: u32 = 65534;
    if let Some((role, folder)) = role() {
        let home =
            PathBuf::from(std::env::var_os("HOME").unwrap()).join(".nym/nym-nodes").join(role);
        let place = Place::new();
        let sought = Sought { home, ..place.sought() };
        return fs::write(folder.join("found"), format!("{:?}", foreign(&sought))).unwrap();
    }
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let folder = tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), None).unwrap();
    let id = folder.path().file_name().and_then(OsStr::to_str).unwrap().to_owned();
    let mut command = Command::new("/bin/sh");
    command.arg(place.path("bin").join(NAME)).args(["run", "--id", &id]);
    let running = ready(command);
    let this = "processes::another_users_daemon_is_judged_by_its_command_line";
    let mut looker = again(this, &id, folder.path());
    std::os::unix::process::CommandExt::uid(&mut looker, NOBODY);
    // The program may lie where only root can reach it.
    let Ok(status) = looker.status() else { return };
    assert!(status.success());
    let found = fs::read_to_string(folder.path().join("found")).unwrap();
    assert!(found.contains(&format!("pid: {}", running.0.id())), "{found}");
}

#[test]
fn h06_what_an_earlier_session_left_is_found_by_its_token() {
    let place = Place::new();
    let prefix = place.top.path().display().to_string();
    let start = |token: String| {
        let mut command = Command::new("/bin/sh");
        command.arg(place.path("bin").join("vim")).env("NYMVISOR_SESSION_TOKEN", token);
        ready(command)
    };
    let mut ours = start(format!("{prefix}:3"));
    let _others = [
        start(format!("{prefix}2:3")),
        start(prefix.clone()),
        start(format!("x{prefix}:3")),
        start(String::new()),
    ];
    let found = leftovers(&prefix);
    let pids: Vec<u32> = found.iter().map(|found| found.pid).collect();
    assert_eq!(pids, [ours.0.id()]);
    assert!(is_alive(found[0]));
    assert!(!is_alive(Daemon { started_ticks: found[0].started_ticks + 1, ..found[0] }));
    // Ended, but not yet buried.
    ours.0.kill().unwrap();
    eventually("a zombie", || (!proc::stat(ours.0.id()).unwrap().live).then_some(()));
    assert!(!is_alive(found[0]));
    assert_eq!(leftovers(&prefix), []);
}
