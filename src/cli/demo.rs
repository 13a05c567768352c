//! `demo`: one real upgrade, or a failure and what the engine does about it.
//!
//! Everything is real but the daemon, which this program plays: its files, an HTTP server on
//! 127.0.0.1, and this program's own commands as processes of their own. The engine doesn't know
//! of the demo; what goes wrong in it goes wrong for a cause outside of the engine.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use super::Error;
use crate::config::Paths;
use crate::host::lock::HeldLock;

mod asked;
mod chapter;
mod follow;
mod frame;
pub mod page;
mod play;
mod report;
mod scenario;
pub mod screen;
mod server;
mod stage;
mod verdict;
mod view;

pub(super) use asked::Asked;
use chapter::Chapter;
use follow::Follower;
use page::Page;
use play::Play;
use report::Report;
use scenario::{Fail, Scenario};
use server::Server;
use stage::{DAEMON, Stage};
use view::View;

const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
const UPGRADE: &str = "v1.1.0";

/// What can be tried in a folder that is kept.
const TO_TRY: [&str; 5] = [
    "nymvisor status",
    "nymvisor journal show",
    "nymvisor journal timeline",
    "nymvisor journal verify --backups",
    "nymvisor backups list",
];
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
    let shown = show(&stage, &page, args, &asked);
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
    page.say("then look into the folder, or try any command that shows something:")?;
    TO_TRY.iter().try_for_each(|command| page.command(command))
}

fn show(stage: &Stage, page: &Page, args: &DemoArgs, asked: &Asked) -> Result<(), Error> {
    let scenario = Scenario(args.fail);
    let view = View::open(scenario)?;
    let has_lines = view.is_none();
    if has_lines {
        introduce(stage, page, scenario)?;
    }
    stage.furnish()?;
    let server = Server::start().map_err(Error::io("serve on", Path::new("127.0.0.1")))?;
    let (follower, paths) = initialise(stage, page, scenario, &server, has_lines)?;
    let _lock = hold_lock(scenario, &paths)?;
    if has_lines {
        page.title(&Chapter::Node.title())?;
        page.command("NYMVISOR_UPSTREAM_POLLING_RATE=200ms nymvisor run run")?;
        page.say("Below: seconds, phase (-> where one is entered), and what led to it.")?;
    }
    let envs = [("NYMVISOR_UPSTREAM_POLLING_RATE", "200ms")];
    let run = stage.start(&["run".into(), "run".into()], &envs, RUN_LOG)?;
    let mut play = Play { stage, page, view, scenario, asked, server, follower, run };
    let status = play.watch()?;
    let Play { follower, view, .. } = play;
    let keeps = args.keep;
    Report { stage, page, scenario, follower: &follower, paths: &paths, status, keeps }.give(view)
}

fn introduce(stage: &Stage, page: &Page, scenario: Scenario) -> Result<(), Error> {
    page.title("The stage")?;
    page.say(
        "A daemon of version 1.0.0 runs under nymvisor, and 1.1.0 is released. The daemon is \
         played by this program; the commands, processes, files and HTTP are real. It all \
         happens in a temporary folder:",
    )?;
    page::print_lines(&[format!("  DEMO={}", stage.path().display())])?;
    page.say(scenario.announced())
}

/// Sets up the old version and an instance for it.
fn initialise(
    stage: &Stage,
    page: &Page,
    scenario: Scenario,
    server: &Server,
    has_lines: bool,
) -> Result<(Follower, Paths), Error> {
    let script = stage.binary(Path::new("/bin/sh"), OLD, &scenario.old_daemon(stage));
    let binary = stage.put_executable(DAEMON, &script)?;
    let mut args: Vec<OsString> = vec!["init".into(), "--daemon-home".into(), stage.home().into()];
    args.extend(["--upstream-base-upgrade-url".into(), server.url("/").into()]);
    args.extend(scenario.settings().iter().map(OsString::from));
    args.push(binary.into());
    if has_lines {
        let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
        page.command(&format!("nymvisor {}", words.join(" ")))?;
    }
    stage.run(&args)?;
    let (config, paths) = stage.load()?;
    if has_lines {
        page.say(&format!("An instance, {}, for {DAEMON} {OLD}.", config.nymvisor.id))?;
    }
    Ok((Follower::new(config, paths.clone()), paths))
}

fn hold_lock(scenario: Scenario, paths: &Paths) -> Result<Option<HeldLock>, Error> {
    if scenario.0 != Some(Fail::Locking) {
        return Ok(None);
    }
    let content = format!("{}\n", std::process::id());
    let held = HeldLock::acquire(&paths.upgrade_lock(), 0o644, &content);
    held.map(Some).map_err(|error| Error::Refused(error.to_string()))
}
