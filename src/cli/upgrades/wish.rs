//! `upgrades hold`, `release` and `cancel`: on the engine's record.

use chrono::{DateTime, SubsecRound, Utc};
use clap::Args;

use super::{name, not_queued, tell};
use crate::cli::output::{Output, OutputArgs};
use crate::cli::{Error, ask, user};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::machine::Announcement;
use crate::release::{Plan, UpgradeInfo, UpgradeName, load};
use crate::requests::{Request, Wish};

/// Until when to hold.
#[derive(Debug, Args)]
pub(in crate::cli) struct HoldArgs {
    /// When the hold ends: a time (RFC 3339), or how long from now [default: until 'release']
    #[arg(long, value_name = "TIME|DURATION", value_parser = end)]
    until: Option<DateTime<Utc>>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What to cancel.
#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    /// Name of the queued upgrade
    #[arg(value_parser = name)]
    name: UpgradeName,
    #[command(flatten)]
    output: OutputArgs,
}

/// The end of a hold, which is yet to come.
fn end(text: &str) -> Result<DateTime<Utc>, String> {
    let now = Utc::now();
    let end = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc(),
        Err(_) => config::duration(text)
            .ok()
            .and_then(|duration| {
                now.checked_add_signed(chrono::TimeDelta::from_std(duration).ok()?)
            })
            .ok_or("a time such as 2026-01-31T12:00:00Z, or a duration such as 12h or 3d")?
            .trunc_subsecs(3),
    };
    if end <= now {
        return Err("a time that is yet to come is allowed".to_owned());
    }
    Ok(end)
}

pub(super) fn hold(disk: &dyn Disk, env: &Env, args: &HoldArgs) -> Result<(), Error> {
    let wish = Wish::Hold { until: args.until };
    ask(disk, env, wish, args.output.output, "nothing can be held")
}

pub(super) fn release(disk: &dyn Disk, env: &Env, output: Output) -> Result<(), Error> {
    ask(disk, env, Wish::Release, output, "nothing is held")
}

pub(super) fn cancel(disk: &dyn Disk, env: &Env, args: &CancelArgs) -> Result<(), Error> {
    let (_, paths) = config::load(disk, env)?;
    let plan: Plan = load(disk, &paths.plan())?;
    let name = &args.name;
    // What another instance of the data folder has performed is no longer queued, and comes yet.
    let current = Some(&plan.current).filter(|info| info.name == *name);
    let entry: &UpgradeInfo =
        plan.queued(name).or(current).ok_or_else(|| not_queued(&plan, name))?;
    let wish = Wish::Cancel(Announcement { name: name.to_string(), digest: entry.digest() });
    ask(disk, env, wish, args.output.output, &format!("{name} can't be cancelled"))
}

fn ask(disk: &dyn Disk, env: &Env, wish: Wish, output: Output, what: &str) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.instance().as_path()])?;
    let request = Request { wish, requester: user::requester(env) };
    let (granted, text) = ask::engine(&config, &paths, request, what)?;
    if granted { tell(disk, &config, &paths, output, &text) } else { Err(Error::Refused(text)) }
}
