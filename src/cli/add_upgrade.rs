//! `add-upgrade`: queues a binary, or adds one to an upgrade that is queued.
//!
//! Under the plan's lock the binary is written first, then its info, then the plan: whoever finds
//! an upgrade in the plan finds all of it. The plan is always replaced, also where it stays the
//! same, so that a running nymvisor looks at it again.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clap::Args;
use serde_json::{Map, json};

use super::output::{Output, print};
use super::{Error, install, probe, user};
use crate::config::{self, Env, Paths};
use crate::digest;
use crate::disk::{Disk, create_dirs, folder_of};
use crate::release::{
    self, BuildInfo, LocalBinary, PlanLock, UpgradeInfo, UpgradeName, if_there, load,
};

mod lock;
mod rules;

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

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.to_utc()),
        Err(error) => Err(format!("a time such as 2026-01-31T12:00:00Z is allowed ({error})")),
    }
}

fn delay(text: &str) -> Result<TimeDelta, String> {
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
    let _lock = PlanLock::acquire(&paths.plan_lock())?;
    let installed = Installed::read(disk, &paths)?;
    let chosen = Chosen { args, binary: &binary, details: &details, paths: &paths };
    let entry = if args.add_binary {
        chosen.queued(disk, &installed)?
    } else {
        chosen.anew(env, &installed)?
    };
    let plan = if args.add_binary {
        installed.plan.amended(&entry)
    } else {
        installed.plan.with(entry.clone())
    };

    let place = paths.binary(&args.upgrade_name);
    let there = [&place, &paths.upgrade_info(&args.upgrade_name)];
    let replaces = there.iter().any(|path| path.symlink_metadata().is_ok());
    let engine = lock::keep_off(&paths, &args.upgrade_name, replaces)?;
    create_dirs(disk, folder_of(&place), FOLDER_MODE).map_err(Error::io("create", &place))?;
    if !install::same_bytes(&binary, &place)? {
        install::binary(&binary, &place)?;
    }
    release::save(disk, &paths.upgrade_info(&args.upgrade_name), &entry.announced())?;
    drop(engine);
    release::save(disk, &paths.plan(), &plan)?;
    report(args, &entry)
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
    paths: &'a Paths,
}

impl Chosen<'_> {
    /// The plan's entry for a new upgrade.
    fn anew(&self, env: &Env, installed: &Installed) -> Result<UpgradeInfo, Error> {
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
        let now = Utc::now().trunc_subsecs(0);
        let after = |delay| now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let delay = if args.now { TimeDelta::zero() } else { DEFAULT_DELAY };
        Ok(UpgradeInfo {
            manual: false,
            name: name.clone(),
            notes: String::new(),
            publish_date: Some(args.publish_date.unwrap_or(now)),
            version,
            platforms: std::collections::BTreeMap::new(),
            upgrade_time: args
                .upgrade_time
                .unwrap_or_else(|| after(args.upgrade_delay.unwrap_or(delay))),
            binary_details: Some(self.details.clone()),
            local_binary: Some(self.vouched()?),
            requester: Some(user::requester(env)),
            allow_downgrade: args.allow_downgrade,
            extra: Map::new(),
        })
    }

    /// The plan's entry of an upgrade that is queued.
    fn queued(&self, disk: &dyn Disk, installed: &Installed) -> Result<UpgradeInfo, Error> {
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
        let _: Option<UpgradeInfo> = if_there(load(disk, &self.paths.upgrade_info(name)))?;
        let vouched = self.vouched()?;
        rules::warn_of_other_bytes(entry, &vouched.sha256)?;
        Ok(UpgradeInfo { local_binary: Some(vouched), ..entry.clone() })
    }

    /// The operator's word for these very bytes.
    fn vouched(&self) -> Result<LocalBinary, Error> {
        let sha256 = digest::of_file(self.binary).map_err(Error::io("read", self.binary))?;
        Ok(LocalBinary { sha256 })
    }
}
