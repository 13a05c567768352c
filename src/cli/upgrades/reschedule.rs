//! `upgrades reschedule`: another time for what is queued.
//!
//! It stands in the plan beside the announcement, which stays as upstream has sent it: its digest
//! still tells it from every other, and upstream's next word doesn't take the wish back.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;

use super::{name, not_queued, tell};
use crate::cli::add_upgrade::{delay, refuse_while_performed, time};
use crate::cli::check::version::shown;
use crate::cli::output::OutputArgs;
use crate::cli::status::{Seen, Status};
use crate::cli::{Error, ask, user};
use crate::config::{self, Config, Env, Paths};
use crate::disk::Disk;
use crate::journal;
use crate::release::{self, Plan, PlanLock, Rescheduled, UpgradeInfo, UpgradeName, load};

/// What to reschedule, and for when.
#[derive(Debug, Args)]
pub(in crate::cli) struct RescheduleArgs {
    /// Name of the queued upgrade
    #[arg(value_parser = name)]
    name: UpgradeName,
    #[command(flatten)]
    when: When,
    /// Don't wait for a maintenance window: for a security fix that can't
    #[arg(long)]
    ignore_windows: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct When {
    /// When the upgrade is to be performed (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<DateTime<Utc>>,
    /// How long from now the upgrade is to be performed, such as '1h 30m'
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    delay: Option<TimeDelta>,
    /// Perform the upgrade as soon as possible
    #[arg(long)]
    now: bool,
}

impl When {
    fn at(&self) -> DateTime<Utc> {
        let now = Utc::now().trunc_subsecs(3);
        let after = |delay| now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
        // A delay must not end early.
        let delayed = self.delay.map(|delay| after(delay + TimeDelta::milliseconds(1)));
        self.at.or(delayed).unwrap_or(now)
    }
}

pub(super) fn reschedule(disk: &dyn Disk, env: &Env, args: &RescheduleArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.data(), &paths.upgrades()])?;
    if let Some(at) = args.when.at.filter(|at| *at < Utc::now()) {
        return Err(Error::Refused(format!(
            "{} is past; --now performs it as soon as possible",
            shown(at)
        )));
    }
    let wish = Rescheduled {
        at: args.when.at(),
        requester: user::requester(env),
        ignores_windows: args.ignore_windows,
    };
    let at = wish.at;
    let entry = {
        let _plan = PlanLock::acquire(&paths.plan_lock())?;
        let plan: Plan = load(disk, &paths.plan())?;
        let entry = plan.queued(&args.name).ok_or_else(|| not_queued(&plan, &args.name))?;
        refuse_begun(disk, &config, &paths, &args.name)?;
        refuse_while_performed(&paths, &args.name, false)?;
        let entry = UpgradeInfo { rescheduled: Some(wish), ..entry.clone() };
        release::save(disk, &paths.plan(), &plan.amended(&entry))?;
        entry
    };
    // It may have begun in that moment: then the new time comes too late.
    refuse_begun(disk, &config, &paths, &args.name)?;
    let status = Status::of(&Seen::look(disk, &config, &paths));
    let queued = status.queue.iter().flatten().find(|queued| queued.name == args.name.as_str());
    let mut text = format!(
        "{} ({}) is rescheduled for {}; it was announced for {}",
        entry.name,
        entry.version,
        shown(at),
        shown(entry.upgrade_time)
    );
    let waits = queued.iter().flat_map(|queued| &queued.waits_for);
    for waits in waits.filter(|waits| waits.what != "time") {
        text = format!("{text}\n  it waits: {}\n  -> {}", waits.text, waits.command);
    }
    if let Some(queued) = queued {
        let when = match queued.earliest_at {
            Some(earliest) if earliest <= status.at => "as soon as it is prepared".to_owned(),
            Some(earliest) => format!("at {} at the earliest", shown(earliest)),
            None => "once that is settled".to_owned(),
        };
        let by = if status.run.up == Some(true) { "" } else { ", by the next `nymvisor run`" };
        text = format!("{text}\n  the daemon is stopped for it {when}{by}");
    }
    tell(disk, &config, &paths, args.output.output, &text)
}

/// What is past its preparation has no time any more.
fn refuse_begun(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    name: &UpgradeName,
) -> Result<(), Error> {
    let state = journal::last_state(disk, &paths.journal(), &ask::owner(config)).ok().flatten();
    let Some(state) = state else { return Ok(()) };
    match state.phase.attempt() {
        Some(attempt) if attempt.upgrade.name == name.as_str() => {
            let text = format!("{name} is past its preparation, and can't be rescheduled");
            Err(Error::Refused(ask::with_phase(text, &state.phase)))
        }
        Some(_) | None => Ok(()),
    }
}
