//! `upgrades list` and `show`.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde_json::json;

use super::{name, not_queued, whole};
use crate::cli::Error;
use crate::cli::backups::plain;
use crate::cli::check::report::wrapped;
use crate::cli::check::version::shown;
use crate::cli::output::{self, Output, OutputArgs};
use crate::cli::status::{Queued, Seen, Status};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::narrate;
use crate::release::{Plan, UpgradeInfo, UpgradeName, load};

/// Where what is said begins in a line.
const INDENT: usize = 14;

/// What to show.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name of the queued upgrade
    #[arg(value_parser = name)]
    name: UpgradeName,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn list(disk: &dyn Disk, env: &Env, output: Output) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    // A plan that can't be used is an error here, and told as such.
    let _: Plan = load(disk, &paths.plan())?;
    let status = Status::of(&Seen::look(disk, &config, &paths));
    match output {
        Output::Json => output::print(&format!("{}\n", whole(&status))),
        Output::Text => output::print_fitting(&to_text(&status), INDENT),
    }
}

pub(super) fn show(disk: &dyn Disk, env: &Env, args: &ShowArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    let plan: Plan = load(disk, &paths.plan())?;
    let status = Status::of(&Seen::look(disk, &config, &paths));
    let is_it = |queued: &&Queued| queued.name == args.name.as_str();
    let queued = status.queue.iter().flatten().find(is_it);
    let known = plan.queued(&args.name).or(Some(&plan.current));
    let info = known.filter(|info| info.name == args.name);
    let (Some(queued), Some(info)) = (queued, info) else {
        return Err(not_queued(&plan, &args.name));
    };
    match args.output.output {
        Output::Json => output::print(&format!(
            "{}\n",
            json!({
                "version": 1,
                "instance": status.instance,
                "at": status.at,
                "upgrade": queued,
                "announcement": info.announced(),
                "local_binary": info.local_binary.as_ref().map(|local| &local.sha256),
            })
        )),
        Output::Text => {
            let mut text = String::new();
            say_upgrade(&mut text, queued, status.at);
            say_announcement(&mut text, queued, info);
            output::print_fitting(&text, INDENT)
        }
    }
}

fn say(text: &mut String, label: &str, said: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{label:<INDENT$}{}", wrapped(&plain(said), INDENT));
}

fn to_text(status: &Status) -> String {
    let mut text = status.what_holds();
    let queue = status.queue.as_deref().unwrap_or_default();
    if queue.is_empty() {
        text.push_str("no upgrade is queued\n");
    }
    for queued in queue {
        if !text.is_empty() {
            text.push('\n');
        }
        say_upgrade(&mut text, queued, status.at);
    }
    text
}

fn say_upgrade(text: &mut String, queued: &Queued, now: DateTime<Utc>) {
    let next = if queued.next { ", next" } else { "" };
    let _ = writeln!(text, "{}", plain(&format!("{} ({}){next}", queued.name, queued.version)));
    say(text, "  from", &narrate::requester(&queued.requester));
    say(text, "  announced", &format!("for {}", shown(queued.announced_for)));
    if let Some(by) = &queued.rescheduled_by {
        let windows = if queued.ignores_windows { ", whatever the windows" } else { "" };
        let by = narrate::requester(by);
        say(text, "  rescheduled", &format!("for {} by {by}{windows}", shown(queued.due_at)));
    } else if queued.due_at != queued.announced_for {
        say(text, "  spread", &format!("for {}", shown(queued.due_at)));
    }
    say(text, "  stage", &queued.text);
    for waits in &queued.waits_for {
        say(text, "  waits", &waits.text);
        say(text, "", &format!("-> {}", waits.command));
    }
    let is_open = !matches!(queued.stage, "under-way" | "superseded");
    match queued.earliest_at {
        Some(earliest) if earliest > now => {
            say(text, "  stops", &format!("the daemon at {} at the earliest", shown(earliest)));
        }
        Some(_) => say(text, "  stops", "the daemon as soon as it is prepared"),
        None if is_open => say(text, "  stops", "the daemon once what it waits for is settled"),
        None => {}
    }
    if is_open && !matches!(queued.stage, "cancelled") {
        say(text, "  not wanted", &format!("-> nymvisor upgrades cancel {}", queued.name));
    }
}

fn say_announcement(text: &mut String, queued: &Queued, info: &UpgradeInfo) {
    if let Some(date) = info.publish_date {
        say(text, "  published", &date.to_rfc3339_opts(SecondsFormat::Secs, true));
    }
    if info.manual {
        say(text, "  manual", "the run ends after it, and the daemon is started by hand");
    }
    let platforms: Vec<&str> = info.platforms.keys().map(String::as_str).collect();
    if !platforms.is_empty() {
        say(text, "  platforms", &platforms.join(", "));
    }
    if let Some(local) = &info.local_binary {
        say(text, "  binary", &format!("put in place by a person, sha256 {}", local.sha256));
    }
    if !info.notes.is_empty() {
        say(text, "  notes", &info.notes);
    }
    say(text, "  digest", &queued.digest);
}
