//! One picture of the tour: the chapters, the nine phases with their timeline, and what happened
//! last. All of it is from the records so far. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::chapter::{Chapter, Stand};
use super::page::Page;
use super::scenario::Scenario;
use super::screen::{Line, Look, cut};
use super::stage::DAEMON;
use super::{NEW, OLD};
use crate::cli::backups::plain;
use crate::cli::journal::{Chart, Entry, Kind, Scale, Story, timeline, words};
use crate::machine::{Event, PhaseName};
use crate::spans::{Down, Lane};

/// What stands before a bar: the mark, the name, the duration.
const LEAD: usize = 29;
const LENGTH: usize = 9;
/// Where a chapter's note begins.
const NOTE: usize = 42;
/// More of what happened is shown in a journal.
const EVENTS_MAX: usize = 12;
const PLAYED: &str = "The daemon is played by this program; processes, files and HTTP are real.";
/// Rows that cannot be left out: title, chapters, phases with a title and the down time.
const ROWS_MIN: usize = 17;

/// What one picture shows.
pub(super) struct Scene<'a> {
    pub(super) page: &'a Page,
    pub(super) scenario: Scenario,
    pub(super) story: &'a Story<'a>,
    /// The records up to `at`.
    pub(super) entries: &'a [&'a Entry],
    pub(super) at: DateTime<Utc>,
    /// So many times slower than it was.
    pub(super) slower: Option<i32>,
    pub(super) is_released: bool,
    /// Nothing more comes.
    pub(super) is_over: bool,
    /// What the last chapter has to say, once it is its turn.
    pub(super) verdict: Option<(Stand, String)>,
}

impl Scene<'_> {
    /// The picture in so many rows and columns.
    pub(super) fn draw(&self, rows: usize, columns: usize) -> Vec<Line> {
        let mut spare = rows.saturating_sub(ROWS_MIN);
        // Whether there is room for as many more.
        let mut take = |wanted: usize| {
            let enough = spare >= wanted;
            spare -= if enough { wanted } else { 0 };
            enough
        };
        let said = match self.scenario.0 {
            None => PLAYED,
            Some(_) => self.scenario.announced(),
        };
        let said = self.page.wrapped(said, columns.saturating_sub(2));
        let has_said = take(said.len());
        let (gap, other_gap, last_gap) = (take(1), take(1), take(2));
        let prepared = self.prepared(columns);
        let has_prepared = take(prepared.len());
        let blank = |is: bool| is.then(|| Line::plain(""));

        let mut lines = vec![Self::title()];
        if has_said {
            let said = said.iter().map(|line| format!("  {line}"));
            lines.extend(said.map(|text| Line { text, look: Look::Faint }));
        }
        lines.extend(blank(gap));
        lines.extend(Chapter::ALL.map(|chapter| self.chapter(chapter)));
        lines.extend(blank(other_gap));
        lines.extend(self.phases(columns));
        lines.extend(prepared.into_iter().filter(|_| has_prepared));
        lines.extend(blank(last_gap && !self.is_over));
        lines.extend(self.events(spare + usize::from(last_gap), columns));
        lines
    }

    fn title() -> Line {
        let text = "nymvisor demo: a real upgrade (Ctrl-C ends it)";
        Line { text: text.to_owned(), look: Look::Strong }
    }

    fn chapter(&self, chapter: Chapter) -> Line {
        let by_records = self.stand(chapter);
        let verdict = self.verdict.as_ref().filter(|_| chapter == Chapter::OnRecord);
        let (stand, note) = match verdict {
            Some((stand, note)) => (*stand, note.clone()),
            None => (by_records, self.note(chapter, by_records)),
        };
        let head = format!("  {} {}", stand.mark(), chapter.title());
        let text = plain(&format!("{head:<NOTE$}{note}"));
        Line { text, look: look(stand) }
    }

    fn note(&self, chapter: Chapter, stand: Stand) -> String {
        if stand == Stand::Later {
            return String::new();
        }
        match chapter {
            Chapter::Node => self
                .running(0)
                .map_or_else(|| "starting".to_owned(), |pid| format!("process {pid}")),
            Chapter::Release => self.announced(),
            Chapter::Preparation | Chapter::Upgrade if stand == Stand::Failed => self.failure(),
            Chapter::Preparation => self.steps(stand),
            Chapter::Upgrade => {
                let down = self.attempt().and_then(|chart| chart.downs.last().copied());
                down.filter(|down| down.from <= self.at)
                    .map_or_else(String::new, |down| format!("down for {}", self.length(down)))
            }
            Chapter::OnRecord => String::new(),
        }
    }

    fn announced(&self) -> String {
        let first = self.story.announced.first().filter(|first| first.at <= self.at);
        first.map_or_else(
            || "published".to_owned(),
            |first| format!("due in {}", words::duration(first.upgrade.due_at - first.at)),
        )
    }

    fn failure(&self) -> String {
        let failed = self.story.failures.first();
        failed.map_or_else(
            || "the new version was given up".to_owned(),
            |(_, failure)| self.page.shorten(&failure.text),
        )
    }

    /// The step of the preparation that is done now, or what all of them took.
    fn steps(&self, stand: Stand) -> String {
        let Some(chart) = self.preparation() else { return String::new() };
        let bars = chart.bars.iter().filter(|bar| bar.from <= self.at);
        if stand == Stand::Now {
            let step = bars.map(|bar| bar.lane.name()).next_back().unwrap_or_default();
            let due = self.story.announced.last().map(|last| last.upgrade.due_at - self.at);
            let left = due.filter(|left| *left > TimeDelta::zero());
            let left = left.map(|left| format!(", due in {:.1} s", left.as_seconds_f64()));
            return step + &left.unwrap_or_default();
        }
        // What is left of the time till it is due is no work.
        let work = bars.filter(|bar| bar.lane != Lane::Step("ready")).map(|bar| bar.to - bar.from);
        format!("{} of work", words::duration(work.sum()))
    }

    /// The preparation; its last step is as long as it is now while it goes on.
    fn preparation(&self) -> Option<Chart> {
        let mut charts = self.story.charts.iter();
        let mut chart = charts.find(|chart| chart.kind == Kind::Preparation)?.clone();
        let is_open = self.stand(Chapter::Preparation) == Stand::Now;
        if let Some(last) = chart.bars.last_mut().filter(|_| is_open) {
            last.to = last.to.max(self.at);
        }
        Some(chart)
    }

    fn stand(&self, chapter: Chapter) -> Stand {
        chapter.stand(self.entries.iter().map(|entry| &entry.record), self.is_released)
    }

    /// The preparation's timeline, below that of the phases.
    fn prepared(&self, columns: usize) -> Vec<Line> {
        let Some(chart) = self.preparation() else { return Vec::new() };
        let drawn = timeline::draw(&chart, scale(columns)).into_iter().enumerate();
        let drawn = drawn.map(|(number, line)| match number {
            0 => Line { text: format!("  {line}"), look: Look::Faint },
            // Where the phases have their marks.
            _ => Line::plain(format!("    {line}")),
        });
        std::iter::once(Line::plain("")).chain(drawn).collect()
    }

    /// The process that ran, or runs, after so many swaps.
    fn running(&self, swaps: usize) -> Option<u32> {
        let mut seen = 0;
        let mut pid = None;
        for entry in self.entries {
            if let Event::SwapCommitted { .. } = entry.record.event {
                seen += 1;
            } else if let Event::DaemonSpawned { daemon } = &entry.record.event
                && seen == swaps
            {
                pid = Some(daemon.pid);
            }
        }
        pid
    }

    /// The attempt as it is drawn: of one that is not over, the last phase is as long as it is now.
    fn attempt(&self) -> Option<Chart> {
        let is_attempt = |chart: &&Chart| matches!(chart.kind, Kind::Attempt(_));
        let mut chart = self.story.charts.iter().rfind(is_attempt)?.clone();
        let (from, to) = chart.ends()?;
        let is_up = |entry: &&Entry| entry.record.to == PhaseName::Running && entry.record.at >= to;
        let is_open = !self.is_over && !self.entries.iter().any(is_up);
        if let Some(last) = chart.bars.last_mut().filter(|_| is_open && self.slower.is_none()) {
            last.to = last.to.max(self.at);
        }
        (from <= self.at).then_some(chart)
    }

    fn phases(&self, columns: usize) -> Vec<Line> {
        let chart = self.attempt();
        let scale = scale(columns);
        let slower = self
            .slower
            .map_or_else(String::new, |times| format!("slow motion: {times} times slower"));
        let title = format!("  {}", scale.row("    phase", "", &format!("    {slower}")));
        let mut lines = vec![Line { text: title, look: Look::Faint }];
        let phase = self.entries.last().map(|entry| entry.record.to);
        lines.extend(PhaseName::ALL.map(|name| self.phase(name, phase, chart.as_ref(), scale)));
        let mut downs =
            chart.iter().flat_map(|chart| chart.downs.iter().map(move |down| (chart, *down)));
        let down = downs.rfind(|(_, down)| down.from <= self.at);
        let text = down.map_or_else(String::new, |(chart, down)| {
            let bar = scale.gap(chart, &down, self.at);
            format!("      {}", scale.row("daemon down", &self.length(down), &bar))
        });
        lines.push(Line { text, look: Look::Strong });
        lines
    }

    fn phase(
        &self,
        name: PhaseName,
        now: Option<PhaseName>,
        chart: Option<&Chart>,
        scale: Scale,
    ) -> Line {
        let is_now = now == Some(name) && !self.is_over;
        let mut bars = chart.iter().flat_map(|chart| &chart.bars);
        let bar = bars.rfind(|bar| bar.lane == Lane::Phase(name) && bar.from <= self.at);
        let (length, cells) = match (bar, chart) {
            (Some(bar), Some(chart)) => {
                let to = bar.to.min(self.at);
                (words::duration(to - bar.from), scale.bar(chart, bar.from, to))
            }
            (Some(_) | None, _) if name == PhaseName::Running => (String::new(), self.runs()),
            (Some(_) | None, _) => (String::new(), String::new()),
        };
        // These two may be entered beside an attempt as well.
        let is_other = matches!(name, PhaseName::Running | PhaseName::Failed);
        let has_been = is_other && self.entries.iter().any(|entry| entry.record.to == name);
        let stand = match (is_now, bar.is_some() || has_been) {
            (_, true) if name == PhaseName::Failed => Stand::Failed,
            (true, _) => Stand::Now,
            (false, true) => Stand::Done,
            (false, false) => Stand::Later,
        };
        let row = scale.row(&name.to_string(), &length, &cells);
        Line { text: format!("  {} {row}", stand.mark()), look: look(stand) }
    }

    /// What goes on while the daemon runs: the steps of the preparation, or nothing else.
    fn runs(&self) -> String {
        if self.stand(Chapter::Preparation) == Stand::Now
            && let Some(chart) = self.preparation()
        {
            let names: Vec<_> = chart.bars.iter().map(|bar| bar.lane.name()).collect();
            return names.join(", ");
        }
        self.version()
    }

    /// What runs, or ran last.
    fn version(&self) -> String {
        let Some((version, pid)) =
            self.running(1).map(|pid| (NEW, pid)).or(self.running(0).map(|pid| (OLD, pid)))
        else {
            return String::new();
        };
        format!("{DAEMON} {version}, process {pid}")
    }

    /// How long the daemon is down, or was.
    fn length(&self, down: Down) -> String {
        match down.to {
            Some(up) if up <= self.at => words::down(&down),
            None if self.is_over => words::down(&down),
            Some(_) | None => words::duration(self.at - down.from),
        }
    }

    /// What happened last, a line each.
    fn events(&self, most: usize, columns: usize) -> Vec<Line> {
        // In the end the verdict stands there.
        let most = if self.is_over { 0 } else { most.min(EVENTS_MAX) };
        let first = self.entries.len().saturating_sub(most);
        let last = self.entries.iter().skip(first);
        let lines = last.map(|entry| cut(&plain(&self.page.line(entry)), columns));
        lines.map(|text| Line { text, look: Look::Faint }).collect()
    }
}

fn look(stand: Stand) -> Look {
    match stand {
        Stand::Now | Stand::Failed => Look::Strong,
        Stand::Done => Look::Plain,
        Stand::Later => Look::Faint,
    }
}

fn scale(columns: usize) -> Scale {
    let cells = i64::try_from(columns.saturating_sub(LEAD)).unwrap_or_default().max(1);
    Scale { length: LENGTH, cells }
}
