//! Instances that share the data folder.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use nymvisor::disk::RealDisk;
use nymvisor::machine::{Requester, Version};
use nymvisor::requests::{self, Request, Wish};
use serde_json::Value;

use super::{fates, hindrance, pruned};
use crate::backups_cli::upgraded;
use crate::support::helper::{Guarded, eventually};
use crate::support::run::Stage;
use crate::support::site::read_json;

/// A stage that has been through upgrades, and a second instance of it that still runs v1.1.0.
fn with_a_second() -> Stage {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0", "1.4.0"]);
    // Its variables speak for the instance that is asked, not for the other one.
    stage.set("NYMVISOR_VERSION_RETENTION", "1");
    let binary = stage.site.binary("nym-node", "1.4.0");
    let home = second_home(&stage);
    fs::create_dir_all(&home).unwrap();
    let mut init = stage.site.command(&["init", "--id", "second", binary.to_str().unwrap()]);
    let out = init.env("DAEMON_HOME", &home).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let file = home.join("nymvisor/current-version-info.json");
    let mut version: Value = read_json(&file);
    version["name"] = "v1.1.0".into();
    version["version"] = "1.1.0".into();
    fs::write(&file, version.to_string()).unwrap();
    stage.set("NYMVISOR_ID", "nym-node-default");
    stage
}

fn second_home(stage: &Stage) -> PathBuf {
    stage.site.path("second")
}

#[test]
fn what_another_instance_runs_or_may_go_back_to_stays() {
    let stage = with_a_second();
    let report = pruned(&stage, 0, &["--dry-run"]);
    assert_eq!(fates(&report, "versions")[1..3], ["v1.1.0: needed", "+v1.2.0: beyond-count"]);
    assert_eq!(report["versions"]["items"][1]["text"], "the instance 'second' runs it");

    // The way back of the second is what the journal of the first tells of its own.
    let instances = stage.site.path(".nym/nymvisors/instances");
    let own = fs::read_to_string(instances.join("nym-node-default/data/journal/00000001.jsonl"));
    let own = own.unwrap();
    let journal = instances.join("second/data/journal");
    fs::create_dir_all(&journal).unwrap();
    let so_far = own.lines().position(|line| line.contains("started 1.3.0"));
    let so_far = so_far.or_else(|| {
        let is_it = |line: &str| line.contains("swap-committed");
        own.lines().enumerate().filter(|(_, line)| is_it(line)).map(|(at, _)| at).nth(2)
    });
    let lines: Vec<&str> = own.lines().take(so_far.unwrap() + 2).collect();
    fs::write(journal.join("00000001.jsonl"), lines.join("\n") + "\n").unwrap();
    let report = pruned(&stage, 0, &[]);
    assert_eq!(fates(&report, "versions")[1..3], ["v1.1.0: needed", "v1.2.0: needed"]);
    assert_eq!(report["versions"]["items"][2]["text"], "the instance 'second' may go to it");
}

/// Whoever can't be asked may need any of them.
#[test]
fn nothing_goes_while_another_instance_cannot_be_asked() {
    let stage = with_a_second();
    let second = stage.site.path(".nym/nymvisors/instances/second");
    let config = second.join("config/config.toml");
    let version = second_home(&stage).join("nymvisor/current-version-info.json");
    let claimed = stage.site.path("elsewhere.toml");
    fs::write(&claimed, "[daemon]\nname = 'nym-node'\n").unwrap();
    let claim = second.join("data/belongs-to");
    let journal = second.join("data/journal/00000001.jsonl");
    fs::create_dir_all(journal.parent().unwrap()).unwrap();
    let damages = [
        (config, "[daemon\n".to_owned()),
        (version, "{".to_owned()),
        (claim, format!("{}\n", claimed.display())),
        (journal, "{}\n".to_owned()),
    ];
    for (file, content) in damages {
        let before = fs::read(&file).ok();
        fs::write(&file, content).unwrap();
        let tree = stage.site.tree();
        let report = pruned(&stage, 1, &[]);
        let why = hindrance(&report, "versions");
        let said = why.contains("the instance 'second' can't be asked what it runs");
        assert!(said && why.contains("nothing is removed"), "{}: {why}", file.display());
        stage.site.assert_unchanged(&tree);
        let text = stage.site.run(&["prune"]);
        assert!(text.stdout.contains("  NOT done: nothing is removed"), "{text:?}");
        before.map_or_else(|| fs::remove_file(&file), |it| fs::write(&file, it)).unwrap();
    }
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[2], "+v1.2.0: beyond-count");
}

/// What is there may be on a disk that is not mounted.
#[test]
fn an_instance_that_is_not_all_there_cannot_be_asked() {
    let stage = with_a_second();
    let second = stage.site.path(".nym/nymvisors/instances/second");
    let away = stage.site.path("away");
    let (home, data) = (second_home(&stage), second.join("data"));
    let nowhere = stage.site.path("not-mounted");
    let places = [
        (home, None, "it has no journal, and "),
        (data.clone(), Some(&nowhere), "/second/data leads nowhere"),
        (second.join("config/config.toml"), Some(&nowhere), "/config.toml leads nowhere"),
        (second, Some(&nowhere), "/second leads nowhere"),
        (data.join("journal"), Some(&away), "a link to "),
    ];
    for (place, link, said) in places {
        if !place.exists() {
            fs::create_dir(&place).unwrap();
        }
        fs::rename(&place, &away).unwrap();
        if let Some(target) = link {
            symlink(target, &place).unwrap();
        }
        let tree = stage.site.tree();
        let report = pruned(&stage, 1, &[]);
        let why = hindrance(&report, "versions");
        let refused = why.contains("the instance 'second' can't be asked what it runs: ");
        assert!(refused && why.contains(said), "{}: {why}", place.display());
        stage.site.assert_unchanged(&tree);
        if link.is_some() {
            fs::remove_file(&place).unwrap();
        }
        fs::rename(&away, &place).unwrap();
    }
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[1], "v1.1.0: needed");
}

/// Nobody may ever write to a FIFO: it is not waited for.
#[test]
fn what_is_no_file_is_not_read() {
    let stage = with_a_second();
    let second = stage.site.path(".nym/nymvisors/instances/second");
    let version = second_home(&stage).join("nymvisor/current-version-info.json");
    let request = second.join("data/requests/1.request.json");
    fs::create_dir_all(second.join("data/requests")).unwrap();
    let data = stage.site.data("upgrade-history.json");
    let away = stage.site.path("away");
    for place in [
        second.join("config/config.toml"),
        second.join("data/belongs-to"),
        version.clone(),
        version.with_file_name("current-version.json"),
        request,
        data,
    ] {
        let was_there = fs::rename(&place, &away).is_ok();
        if place.ends_with("current-version.json") {
            fs::rename(&version, stage.site.path("version")).unwrap();
        }
        mkfifo(&place, Mode::S_IRWXU).unwrap();
        let mut prune = stage.site.command(&["prune"]);
        prune.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut prune = Guarded(prune.spawn().unwrap());
        let status = eventually("its end", || prune.0.try_wait().unwrap());
        let mut said = String::new();
        prune.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let what = format!("{}", place.display());
        assert_eq!(status.code(), Some(1), "{what}: {said}");
        let why = format!("{} is a socket, FIFO or device", place.display());
        assert!(said.contains("NOT done: nothing is removed") && said.contains(&why), "{said}");
        fs::remove_file(&place).unwrap();
        if place.ends_with("current-version.json") {
            fs::rename(stage.site.path("version"), &version).unwrap();
        }
        if was_there {
            fs::rename(&away, &place).unwrap();
        }
    }
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[2], "+v1.2.0: beyond-count");
}

/// The engine has not taken it up yet.
#[test]
fn what_a_waiting_roll_back_names_stays() {
    let stage = with_a_second();
    let to = Version { name: "v1.2.0".to_owned(), version: "1.2.0".to_owned() };
    let wish = Wish::RollBack { to, keep_data: true };
    let requester = Requester::Command { uid: 0, user: "somebody".to_owned() };
    let request = Request { wish, requester };
    for id in ["nym-node-default", "second"] {
        let folder = stage.site.path(".nym/nymvisors/instances").join(id).join("data/requests");
        let left = requests::leave(&RealDisk, &folder, &request).unwrap();
        let report = pruned(&stage, 0, &[]);
        let item = &report["versions"]["items"][2];
        assert_eq!((&item["name"], &item["why"]), (&"v1.2.0".into(), &"needed".into()), "{id}");
        assert_eq!(item["text"], format!("the instance '{id}' is asked to go back to it"));
        let file = folder.join(format!("{left}.request.json"));
        fs::write(&file, "{").unwrap();
        let why = hindrance(&pruned(&stage, 1, &[]), "versions").to_owned();
        assert!(why.contains(&format!("{left}.request.json")), "{why}");
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(fates(&pruned(&stage, 0, &[]), "versions")[2], "+v1.2.0: beyond-count");
}

/// One of another root is found by the mark that it leaves in the data folder.
#[test]
fn an_instance_of_another_root_is_asked_as_well() {
    let mut stage = upgraded(&["1.1.0", "1.2.0", "1.3.0"]);
    stage.set("NYMVISOR_VERSION_RETENTION", "1");
    let (root, home) = (stage.site.path("other"), second_home(&stage));
    fs::create_dir_all(&home).unwrap();
    let there = |arguments: &[&str]| {
        let mut command = stage.site.command(arguments);
        command.env("NYM_HOME_DIR", &root).env("DAEMON_HOME", &home);
        command.env("NYMVISOR_UPGRADE_DATA_DIRECTORY", stage.site.path(".nym/nymvisors/data"));
        command
    };
    let binary = stage.site.binary("nym-node", "1.3.0");
    let out = there(&["init", binary.to_str().unwrap()]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let version = home.join("nymvisor/current-version-info.json");
    let was = fs::read_to_string(&version).unwrap();
    fs::write(&version, was.replace("1.3.0", "1.1.0")).unwrap();

    let report = pruned(&stage, 0, &["--dry-run"]);
    assert_eq!(fates(&report, "versions")[1], "v1.1.0: needed");
    assert_eq!(report["versions"]["items"][1]["text"], "the instance 'nym-node-default' runs it");
    // Who can't be asked may run any of them.
    let folder = root.join(".nym/nymvisors/instances/nym-node-default");
    for (place, said) in [
        (root.clone(), "there is no instance in "),
        (folder.join("config/config.toml"), "there is no instance in "),
        (version.clone(), "can't be asked what it runs: it has no journal, and "),
    ] {
        let away = stage.site.path("away");
        fs::rename(&place, &away).unwrap();
        let why = hindrance(&pruned(&stage, 1, &[]), "versions").to_owned();
        assert!(why.contains(said) && why.contains("nothing is removed"), "{why}");
        fs::rename(&away, &place).unwrap();
    }
    // A mark that is lost is left again at the next start.
    let marks = stage.site.data(".used-by");
    let mark = fs::read_dir(&marks).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, "{").unwrap();
    let why = hindrance(&pruned(&stage, 1, &[]), "versions").to_owned();
    assert!(why.contains("should name an instance that uses this data folder"), "{why}");
    fs::remove_file(&mark).unwrap();
    assert_eq!(fates(&pruned(&stage, 0, &["--dry-run"]), "versions")[1], "+v1.1.0: beyond-count");
    let mut run = Guarded(there(&["run", "run"]).stdout(Stdio::null()).spawn().unwrap());
    eventually("its mark", || fs::read_to_string(&mark).ok().filter(|now| *now == text));
    kill(Pid::from_raw(run.0.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    eventually("its end", || run.0.try_wait().unwrap());
    // Those of the folder's own root leave none: they lie beside one another.
    assert_eq!(fs::read_dir(&marks).unwrap().count(), 1);
}
