//! `demo`: one real upgrade, or a failure and what the engine does about it.
//!
//! Everything is real but the daemon, which this program plays: its files, an HTTP server on
//! 127.0.0.1, and this program's own commands as processes of their own. The engine doesn't know
//! of the demo; what goes wrong in it goes wrong for a cause outside of the engine.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use clap::Args;
use serde_json::json;

use super::{Error, play};
use crate::config::Paths;
use crate::digest;
use crate::host::lock::HeldLock;
use crate::machine::Event;
use crate::release::platform_key;

mod asked;
mod follow;
pub mod page;
mod report;
mod scenario;
mod server;
mod stage;
pub mod timeline;
mod verdict;

pub(super) use asked::Asked;
use follow::Follower;
use page::Page;
use report::Report;
use scenario::{Expected, Fail, Scenario};
use server::Server;
use stage::{DAEMON, Stage, Started};

const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
const UPGRADE: &str = "v1.1.0";

/// How often the journal is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long a daemon is watched before something is done to it.
const WATCHED: Duration = Duration::from_millis(500);
/// From the announcement to the upgrade's time: enough to prepare it.
const NOTICE: TimeDelta = TimeDelta::milliseconds(700);
/// What isn't over by then never will be.
const PATIENCE: Duration = Duration::from_mins(1);
/// What `run` and the daemon print.
const RUN_LOG: &str = "run.log";

/// What is to be shown.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Make it go wrong in this phase, and show what is done about it
    #[arg(long, value_enum, value_name = "PHASE")]
    fail: Option<Fail>,
    /// Leave the folder there, to look around in it
    #[arg(long)]
    keep: bool,
}

/// Shows an upgrade and cleans up. An error where it was not as it should be.
pub(super) fn demo(args: &DemoArgs) -> Result<(), Error> {
    let asked = Asked::hear()?;
    let stage = Stage::new()?;
    let page = Page::new(stage.path());
    let shown = show(&stage, &page, Scenario(args.fail), &asked);
    if args.keep {
        let folder = stage.keep().display().to_string();
        page.title("Kept")?;
        tell_kept(&page, &folder)?;
        return shown;
    }
    shown.and(stage.remove())
}

fn tell_kept(page: &Page, folder: &str) -> Result<(), Error> {
    let lines = [format!("  export DEMO='{folder}' NYM_HOME_DIR='{folder}'")];
    page::print_lines(&lines)?;
    page.say("then try 'nymvisor journal show', 'nymvisor config', or look into the folder.")
}

fn show(stage: &Stage, page: &Page, scenario: Scenario, asked: &Asked) -> Result<(), Error> {
    page.title("The stage")?;
    page.say(
        "A daemon of version 1.0.0 runs under nymvisor, and 1.1.0 is released. The daemon is \
         played by this program; the commands, processes, files and HTTP are real. It all \
         happens in a temporary folder:",
    )?;
    page::print_lines(&[format!("  DEMO={}", stage.path().display())])?;
    page.say(scenario.announced())?;
    stage.furnish()?;
    let server = Server::start().map_err(Error::io("serve on", Path::new("127.0.0.1")))?;
    let (follower, paths) = initialise(stage, page, scenario, &server)?;
    let _lock = hold_lock(scenario, &paths)?;

    page.title("What happens")?;
    page.command("NYMVISOR_UPSTREAM_POLLING_RATE=200ms nymvisor run run")?;
    page.say("Below: seconds, phase (-> where one is entered), and what led to it.")?;
    let envs = [("NYMVISOR_UPSTREAM_POLLING_RATE", "200ms")];
    let run = stage.start(&["run".into(), "run".into()], &envs, RUN_LOG)?;
    let mut play = Play { stage, page, scenario, asked, server, follower, run };
    let status = play.watch()?;
    let Play { follower, .. } = play;
    Report { stage, page, scenario, follower: &follower, paths: &paths, status }.give()
}

/// Sets up the old version and an instance for it.
fn initialise(
    stage: &Stage,
    page: &Page,
    scenario: Scenario,
    server: &Server,
) -> Result<(Follower, Paths), Error> {
    let script = stage.binary(Path::new("/bin/sh"), OLD, &scenario.old_daemon(stage));
    let binary = stage.put_executable(DAEMON, &script)?;
    let mut args: Vec<OsString> = vec!["init".into(), "--daemon-home".into(), stage.home().into()];
    args.extend(["--upstream-base-upgrade-url".into(), server.url("/").into()]);
    args.extend(scenario.settings().iter().map(OsString::from));
    args.push(binary.into());
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    page.command(&format!("nymvisor {}", words.join(" ")))?;
    stage.run(&args)?;
    let (config, paths) = stage.load()?;
    page.say(&format!("An instance, {}, for {DAEMON} {OLD}.", config.nymvisor.id))?;
    Ok((Follower::new(&config, &paths), paths))
}

fn hold_lock(scenario: Scenario, paths: &Paths) -> Result<Option<HeldLock>, Error> {
    if scenario.0 != Some(Fail::Locking) {
        return Ok(None);
    }
    let content = format!("{}\n", std::process::id());
    let held = HeldLock::acquire(&paths.upgrade_lock(), 0o644, &content);
    held.map(Some).map_err(|error| Error::Refused(error.to_string()))
}

/// The play, from the start of `run` to its end.
struct Play<'a> {
    stage: &'a Stage,
    page: &'a Page,
    scenario: Scenario,
    asked: &'a Asked,
    server: Server,
    follower: Follower,
    run: Started,
}

impl Play<'_> {
    /// The status that `run` ended with.
    fn watch(&mut self) -> Result<Option<i32>, Error> {
        let began = Instant::now();
        let (mut up_since, mut shown_since) = (None, None);
        let (mut is_published, mut is_asked) = (false, false);
        loop {
            self.follower.look(self.page)?;
            if let Some(status) = self.run.ended() {
                // What it wrote last.
                self.follower.look(self.page)?;
                return Ok(status.code());
            }
            if let Some(signal) = self.asked.to_end() {
                return Err(Error::Refused(format!("{signal}: the demo was interrupted")));
            }
            if began.elapsed() > PATIENCE {
                let limit = PATIENCE.as_secs();
                return Err(Error::Refused(format!("nothing came of it within {limit} s")));
            }
            if self.is_up() {
                up_since.get_or_insert_with(Instant::now);
            }
            if !is_published && is_long_ago(up_since) {
                is_published = true;
                self.publish();
                let text = format!("{DAEMON} {NEW} is released, to be installed in 0.7 s");
                self.page.happened(Utc::now(), "   (upstream)", &text, false)?;
            }
            if self.is_shown() {
                shown_since.get_or_insert_with(Instant::now);
            }
            if !is_asked && is_long_ago(shown_since) {
                is_asked = true;
                self.page.happened(Utc::now(), "   (demo)", "enough seen: SIGTERM", false)?;
                self.run.ask_to_end();
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    fn is_up(&self) -> bool {
        self.follower.has_seen(|event| matches!(event, Event::DaemonSpawned { .. }))
    }

    /// Whether all that was to be shown has been seen, so that the run can be ended.
    fn is_shown(&self) -> bool {
        let committed = |event: &Event| matches!(event, Event::SwapCommitted { .. });
        let failed = |event: &Event| matches!(event, Event::WorkFailed { .. });
        match self.scenario.expected() {
            // Whichever of them was expected: after the other there is nothing more to wait for.
            Expected::Upgraded | Expected::BackToOld(_) => {
                self.is_up_after(committed) || self.is_up_after(failed)
            }
            Expected::HeldBack(_) => self.follower.has_seen(failed) || self.is_up_after(committed),
            // It ends by itself.
            Expected::GivenUp => self.follower.has_seen(failed),
        }
    }

    fn is_up_after(&self, is: impl Fn(&Event) -> bool) -> bool {
        let mut records = self.follower.records().iter();
        records.any(|record| is(&record.event))
            && records.any(|record| matches!(record.event, Event::DaemonSpawned { .. }))
    }

    /// Releases the new version.
    fn publish(&self) {
        let flags = self.scenario.new_daemon();
        let binary = self.stage.binary(&self.scenario.new_shell(self.stage), NEW, &flags);
        let path = format!("/{DAEMON}/{UPGRADE}/{DAEMON}");
        let is_wrong = self.scenario.0 == Some(Fail::Verifying);
        let checksum = digest::sha256(if is_wrong { b"another binary" } else { &binary });
        if self.scenario.0 != Some(Fail::Downloading) {
            self.server.publish(&path, binary);
        }
        let now = Utc::now();
        let platform = json!({
            "checksum": checksum,
            "checksumAlgorithm": "sha256",
            "url": self.server.url(&path),
        });
        let announcement = json!({
            "manual": false,
            "name": UPGRADE,
            "notes": "a release of the demo",
            "publishDate": now,
            "version": NEW,
            "platforms": { platform_key(): platform },
            "upgradeTime": now + NOTICE,
            "binaryDetails": play::details(DAEMON, NEW),
        });
        let bytes = announcement.to_string().into_bytes();
        self.server.publish(&format!("/{DAEMON}/upgrade-info.json"), bytes);
    }
}

fn is_long_ago(since: Option<Instant>) -> bool {
    since.is_some_and(|since| since.elapsed() >= WATCHED)
}
