//! `journal timeline`: the phases of one upgrade, drawn to scale.

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::Book;
use super::chart::{Chart, Kind};
use super::filter;
use super::show::{self, entries};
use super::story::Story;
use super::words;
use crate::cli::Error;
use crate::cli::backups::plain;
use crate::cli::check::report::wrapped;
use crate::cli::output::{self, Output, OutputArgs};
use crate::config::Env;
use crate::disk::Disk;
use crate::machine::Version;
use crate::narrate;
use crate::spans::Down;

/// The longest name: `Downloading`, `daemon down`.
pub(in crate::cli) const NAME: usize = 11;
/// Where a line goes on that is too long.
const HANG: usize = 2;
/// With this one a line has 80 columns.
pub(in crate::cli) const SCALE: Scale = Scale { length: 17, cells: 46 };

/// That something happened to an upgrade of which the journal can't tell.
pub(super) const UNTOLD: &str =
    "some records about it are not here: they were pruned, are missing, or can't be read";

/// How wide a chart is drawn.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Scale {
    /// Characters for a duration; the longest is `at least 59 min 59 s`.
    pub(in crate::cli) length: usize,
    /// Cells of a bar.
    pub(in crate::cli) cells: i64,
}

impl Scale {
    /// A stretch of a bar, or all of it.
    pub(in crate::cli) fn bar(
        self,
        chart: &Chart,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> String {
        self.stretch(chart, from, to, '█')
    }

    /// A time without a daemon, as long as it is by `to`.
    pub(in crate::cli) fn gap(self, chart: &Chart, down: &Down, to: DateTime<Utc>) -> String {
        self.stretch(chart, down.from, down.to.map_or(to, |up| up.min(to)), '▒')
    }

    fn stretch(self, chart: &Chart, from: DateTime<Utc>, to: DateTime<Utc>, cell: char) -> String {
        let (left, length) = chart.place(from, to, self.cells, 1);
        let times = |count: i64| usize::try_from(count).unwrap_or_default();
        " ".repeat(times(left)) + &cell.to_string().repeat(times(length))
    }

    /// What stands before a bar, and the bar.
    pub(in crate::cli) fn row(self, name: &str, length: &str, cells: &str) -> String {
        let width = self.length;
        format!("{name:<NAME$} {length:>width$}  {cells}")
    }
}

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
    show::warn_of_gaps(&items);
    let name = match &args.upgrade {
        Some(name) if known.contains(name) => name,
        Some(name) => return Err(filter::unknown(name, &items)),
        None => known.last().ok_or_else(|| {
            Error::Refused(format!("the journal tells of {}", filter::none(&items)))
        })?,
    };
    let story = book.story(name, entries(&items));
    output::print(&match args.output.output {
        Output::Text => to_text(&story),
        Output::Json => format!("{}\n", to_json(&story)),
    })
}

/// The story in lines of 80 columns at most, but for names and paths that are longer.
pub(in crate::cli) fn to_text(story: &Story<'_>) -> String {
    let mut heads = vec![format!("{}: {}", story.name, story.outcome.words())];
    heads.extend(way(story));
    if let (Some(first), Some(last)) = (story.announced.first(), story.announced.last()) {
        let who = narrate::requester(&last.upgrade.requester);
        heads.push(format!("asked for by {who}"));
        heads.push(format!("first seen {} (record {})", words::time(first.at), first.seq));
    }
    if story.untold {
        heads.push(UNTOLD.to_owned());
    } else if story.charts.is_empty() {
        heads.push("nothing was prepared, and the daemon was not stopped for it".to_owned());
    }
    let mut text = String::new();
    for (number, head) in heads.iter().enumerate() {
        let lead = if number == 0 { "" } else { "  " };
        text.push_str(lead);
        text.push_str(&wrapped(head, HANG));
        text.push('\n');
    }
    for chart in &story.charts {
        text.push('\n');
        text.extend(draw(chart, SCALE).into_iter().map(|line| line + "\n"));
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

/// A chart with its title, in lines.
pub(in crate::cli) fn draw(chart: &Chart, scale: Scale) -> Vec<String> {
    let Some((from, _)) = chart.ends() else { return Vec::new() };
    let title = format!("{}, {}, from {}", title(chart), chart.took(), words::time(from));
    let mut lines: Vec<String> = wrapped(&title, HANG).lines().map(str::to_owned).collect();
    let head = lines.len();
    lines.extend(chart.bars.iter().map(|bar| {
        let length = words::duration(bar.to - bar.from);
        scale.row(&bar.lane.name(), &length, &scale.bar(chart, bar.from, bar.to))
    }));
    lines.extend(chart.downs.iter().map(|down| {
        let cells = scale.gap(chart, down, DateTime::<Utc>::MAX_UTC);
        scale.row("daemon down", &words::down(down), &cells)
    }));
    let rows = lines.iter_mut().skip(head);
    rows.for_each(|row| row.insert_str(0, "  "));
    lines
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
        "untold": story.untold,
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
        "open": chart.open,
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
