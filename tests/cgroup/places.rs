//! Where the group of this process is, by what the kernel shows of mounts.

use std::path::{Path, PathBuf};

use nymvisor::host::cgroup::{Place, candidates, folders, path_of};

use super::{Nest, Signal, Stage, fs, read_only, start_in};

/// Version 1 hierarchies beside it.
const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const UNIFIED: &str = "\
24 30 0:22 / /proc rw,nosuid shared:14 - proc proc rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate
";

#[test]
fn it_is_found_below_the_root_of_the_mount() {
    let table: [(&str, &str, &[&str]); 8] = [
        (HYBRID, "/", &["/sys/fs/cgroup/unified"]),
        (HYBRID, "/system.slice/a.service", &["/sys/fs/cgroup/unified/system.slice/a.service"]),
        (UNIFIED, "/system.slice/a.service", &["/sys/fs/cgroup/system.slice/a.service"]),
        ("", "/", &[]),
        ("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "/", &[]),
        // A container that was given a part of the host's.
        (
            "1 2 0:30 /docker/123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            "/docker/123/inner",
            &["/sys/fs/cgroup/inner"],
        ),
        ("1 2 0:30 /docker/123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/docker/1234", &[]),
        // A blank, as the kernel writes it; and the same place twice.
        (
            "1 2 0:30 / /mnt/two\\040words rw - cgroup2 none rw\n\
             2 2 0:30 /a /mnt/two\\040words/a rw - cgroup2 none rw\n",
            "/a/b",
            &["/mnt/two words/a/b"],
        ),
    ];
    for (mounts, own, expected) in table {
        let found = folders(mounts.as_bytes(), Path::new(own));
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(found, expected, "{own} in\n{mounts}");
    }
    assert_eq!(folders(b"nonsense\n\xff \n - cgroup2", Path::new("/")), Vec::<PathBuf>::new());
}

#[test]
fn the_kernel_says_so_too() {
    let Some(nest) = Nest::new() else { return };
    let own = path_of("self").unwrap();
    assert!(candidates().iter().all(|folder| folder.ends_with(own.strip_prefix("/").unwrap())));
    assert_eq!(path_of("0"), None);
    let place = Place::at(nest.folder.clone(), "test");
    assert!(!place.holds(std::process::id()));
    let group = place.make("session", 7).unwrap();
    assert!(group.path().ends_with("nymvisor-test-session-7"), "{}", group.path().display());
    assert!(place.make("session", 7).is_err(), "its name is taken");
    let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let mut child = crate::support::helper::Guarded(child);
    fs::write(group.entrance(), child.0.id().to_string()).unwrap();
    assert!(place.holds(child.0.id()) && group.is_populated().unwrap());
    assert!(!Place::at(nest.folder.clone(), "tes").holds(child.0.id()));
    assert_eq!(group.members(), [child.0.id()]);
    assert_eq!(group.spared_for(), None);
    // A process may go into a group that it has made itself.
    let below = group.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.procs"), child.0.id().to_string()).unwrap();
    assert!(place.holds(child.0.id()) && group.is_populated().unwrap());
    assert_eq!(group.members(), [child.0.id()]);
    group.kill().unwrap();
    child.0.wait().unwrap();
    assert!(!group.is_populated().unwrap());
    assert_eq!(place.groups(), std::slice::from_ref(&group));
    // What its processes have made below it goes with it.
    fs::create_dir_all(group.path().join("a/b")).unwrap();
    group.remove().unwrap();
    assert!(place.groups().is_empty());
    assert!(!group.is_populated().unwrap(), "one that is gone holds nobody");
    group.remove().unwrap();
    group.kill().unwrap();
}

#[test]
fn check_tells_which_means_is_in_force() {
    let Some(nest) = Nest::new() else { return };
    let stage = Stage::new();
    let told = || {
        let outcome = stage.site.run(&["check", "--output", "json"]);
        let found: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let found = found["findings"].as_array().unwrap().clone();
        let about: Vec<_> = found.into_iter().filter(|it| it["what"] == "group").collect();
        assert_eq!(about.len(), 1, "{about:?}");
        let word = |name: &str| about[0][name].as_str().unwrap_or_default().to_owned();
        (word("verdict"), word("text"), word("remedy"))
    };
    let (verdict, text, _) = told();
    assert!(verdict == "ok" && text.contains("would give the daemon a control group"), "{text}");
    let mut run = start_in(&nest, &stage);
    let pid = stage.until_started(1);
    stage.until_phase("Running");
    let (verdict, text, _) = told();
    assert_eq!(verdict, "ok");
    assert_eq!(text, format!("the daemon, process {pid}, has a control group of its own"));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));

    let Some(command) = read_only(&stage.run_command(&["run"])) else { return };
    let mut run = stage.start_command(command);
    stage.until_started(2);
    stage.until_event("daemon-spawned", 2);
    let (verdict, text, remedy) = told();
    assert!(verdict == "warn" && text.contains("has no control group"), "{text}");
    assert!(remedy.contains("Delegate=yes"), "{remedy}");
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}
