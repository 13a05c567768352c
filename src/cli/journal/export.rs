//! `journal export`: the records as a table, for other programs.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::Book;
use super::filter::{self, Filter};
use super::show::{self, entries};
use super::trail::{Entry, Item};
use crate::cli::Error;
use crate::cli::output;
use crate::config::Env;
use crate::disk::Disk;
use crate::journal::Owner;
use crate::machine::{Code, Effect, PhaseName};
use crate::narrate;

/// In which format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One object.
    #[default]
    Json,
    /// A table (RFC 4180), with the names of its columns in the first line.
    Csv,
}

/// What to export.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    filter: Filter,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(super) fn export(disk: &dyn Disk, env: &Env, args: &ExportArgs) -> Result<(), Error> {
    let mut book = Book::of(disk, env)?;
    let items = book.read(disk)?;
    args.filter.expect_known(&items)?;
    if args.output == Format::Csv {
        show::warn_of_gaps(&items);
    }
    let last_session = filter::last_session(entries(&items));
    let wanted = entries(&items).filter(|entry| args.filter.wants(entry, last_session));
    let rows: Vec<Row<'_>> = wanted.map(Row::of).collect();
    output::print(&match args.output {
        Format::Json => to_json(&book.owner(), &items, &rows),
        Format::Csv => to_csv(&rows)?,
    })
}

/// One record; the names of these members are those of the columns.
#[derive(Debug, Serialize)]
struct Row<'a> {
    seq: u64,
    at: String,
    session: &'a str,
    from: PhaseName,
    event: &'a str,
    to: PhaseName,
    upgrades: String,
    failure: String,
    text: String,
    orders: String,
    file: &'a str,
    line: u64,
    prev: String,
    hash: &'a str,
}

impl<'a> Row<'a> {
    fn of(entry: &'a Entry) -> Self {
        let record = &entry.record;
        let orders: Vec<&str> = record.effects.iter().map(Effect::name).collect();
        let about: Vec<&str> = entry.about.iter().map(String::as_str).collect();
        Self {
            seq: record.seq,
            at: time(record.at),
            session: &record.session,
            from: record.from,
            event: record.event.name(),
            to: record.to,
            upgrades: about.join(" "),
            failure: entry.failed.map(name).unwrap_or_default(),
            text: narrate::text(record, entry.back.as_deref()),
            orders: orders.join(" "),
            file: &entry.file,
            line: entry.line_number,
            prev: entry.prev.clone(),
            hash: &entry.hash,
        }
    }
}

/// As the records have it.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn name(code: Code) -> String {
    let code = serde_json::to_value(code).unwrap_or_default();
    code.as_str().unwrap_or_default().to_owned()
}

fn to_json(owner: &Owner, items: &[Item], rows: &[Row<'_>]) -> String {
    let notes: Vec<&str> = items.iter().filter_map(Item::note).collect();
    let head = entries(items).next_back();
    let table = json!({
        "version": 1,
        "instance": owner.instance,
        "daemon": owner.daemon,
        "head": head.map(|last| json!({ "seq": last.record.seq, "hash": last.hash })),
        "notes": notes,
        "records": rows,
    });
    format!("{table}\n")
}

fn to_csv(rows: &[Row<'_>]) -> Result<String, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Bug(format!("no CSV was made: {error}"));
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .has_headers(false)
        .from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|error| failed(&error))?;
    for row in rows {
        writer.serialize(row).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

/// The columns, also where there is no row. A test compares them with the rows.
const COLUMNS: [&str; 14] = [
    "seq", "at", "session", "from", "event", "to", "upgrades", "failure", "text", "orders", "file",
    "line", "prev", "hash",
];
