//! `journal timeline`: the phases of one upgrade, drawn to scale.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::Book;
use super::chart::{Chart, Down, Kind};
use super::filter;
use super::show::entries;
use super::story::Story;
use super::words;
use crate::cli::Error;
use crate::cli::backups::plain;
use crate::cli::output::{self, Output, OutputArgs};
use crate::config::Env;
use crate::disk::Disk;
use crate::machine::Version;
use crate::narrate;

/// Cells of a bar: with what stands before it a line has 80 columns.
const CELLS: i64 = 46;
/// The longest name: `Downloading`, `daemon down`.
const NAME: usize = 11;
/// The longest duration: `at least 59 min 59 s`.
const LENGTH: usize = 17;

/// Whose phases to draw.
#[derive(Debug, Args)]
pub(in crate::cli) struct TimelineArgs {
    /// Name of the upgrade [default: the last one that the journal tells of]
    #[arg(long, value_name = "NAME")]
    upgrade: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn timeline(disk: &dyn Disk, env: &Env, args: &TimelineArgs) -> Result<(), Error> {
    let mut book = Book::of(disk, env)?;
    let items = book.read(disk)?;
    let known = filter::upgrades(entries(&items));
    let name = match &args.upgrade {
        Some(name) if known.contains(name) => name,
        Some(name) => return Err(filter::unknown(name, &known)),
        None => known
            .last()
            .ok_or_else(|| Error::Refused("the journal tells of no upgrade yet".to_owned()))?,
    };
    let story = Story::of(name, entries(&items), book.state());
    output::print(&match args.output.output {
        Output::Text => to_text(&story),
        Output::Json => format!("{}\n", to_json(&story)),
    })
}

/// The story in lines of 80 columns at most, but for names that are longer.
fn to_text(story: &Story<'_>) -> String {
    let mut text = format!("{}: {}\n", story.name, story.outcome.words());
    if let Some(way) = way(story) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {way}");
    }
    if let (Some(first), Some(last)) = (story.announced.first(), story.announced.last()) {
        let who = narrate::requester(&last.upgrade.requester);
        let at = words::time(first.at);
        let _ = writeln!(text, "  asked for by {who}\n  first seen {at} (record {})", first.seq);
    }
    for chart in &story.charts {
        text.push('\n');
        text.push_str(&draw(chart));
    }
    if story.charts.is_empty() {
        text.push_str("  nothing was prepared, and the daemon was not stopped for it\n");
    }
    text.lines().map(|line| plain(line.trim_end()) + "\n").collect()
}

/// `genesis (1.0.0) -> v1.1.0 (1.1.0)`
fn way(story: &Story<'_>) -> Option<String> {
    let to = version(&story.to()?);
    Some(
        story.from.as_ref().map_or(format!("to {to}"), |from| format!("{} -> {to}", version(from))),
    )
}

fn version(version: &Version) -> String {
    format!("{} ({})", version.name, version.version)
}

/// What a chart shows, in words.
pub(super) fn title(chart: &Chart) -> String {
    match &chart.kind {
        Kind::Preparation => "Prepared, with the daemon up".to_owned(),
        Kind::Trial => "The new version ended in its startup period".to_owned(),
        Kind::Attempt(tried) => {
            let what = if tried.back {
                format!("Rolled back to {}", version(&tried.to))
            } else {
                format!("Attempt {}", tried.id)
            };
            match tried.resumed {
                0 => what,
                1 => format!("{what}, taken up again once"),
                times => format!("{what}, taken up again {times} times"),
            }
        }
    }
}

fn draw(chart: &Chart) -> String {
    let Some((from, _)) = chart.ends() else { return String::new() };
    let mut text = format!(
        "{}, {}, from {}\n",
        title(chart),
        words::duration(chart.whole()),
        words::time(from)
    );
    for bar in &chart.bars {
        let length = words::duration(bar.to - bar.from);
        let cells = cells(chart, bar.from, bar.to, '█');
        text.push_str(&row(&bar.lane.name(), &length, &cells));
    }
    for down in &chart.downs {
        let cells = cells(chart, down.from, down.to.unwrap_or(DateTime::<Utc>::MAX_UTC), '▒');
        text.push_str(&row("daemon down", &down.words(), &cells));
    }
    text
}

fn row(name: &str, length: &str, cells: &str) -> String {
    format!("  {name:<NAME$} {length:>LENGTH$}  {cells}\n")
}

fn cells(chart: &Chart, from: DateTime<Utc>, to: DateTime<Utc>, cell: char) -> String {
    let (left, length) = chart.place(from, to, CELLS, 1);
    let times = |count: i64| usize::try_from(count).unwrap_or_default();
    " ".repeat(times(left)) + &cell.to_string().repeat(times(length))
}

fn to_json(story: &Story<'_>) -> Value {
    let last = story.announced.last();
    json!({
        "version": 1,
        "upgrade": story.name,
        "outcome": story.outcome.name(),
        "from": story.from,
        "to": story.to(),
        "requester": last.map(|last| &last.upgrade.requester),
        "first_seen": story.announced.first().map(|first| json!({
            "seq": first.seq,
            "at": first.at,
        })),
        "charts": story.charts.iter().map(chart_to_json).collect::<Vec<Value>>(),
    })
}

fn chart_to_json(chart: &Chart) -> Value {
    let (kind, attempt) = match &chart.kind {
        Kind::Preparation => ("preparation", None),
        Kind::Trial => ("trial", None),
        Kind::Attempt(tried) if tried.back => ("roll-back", Some(tried.id)),
        Kind::Attempt(tried) => ("attempt", Some(tried.id)),
    };
    let ends = chart.ends();
    let bars = chart.bars.iter().map(|bar| {
        json!({
            "name": bar.lane.name(),
            "from": bar.from,
            "to": bar.to,
            "us": (bar.to - bar.from).num_microseconds(),
        })
    });
    json!({
        "kind": kind,
        "attempt": attempt,
        "from": ends.map(|(from, _)| from),
        "to": ends.map(|(_, to)| to),
        "bars": bars.collect::<Vec<Value>>(),
        "down": chart.downs.iter().map(down_to_json).collect::<Vec<Value>>(),
    })
}

fn down_to_json(down: &Down) -> Value {
    json!({
        "from": down.from,
        "to": down.to,
        "us": down.to.and_then(|to| (to - down.from).num_microseconds()),
        "at_least": down.at_least,
    })
}
