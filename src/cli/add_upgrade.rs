//! `add-upgrade`: queues a binary, or adds one to an upgrade that is queued.
//!
//! The binary is copied beside its place first. Then, under the plan's lock, it gets its name, its
//! info is written, then the plan: whoever finds an upgrade in the plan finds all of it. What is
//! there already is replaced under the upgrade lock as well. The plan is always replaced, also
//! where it stays the same, so that a running nymvisor looks at it again.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;
use serde_json::{Map, json};

use super::output::{self, Output, print};
use super::status::{Queued, Seen, Status};
use super::{Error, install, probe, user};
use crate::config::{self, Config, Env, Paths};
use crate::digest;
use crate::disk::{Disk, create_dirs, folder_of};
use crate::release::{
    self, BuildInfo, LocalBinary, Plan, PlanLock, UpgradeInfo, UpgradeName, if_there, load,
};

mod lock;
mod rules;

pub(super) use lock::check as refuse_while_performed;

use rules::Installed;

const DEFAULT_DELAY: TimeDelta = TimeDelta::minutes(15);
const FOLDER_MODE: u32 = 0o755;

/// The flags of `add-upgrade`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct AddUpgradeArgs {
    /// Path to the upgrade's executable
    daemon_binary: PathBuf,
    /// Name of the upgrade
    #[arg(long, value_name = "NAME", value_parser = name)]
    upgrade_name: UpgradeName,
    /// Replace the binary and the upgrade-info.json that are there already
    #[arg(long)]
    force: bool,
    /// Allow a version that is not newer than the one that runs
    #[arg(long)]
    allow_downgrade: bool,
    /// Only add the binary to an upgrade that is queued already
    #[arg(long, conflicts_with_all = ["now", "upgrade_time", "upgrade_delay", "publish_date"])]
    add_binary: bool,
    /// Perform the upgrade as soon as possible
    #[arg(long, conflicts_with_all = ["upgrade_time", "upgrade_delay"])]
    now: bool,
    /// When it was published (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    publish_date: Option<DateTime<Utc>>,
    /// When the upgrade is to be performed (RFC 3339) [default: in 15 minutes]
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "upgrade_delay")]
    upgrade_time: Option<DateTime<Utc>>,
    /// How long from now the upgrade is to be performed, such as '1h 30m' [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    upgrade_delay: Option<TimeDelta>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

fn name(text: &str) -> Result<UpgradeName, release::Error> {
    text.parse()
}

pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc()),
        Err(error) => Err(format!("a time such as 2026-01-31T12:00:00Z is allowed ({error})")),
    }
}

pub(super) fn delay(text: &str) -> Result<TimeDelta, String> {
    let duration = config::duration(text).map_err(|allowed| format!("allowed is {allowed}"))?;
    TimeDelta::from_std(duration).map_err(|error| error.to_string())
}

/// Queues a binary, or adds one to an upgrade that is queued.
pub(super) fn add_upgrade(disk: &dyn Disk, env: &Env, args: &AddUpgradeArgs) -> Result<(), Error> {
    let (config, paths) = config::load(disk, env)?;
    user::check_owner([paths.data(), &paths.upgrades()])?;
    let binary =
        std::path::absolute(&args.daemon_binary).map_err(Error::io("find", &args.daemon_binary))?;
    let details = probe::ask(&binary)?;
    rules::check_daemon(&binary, &details, &config.daemon.name)?;

    if !paths.data().is_dir() {
        return Err(Error::Unusable(format!(
            "there is no folder {}; 'nymvisor init' makes it",
            paths.data().display()
        )));
    }
    let vouched =
        LocalBinary { sha256: digest::of_file(&binary).map_err(Error::io("read", &binary))? };
    let chosen =
        Chosen { args, binary: &binary, details: &details, vouched, paths: &paths, env, disk };
    let entry = chosen.perform(&config.nymvisor.id)?;
    report(args, &entry)?;
    tell_what_keeps_it_back(disk, &config, &paths, args)
}

/// A hold, or a window that is not open, makes it wait: whoever said --now should know.
fn tell_what_keeps_it_back(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    args: &AddUpgradeArgs,
) -> Result<(), Error> {
    let status = Status::of(&Seen::look(disk, config, paths));
    let mut queued = status.queue.iter().flatten();
    let entry = queued.find(|queued| queued.name == args.upgrade_name.as_str());
    let Some(text) = entry.and_then(Queued::kept_back) else { return Ok(()) };
    let more = "`nymvisor upgrades list` tells more";
    match args.output {
        Output::Text => print(&format!("it waits: {text}; {more}\n")),
        Output::Json => {
            output::warn(&format!("'{}' waits: {text}; {more}", args.upgrade_name));
            Ok(())
        }
    }
}

fn report(args: &AddUpgradeArgs, entry: &UpgradeInfo) -> Result<(), Error> {
    let (name, version) = (&entry.name, &entry.version);
    let due = entry.upgrade_time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    match args.output {
        Output::Json => print(&format!("{}\n", json!(entry))),
        Output::Text if args.add_binary => {
            print(&format!("the upgrade '{name}' ({version}), due at {due}, has its binary\n"))
        }
        Output::Text => print(&format!("the upgrade '{name}' ({version}) is queued for {due}\n")),
    }
}

/// The binary and what is to be done with it.
struct Chosen<'a> {
    args: &'a AddUpgradeArgs,
    binary: &'a Path,
    details: &'a BuildInfo,
    /// The operator's word for these very bytes.
    vouched: LocalBinary,
    paths: &'a Paths,
    env: &'a Env,
    disk: &'a dyn Disk,
}

impl Chosen<'_> {
    /// What takes long is done before the plan is locked: an upgrade may be waiting for it with
    /// its daemon down.
    fn perform(&self, instance: &str) -> Result<UpgradeInfo, Error> {
        let (paths, name) = (self.paths, &self.args.upgrade_name);
        let place = paths.binary(name);
        {
            // What is refused leaves nothing behind.
            let _plan = PlanLock::acquire(&paths.plan_lock())?;
            self.decide()?;
            lock::check(paths, name, self.replaces())?;
        }
        // Two commands must not copy to the same file beside the place.
        let _one = PlanLock::acquire(&paths.add_lock())?;
        create_dirs(self.disk, folder_of(&place), FOLDER_MODE)
            .map_err(Error::io("create", &place))?;
        let is_there = install::same_bytes(self.binary, &place)?;
        let staged =
            if is_there { None } else { Some(install::Staged::copy(self.binary, &place)?) };

        let _plan = PlanLock::acquire(&paths.plan_lock())?;
        let before: Plan = load(self.disk, &paths.plan())?;
        let (plan, entry) = self.decide()?;
        let was = before.queued_up.iter().map(|info| &info.name);
        let replaced: Vec<_> = was.filter(|name| plan.queued(name).is_none()).collect();
        let kept_off = lock::keep_off(paths, instance, name, self.replaces())?;
        let written = self.write(staged, &plan, &entry);
        if let Some(lock) = kept_off {
            lock.release_and_remove().map_err(|error| Error::Unusable(error.to_string()))?;
        }
        written?;
        for other in &replaced {
            output::warn(&format!(
                "'{other}' is of the same version, and no longer queued: '{}' takes its place",
                entry.name
            ));
        }
        if self.args.add_binary {
            rules::warn_of_other_bytes(&entry, &self.vouched.sha256)?;
        }
        Ok(entry)
    }

    /// Whether there is anything of this name that somebody may be using.
    fn replaces(&self) -> bool {
        let name = &self.args.upgrade_name;
        let there = [self.paths.binary(name), self.paths.upgrade_info(name)];
        there.iter().any(|path| path.symlink_metadata().is_ok())
    }

    fn write(
        &self,
        staged: Option<install::Staged>,
        plan: &Plan,
        entry: &UpgradeInfo,
    ) -> Result<(), Error> {
        if let Some(staged) = staged {
            staged.place()?;
        }
        let info = self.paths.upgrade_info(&self.args.upgrade_name);
        release::save(self.disk, &info, &entry.announced())?;
        Ok(release::save(self.disk, &self.paths.plan(), plan)?)
    }

    /// The plan as it is to be, and the upgrade's entry in it. The plan is locked.
    fn decide(&self) -> Result<(Plan, UpgradeInfo), Error> {
        let installed = Installed::read(self.disk, self.paths)?;
        if self.args.add_binary {
            let entry = self.queued(&installed)?;
            return Ok((installed.plan.amended(&entry), entry));
        }
        let entry = self.anew(&installed)?;
        Ok((installed.plan.with(entry.clone()), entry))
    }

    /// The plan's entry for a new upgrade.
    fn anew(&self, installed: &Installed) -> Result<UpgradeInfo, Error> {
        let args = self.args;
        let name = &args.upgrade_name;
        let version = probe::version_of(self.binary, self.details)?;
        installed.check_name(self.paths, name, self.binary)?;
        installed.check_version(&version, args.allow_downgrade)?;
        let exists = |path: PathBuf| path.symlink_metadata().is_ok().then_some(path);
        let there = exists(self.paths.upgrade_info(name)).or(exists(self.paths.binary(name)));
        if let Some(path) = there.filter(|_| !args.force) {
            return Err(Error::Refused(format!(
                "{} exists; --force replaces it, --add-binary adds a binary to what is queued",
                path.display()
            )));
        }
        if installed.plan.queued(name).is_some() && !args.force {
            return Err(Error::Refused(format!(
                "'{name}' is queued already; --force replaces it, --add-binary adds a binary to it"
            )));
        }
        // Rounded up, for a delay must not end early.
        let now = Utc::now().trunc_subsecs(3) + TimeDelta::milliseconds(1);
        let after = |delay| now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let delay = if args.now { TimeDelta::zero() } else { DEFAULT_DELAY };
        Ok(UpgradeInfo {
            manual: false,
            name: name.clone(),
            notes: String::new(),
            publish_date: Some(args.publish_date.unwrap_or_else(|| now.trunc_subsecs(0))),
            version,
            platforms: std::collections::BTreeMap::new(),
            upgrade_time: args
                .upgrade_time
                .unwrap_or_else(|| after(args.upgrade_delay.unwrap_or(delay))),
            binary_details: Some(self.details.clone()),
            local_binary: Some(self.vouched.clone()),
            requester: Some(user::requester(self.env)),
            allow_downgrade: args.allow_downgrade,
            rescheduled: None,
            extra: Map::new(),
        })
    }

    /// The plan's entry of an upgrade that is queued.
    fn queued(&self, installed: &Installed) -> Result<UpgradeInfo, Error> {
        let name = &self.args.upgrade_name;
        let Some(entry) = installed.plan.queued(name) else {
            return Err(Error::Refused(format!(
                "no upgrade '{name}' is queued; to queue this binary, leave out --add-binary"
            )));
        };
        rules::check_announced(self.binary, self.details, entry)?;
        let place = self.paths.binary(name);
        if place.symlink_metadata().is_ok() && !self.args.force {
            return Err(Error::Refused(format!("{} exists; --force replaces it", place.display())));
        }
        // A damaged one is named, not overwritten; what the queue says is what counts.
        let _: Option<UpgradeInfo> = if_there(load(self.disk, &self.paths.upgrade_info(name)))?;
        Ok(UpgradeInfo { local_binary: Some(self.vouched.clone()), ..entry.clone() })
    }
}
