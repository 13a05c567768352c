//! `nymvisor run` as a real process, with a real daemon and an upstream on loopback.
//!
//! ```ignore
//! let stage = Stage::new().with("DAEMON_FAILURE_RESTART_DELAY", "50ms");
//! stage.announce("1.1.0");
//! let mut run = stage.start(&["run"]);
//! stage.until_event("swap-committed", 1);
//! stage.until_log("started 1.1.0", 1);
//! assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
//! stage.assert_consistent();
//! ```

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nymvisor::{digest, proc};
use serde_json::{Value, json};

use super::daemon::FakeDaemon;
use super::groups;
use super::helper::DEADLINE;
use super::server::{Reply, Server};
use super::site::{Site, read_json};

pub(crate) mod process;

use process::id;
pub(crate) use process::{End, Record, Run};

/// Where the daemon of the site is announced.
pub(crate) const ANNOUNCED_AT: &str = "/up/nym-node/upgrade-info.json";
/// Between two looks that cost a process.
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// An instance that runs 1.0.0, with short durations and an upstream that announces nothing.
///
/// The daemon's home is handed to it as `DAEMON_HOME`, so it may be started with any arguments.
/// What still carries that variable when the stage is dropped is killed.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) server: Server,
    runs: AtomicU32,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::after(|_| {})
    }

    /// The same with something done, or set, before `init`.
    pub(crate) fn after(prepare: impl FnOnce(&mut Site)) -> Self {
        Self::on(Site::new(), prepare)
    }

    /// The same on a site of one's own.
    pub(crate) fn on(mut site: Site, prepare: impl FnOnce(&mut Site)) -> Self {
        let server = Server::start();
        site.set_env("DAEMON_HOME", site.home("").to_str().unwrap().trim_end_matches('/'));
        site.set_env("NYMVISOR_UPSTREAM_BASE_UPGRADE_URL", &server.url("/up"));
        site.set_env("NYMVISOR_UPSTREAM_POLLING_RATE", "200ms");
        site.set_env("DAEMON_FAILURE_RESTART_DELAY", "50ms");
        site.set_env("DAEMON_STARTUP_PERIOD_DURATION", "60s");
        site.set_env("DAEMON_SHUTDOWN_GRACE_PERIOD", "20s");
        fs::create_dir_all(site.home("")).unwrap();
        prepare(&mut site);
        Self::of(site.initialised(), server)
    }

    /// One on a site with an installation of another origin.
    pub(crate) fn of(site: Site, server: Server) -> Self {
        Self { site, server, runs: AtomicU32::new(0) }
    }

    /// With another setting.
    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.set(variable, value);
        self
    }

    /// Sets a variable for what is started from now on.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.site.set_env(variable, value);
    }

    /// Sets a switch of the fake daemon (see [`FakeDaemon`]).
    pub(crate) fn switch(&self, name: &str, value: &str) {
        fs::write(self.site.home(name), value).unwrap();
    }

    /// Puts another program in the place of the installed daemon, whatever version that claims.
    ///
    /// It is a shell script: `$home` is its home, and it answers build-info as 1.0.0.
    pub(crate) fn install_script(&self, body: &str) {
        let info = FakeDaemon::new("nym-node", "1.0.0").build_info().to_string();
        let script = format!(
            "#!/bin/sh\n[ \"$2\" = build-info ] && echo '{info}' && exit 0\n\
             home=$DAEMON_HOME\n{body}"
        );
        self.install(script.as_bytes());
    }

    /// Replaces the file of the installed daemon.
    pub(crate) fn install(&self, content: &[u8]) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.site.data("genesis/bin/nym-node");
        // Beside and renamed: a fork elsewhere may hold the written file open (ETXTBSY).
        let beside = path.with_extension("new");
        fs::write(&beside, content).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// `nymvisor run` with these arguments for the daemon, in a process group of its own.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, daemon_args: &[S]) -> Run {
        let mut command = self.run_command(daemon_args);
        command.process_group(0);
        self.start_command(command)
    }

    /// The command behind [`Stage::start`], to be changed before it is started.
    pub(crate) fn run_command<S: AsRef<OsStr>>(&self, daemon_args: &[S]) -> Command {
        let mut command = self.site.command(&["run"]);
        command.args(daemon_args).stdin(Stdio::null());
        command
    }

    /// Starts it with stdout and stderr going to files.
    pub(crate) fn start_command(&self, mut command: Command) -> Run {
        let number = self.runs.fetch_add(1, Ordering::SeqCst);
        let path = |name: &str| self.site.path(&format!("run-{number}.{name}"));
        let (stdout, stderr) = (path("stdout"), path("stderr"));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Run { child: command.spawn().unwrap(), stdout, stderr }
    }

    /// Lets a `run` come to its end by itself.
    pub(crate) fn run_to_end<S: AsRef<OsStr>>(&self, daemon_args: &[S]) -> End {
        self.start(daemon_args).wait()
    }

    /// An announcement of `v<version>`, due at once, of a binary for any platform that the server
    /// hands out. To be changed at will and given to [`Stage::publish`].
    pub(crate) fn announcement(&self, version: &str) -> Value {
        let binary = FakeDaemon::new("nym-node", version).script();
        let path = format!("/bin/{version}");
        self.server.put(&path, Reply::ok(binary.as_bytes()).etag("\"1\"").ranges());
        json!({
            "manual": false,
            "name": format!("v{version}"),
            "notes": "",
            "publishDate": null,
            "version": version,
            "platforms": { "any": {
                "checksum": digest::sha256(binary.as_bytes()),
                "checksumAlgorithm": "sha256",
                "url": self.server.url(&path),
            }},
            "upgradeTime": "2026-01-01T00:00:00Z",
        })
    }

    /// Upstream says this from now on.
    pub(crate) fn publish(&self, announcement: &Value) {
        self.server.put(ANNOUNCED_AT, Reply::ok(announcement.to_string()));
    }

    /// Upstream announces this version, due at once.
    pub(crate) fn announce(&self, version: &str) {
        self.publish(&self.announcement(version));
    }

    /// Everything in the journal.
    pub(crate) fn records(&self) -> Vec<Record> {
        let shown = self.site.ok(&["journal", "show", "--output", "json"]);
        shown.lines().map(|line| Record(serde_json::from_str(line).unwrap())).collect()
    }

    /// The names of all events.
    pub(crate) fn events(&self) -> Vec<String> {
        self.records().iter().map(|record| record.event().to_owned()).collect()
    }

    /// The phases gone through, each change once.
    pub(crate) fn phases(&self) -> Vec<String> {
        let mut phases: Vec<String> =
            self.records().iter().map(|record| record.to().to_owned()).collect();
        phases.dedup();
        phases
    }

    /// The rows of the recovery table that applied so far.
    pub(crate) fn rows(&self) -> Vec<String> {
        let records = self.records();
        let recovered = records.iter().filter(|record| record.event() == "recovered");
        recovered.map(|record| record.data()["row"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the journal has so many events of this name; gives the last of them.
    pub(crate) fn until_event(&self, name: &str, count: usize) -> Record {
        self.until(&format!("{count} x {name} in the journal"), || {
            let mut found = self.records();
            found.retain(|record| record.event() == name);
            found.get(count - 1).cloned()
        })
    }

    /// Waits until the engine stands in this phase.
    pub(crate) fn until_phase(&self, phase: &str) {
        self.until(&format!("phase {phase}"), || {
            self.records().last().filter(|record| record.to() == phase).map(|_| ())
        });
    }

    /// Waits for an answer; what waited for is told with everything that was said when it fails.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < end, "still waiting: {what}\n{}", self.story());
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// What the daemons wrote to their `events.log`.
    pub(crate) fn log(&self) -> Vec<String> {
        let content = fs::read_to_string(self.site.home("events.log")).unwrap_or_default();
        // A power cut may leave zeros where a daemon's lines were that it had not synced.
        content.lines().map(|line| line.trim_start_matches('\0').to_owned()).collect()
    }

    /// The backups in their usual folder, without what lies beside them.
    pub(crate) fn archives(&self) -> Vec<PathBuf> {
        let folder = self.site.home("nymvisor/backups");
        let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
        let paths = entries.filter_map(Result::ok).map(walkdir::DirEntry::into_path);
        paths.filter(|path| path.to_string_lossy().ends_with("-preupgrade.tar.zst")).collect()
    }

    /// How many lines of the daemons' log begin so.
    pub(crate) fn logged(&self, beginning: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(beginning)).count()
    }

    /// Waits until so many lines of the daemons' log begin so; gives the last of them.
    pub(crate) fn until_log(&self, beginning: &str, count: usize) -> String {
        self.until(&format!("{count} x {beginning:?} in events.log"), || {
            let mut found = self.log();
            found.retain(|line| line.starts_with(beginning));
            found.get(count - 1).cloned()
        })
    }

    /// Waits for the `count`th start of a daemon, and gives its process id. Its traps are set then.
    pub(crate) fn until_started(&self, count: usize) -> u32 {
        self.until_log("started", count).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The daemons of this stage that are alive: leaders of a group with a session token.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        let marked = |stat: &proc::Stat| {
            stat.group == stat.pid && self.belongs(stat.pid, "NYMVISOR_SESSION_TOKEN=")
        };
        let stats = proc::stats().unwrap().into_iter();
        stats.filter(|stat| stat.live && marked(stat)).map(|stat| stat.pid).collect()
    }

    /// Kills the daemon that is up, as a crash would.
    pub(crate) fn kill_daemon(&self) {
        let pid = fs::read_to_string(self.site.home("daemon.pid")).unwrap();
        kill(id(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }

    /// Whether a process has this stage's home, and this variable, in its environment.
    fn belongs(&self, pid: u32, variable: &str) -> bool {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let home = format!("DAEMON_HOME={}", self.site.home("").to_str().unwrap());
        let home = home.trim_end_matches('/').as_bytes();
        let mut entries = environ.split(|byte| *byte == 0);
        let has_home = entries.clone().any(|entry| entry == home);
        has_home && entries.any(|entry| entry.starts_with(variable.as_bytes()))
    }

    /// Kills what is left of all that was started here; false where nothing was.
    pub(crate) fn kill_all(&self) -> bool {
        let mut left = proc::stats().unwrap_or_default();
        left.retain(|stat| self.belongs(stat.pid, ""));
        for stat in &left {
            let _ = kill(id(stat.pid), Signal::SIGKILL);
        }
        !left.is_empty()
    }

    /// The next run is the first again.
    pub(crate) fn forget_runs(&self) {
        self.runs.store(0, Ordering::SeqCst);
    }

    /// Version file, plan, history and link agree, the binary is there, the journal can be read,
    /// and at most one daemon is up, of that very version. Gives the version's name.
    pub(crate) fn assert_consistent(&self) -> String {
        let version = read_json(&self.site.home("nymvisor/current-version-info.json"));
        let name = version["name"].as_str().unwrap().to_owned();
        let plan = read_json(&self.site.data("upgrade-plan.json"));
        assert_eq!(plan["current"]["name"], name.as_str(), "the plan");
        assert_eq!(plan["current"]["version"], version["version"], "the plan");
        let queued = plan["queuedUp"].as_array().unwrap();
        assert!(queued.iter().all(|entry| entry["name"] != name.as_str()), "still queued");
        let folder = if name == "genesis" { name.clone() } else { format!("upgrades/{name}") };
        let link = fs::read_link(self.site.data("current")).unwrap();
        assert_eq!(link.to_str(), Some(folder.as_str()), "the link");
        assert!(self.site.data(&format!("{folder}/bin/nym-node")).is_file(), "the binary");
        let history = self.history();
        let mut once = history.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), history.len(), "one entry an upgrade: {history:?}");
        assert_eq!(history.last().map_or("genesis", String::as_str), name, "the history");
        assert!(!self.records().is_empty());
        let daemons = self.daemons();
        assert!(daemons.len() <= 1, "{daemons:?}");
        for pid in daemons {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            let is_it = command.contains(&format!("{folder}/bin/nym-node"));
            assert!(is_it || command.is_empty(), "{name} holds, but {command} runs");
        }
        name
    }

    /// Names of the upgrades that were performed and not rolled back, oldest first.
    pub(crate) fn history(&self) -> Vec<String> {
        let path = self.site.data("upgrade-history.json");
        if !path.exists() {
            return Vec::new();
        }
        let history = read_json(&path);
        let entries = history["history"].as_array().unwrap().iter();
        let entries = entries.filter(|entry| entry.get("rolledBackAt").is_none());
        entries.map(|entry| entry["info"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The journal, the daemons' log and what was said on stderr, for a test that fails.
    pub(crate) fn story(&self) -> String {
        let journal = self.site.run(&["journal", "show"]);
        let said = (0..self.runs.load(Ordering::SeqCst)).map(|number| {
            let path = self.site.path(&format!("run-{number}.stderr"));
            let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
            format!("--- stderr of run {number}\n{text}")
        });
        let said: String = said.collect();
        format!(
            "--- journal\n{}{}--- events.log\n{}\n--- processes\n{}{said}",
            journal.stdout,
            journal.stderr,
            self.log().join("\n"),
            self.processes()
        )
    }

    /// What is alive of all that was started here, a line each.
    fn processes(&self) -> String {
        let mut stats = proc::stats().unwrap_or_default();
        stats.retain(|stat| stat.live && self.belongs(stat.pid, ""));
        let line = |stat: &proc::Stat| {
            let told =
                |name: &str| fs::read(format!("/proc/{}/{name}", stat.pid)).unwrap_or_default();
            let words = String::from_utf8_lossy(&told("cmdline")).replace('\0', " ");
            let waits = String::from_utf8_lossy(&told("wchan")).into_owned();
            format!("{} in {waits:?}: {words}\n", stat.pid)
        };
        stats.iter().map(line).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_all();
        // A session that was killed has left its own.
        groups::remove(&groups::of_instances(&self.site.path(".nym/nymvisors/instances")));
    }
}
