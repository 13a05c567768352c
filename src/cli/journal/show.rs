//! `journal show`: the records in words, or as they are written.

use clap::Args;

use super::filter::{self, Filter};
use super::trail::{Entry, Item};
use super::{Book, follow};
use crate::cli::Error;
use crate::cli::backups::plain;
use crate::cli::output::{self, Output, OutputArgs};
use crate::config::Env;
use crate::disk::Disk;
use crate::narrate;

/// Where a line goes on that is longer than the terminal is wide: behind the numbers.
const HANG: usize = 8;

/// What to show of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Only the last so many records [default with --follow: 10]
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) last: Option<usize>,
    #[command(flatten)]
    pub(super) filter: Filter,
    /// Go on with what comes, until interrupted
    #[arg(long, short = 'f', conflicts_with = "until")]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) fn show(disk: &dyn Disk, env: &Env, args: &ShowArgs) -> Result<(), Error> {
    let mut book = Book::of(disk, env)?;
    if args.follow {
        return follow::follow(disk, &mut book, args);
    }
    let items = book.read(disk)?;
    args.filter.expect_known(&items)?;
    if args.output.output == Output::Json {
        warn_of_gaps(&items);
    }
    let nothing = items.is_empty();
    let lines = lines(&items, args, args.last);
    if lines.is_empty() && args.output.output == Output::Text {
        return output::print(if nothing {
            "nothing has been run here yet\n"
        } else {
            "no record is like that\n"
        });
    }
    output::print(&lines.concat())
}

pub(super) fn entries(items: &[Item]) -> impl DoubleEndedIterator<Item = &Entry> {
    items.iter().filter_map(Item::entry)
}

/// Says on stderr which records can't be told, for those who read the rest elsewhere.
pub(super) fn warn_of_gaps(items: &[Item]) {
    for gap in items.iter().filter_map(Item::gap) {
        output::warn(&plain(gap));
    }
}

/// The lines to print, each with its newline: the last so many records of those that are wanted,
/// and what is to be said of the journal between them.
pub(super) fn lines(items: &[Item], args: &ShowArgs, last: Option<usize>) -> Vec<String> {
    let last_session = filter::last_session(entries(items));
    let wanted = items.iter().filter(|item| match item {
        // What happened to the journal belongs to all of it.
        Item::Note(_) => !args.filter.is_any(),
        // Any of them may be among those that can't be told.
        Item::Gap(_) => true,
        Item::Entry(entry) => args.filter.wants(entry, last_session),
    });
    let wanted: Vec<&Item> = wanted.collect();
    let is_entry = |(_, item): &(usize, &&Item)| item.entry().is_some();
    let first = match last {
        None => 0,
        Some(0) => wanted.len(),
        Some(last) => {
            let mut found = wanted.iter().enumerate().rev().filter(is_entry);
            found.nth(last - 1).map_or(0, |(at, _)| at)
        }
    };
    wanted.into_iter().skip(first).filter_map(|item| line(item, args.output.output)).collect()
}

fn line(item: &Item, output: Output) -> Option<String> {
    match (item, output) {
        (Item::Note(text) | Item::Gap(text), Output::Text) => {
            Some(format!("        --- {}\n", plain(text)))
        }
        // Notes are not lines of the journal; what they tell stands in the headers.
        (Item::Note(_) | Item::Gap(_), Output::Json) => None,
        (Item::Entry(entry), Output::Text) => {
            let line = plain(&narrate::line(&entry.record, entry.back.as_deref()));
            Some(output::fitting(&line, HANG) + "\n")
        }
        (Item::Entry(entry), Output::Json) => Some(format!("{}\n", entry.line)),
    }
}
