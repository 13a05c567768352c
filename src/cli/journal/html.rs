//! `journal report`: one page for an auditor, written beside and renamed.

use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::Args;
use serde_json::{Value, json};

use super::Book;
use super::filter;
use super::report::Report;
use super::show::entries;
use super::trail::Item;
use super::verify;
use crate::cli::Error;
use crate::cli::backups::plain;
use crate::cli::output::{self, Output, OutputArgs};
use crate::config::{Env, Paths};
use crate::disk::{self, Disk, Kind};
use crate::exit::Exit;
use crate::release::{self, History, Plan, UpgradeInfo, UpgradeName};

mod escape;
mod page;
mod picture;
mod record;
mod section;
mod verdict;

use page::Page;
use section::Section;

/// Mode bits of the page: it tells what the journal tells.
const MODE: u32 = 0o600;

/// What to report of, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Name of the upgrade [default: all that the journal tells of]
    #[arg(long, value_name = "NAME")]
    upgrade: Option<String>,
    /// The file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    /// Read the backups that are still there as well, and compare their digests
    #[arg(long)]
    backups: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes the page. The exit status is that of `journal verify`.
pub(super) fn report(disk: &dyn Disk, env: &Env, args: &ReportArgs) -> Result<Exit, Error> {
    let file = place(disk, &args.html)?;
    let mut book = Book::of(disk, env)?;
    let items = book.read(disk)?;
    let known = filter::upgrades(entries(&items));
    let names = match &args.upgrade {
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => return Err(filter::unknown(name, &items)),
        // The newest first: that is the one that is asked for.
        None => known.into_iter().rev().collect(),
    };
    let verified = verify::look(disk, &book.paths, book.owner(), None, args.backups)?;
    let sections: Vec<Section<'_>> = names
        .iter()
        .enumerate()
        .map(|(before, name)| Section {
            number: before + 1,
            story: book.story(name, entries(&items)),
            infos: infos(disk, &book.paths, name),
        })
        .collect();
    let page = page(&book, &items, &sections, &verified);
    let written = page.to_html();
    disk::replace(disk, &file, written.as_bytes(), MODE)
        .map_err(Error::io("write the report to", &args.html))?;
    output::print(&match args.output.output {
        Output::Text => to_text(args, &page),
        Output::Json => format!("{}\n", to_json(args, &page)),
    })?;
    Ok(verified.exit())
}

/// Where the page goes: a new file, or one that is there, be it by a link. A rename would put a
/// file in the place of a device or a FIFO, `/dev/stdout` among them.
fn place(disk: &dyn Disk, file: &Path) -> Result<PathBuf, Error> {
    let real = match file.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => {
            return Ok(file.to_owned());
        }
        Err(error) => return Err(Error::io("write the report to", file)(error)),
    };
    match disk.kind(&real).map_err(Error::io("look at", &real))? {
        Some(Kind::File(_)) | None => Ok(real),
        Some(kind @ (Kind::Folder | Kind::Link | Kind::Other)) => Err(Error::Refused(format!(
            "can't write the report to {}: that is {}; name a file, which may be there",
            file.display(),
            disk::in_words(disk, &real, &kind),
        ))),
    }
}

fn page<'a>(
    book: &'a Book,
    items: &'a [Item],
    sections: &'a [Section<'a>],
    verified: &'a Report,
) -> Page<'a> {
    Page {
        instance: &book.config.nymvisor.id,
        daemon: &book.config.daemon.name,
        at: Utc::now(),
        sections,
        verified,
        none: filter::none(items),
        notes: items.iter().filter_map(Item::note).collect(),
        records: entries(items).count(),
        ends: entries(items).next().zip(entries(items).next_back()),
    }
}

/// The announcements of this name that can be found: they alone have the notes. What lies beside a
/// binary got the details of its build, which may not have been announced; in the plan and in the
/// history it stands as it was announced.
fn infos(disk: &dyn Disk, paths: &Paths, name: &str) -> Vec<UpgradeInfo> {
    let Ok(name) = UpgradeName::installed(name) else { return Vec::new() };
    let mut infos = Vec::new();
    if let Ok(history) = release::load::<History>(disk, &paths.history()) {
        infos.extend(history.history.into_iter().map(|entry| entry.info));
    }
    if let Ok(plan) = release::load::<Plan>(disk, &paths.plan()) {
        infos.extend(plan.queued_up);
        infos.push(plan.current);
    }
    if let Ok(info) = release::load::<UpgradeInfo>(disk, &paths.upgrade_info(&name)) {
        infos.push(UpgradeInfo { binary_details: None, ..info.clone() });
        infos.push(info);
    }
    infos.retain(|info| info.name == name);
    infos
}

fn to_text(args: &ReportArgs, page: &Page<'_>) -> String {
    let names: Vec<&str> =
        page.sections.iter().map(|section| section.story.name.as_str()).collect();
    let what = match names.as_slice() {
        [] => page.none.clone(),
        names => names.join(", "),
    };
    let file = plain(&args.html.display().to_string());
    format!("{file}: {}\nthe journal: {}\n", plain(&what), verdict::words(page.verified))
}

fn to_json(args: &ReportArgs, page: &Page<'_>) -> Value {
    let upgrades = page.sections.iter().map(|section| {
        json!({
            "name": section.story.name,
            "outcome": section.story.outcome.name(),
            "records": section.story.entries.len(),
        })
    });
    let last = page.verified.verified.last.as_ref();
    json!({
        "version": 1,
        "file": args.html.display().to_string(),
        "verdict": page.verified.worst().map_or("clean", crate::journal::FaultKind::name),
        "exit_status": page.verified.exit() as u8,
        "head": last.map(|last| json!({ "seq": last.seq, "hash": last.head })),
        "upgrades": upgrades.collect::<Vec<Value>>(),
    })
}
