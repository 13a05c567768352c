//! `check`: would the next upgrade succeed, and what would it cost?
//!
//! Everything that an upgrade rests on is looked at, one point a file, in the order in which an
//! operator asks. Nothing is changed: no lock is taken, no file is made where the installation
//! is, and no request is left. `run` may be up or not.

use std::ffi::OsString;

use clap::Args;

use self::report::Report;
use self::site::Site;
use super::Error;
use super::output::{self, Output};
use crate::config::{self, Env};
use crate::disk::Disk;
use crate::exit::Exit;
use crate::release::UpgradeName;

mod binary;
mod commands;
pub(crate) mod estimate;
mod finding;
mod folders;
mod group;
pub(crate) mod history;
mod locks;
mod reach;
mod record;
pub(crate) mod report;
mod room;
pub(crate) mod site;
mod subject;
pub(crate) mod version;
mod whole;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Name of a queued upgrade [default: the next one]
    #[arg(value_parser = name)]
    name: Option<UpgradeName>,
    /// An announcement that isn't queued: the URL or the file of an upgrade-info.json
    #[arg(long, value_name = "URL|FILE", conflicts_with = "name")]
    url: Option<OsString>,
    /// Fetch the whole binary to a temporary folder, verify it there, and ask it what it is
    #[arg(long)]
    fetch: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

fn name(text: &str) -> Result<UpgradeName, crate::release::Error> {
    text.parse()
}

/// Looks at everything. The exit status says whether the upgrade would succeed.
pub(super) fn check(disk: &dyn Disk, env: &Env, args: &CheckArgs) -> Result<Exit, Error> {
    let (config, paths) = config::load(disk, env)?;
    let site = Site::look(disk, config, paths);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start the runtime on", std::path::Path::new("this machine")))?;
    let report = runtime.block_on(examine(&site, args));
    // A thread that hangs in a system call must not hold up the end.
    runtime.shutdown_background();
    match args.output {
        Output::Text => output::print_fitting(&report.to_text(), report::INDENT),
        Output::Json => output::print(&report.to_json()),
    }?;
    Ok(report.exit())
}

async fn examine<'a>(site: &'a Site<'_>, args: &CheckArgs) -> Report<'a> {
    let (subject, mut findings) =
        subject::find(site, args.name.as_ref(), args.url.as_deref()).await;
    let mut binary = binary::Outlook::default();
    if let Some(subject) = &subject {
        findings.extend(version::findings(site, subject));
        binary = binary::look(site, &subject.info, args.fetch).await;
        findings.append(&mut binary.findings);
    }
    let home = room::home(site);
    findings.extend(room::findings(site, subject.as_ref(), &binary, &home));
    findings.extend(folders::findings(site));
    findings.push(group::finding(site));
    findings.extend(commands::findings(site));
    findings.extend(locks::findings(site, subject.as_ref()));
    findings.extend(record::findings(site));
    let estimate = estimate::of(site, &binary, home.ok().map(|need| need.bytes));
    Report { site, subject, findings, estimate }
}
