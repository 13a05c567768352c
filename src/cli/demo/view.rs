//! The tour on a terminal: a picture, drawn anew as things happen.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::chapter::Stand;
use super::follow::Follower;
use super::frame::Scene;
use super::page::Page;
use super::scenario::Scenario;
use super::screen::Screen;
use crate::cli::Error;
use crate::cli::journal::{Chart, Kind, Story};
use crate::machine::PhaseName;

/// Between two pictures: enough for the eye, and for a slow line.
const PAUSE: Duration = Duration::from_millis(100);
/// So long an attempt takes that is shown once more, slower.
const SLOW: TimeDelta = TimeDelta::seconds(5);
/// An attempt that takes a third of that can be followed as it happens.
const SLOWER_MIN: i32 = 3;

/// What is shown of the attempt.
#[derive(Debug)]
enum Replay {
    /// It isn't over yet.
    Awaited,
    /// What was recorded is shown once more: since when, from which time on, how much slower.
    Runs { since: Instant, from: DateTime<Utc>, to: DateTime<Utc>, slower: i32 },
    /// It is over, or there was no need for it.
    Over,
}

/// The view.
#[derive(Debug)]
pub(super) struct View {
    screen: Screen,
    scenario: Scenario,
    replay: Replay,
    drawn: Option<Instant>,
    pub(super) is_released: bool,
    /// The run has ended.
    pub(super) is_over: bool,
    pub(super) verdict: Option<(Stand, String)>,
}

impl View {
    /// A view on the terminal; `None` where plain lines are printed instead.
    pub(super) fn open(scenario: Scenario) -> Result<Option<Self>, Error> {
        Ok(Screen::open()?.map(|screen| Self {
            screen,
            scenario,
            replay: Replay::Awaited,
            drawn: None,
            is_released: false,
            is_over: false,
            verdict: None,
        }))
    }

    /// Whether all that happened so far has been shown.
    pub(super) fn has_shown_all(&self) -> bool {
        matches!(self.replay, Replay::Over)
    }

    /// Draws what there is, where it is time for the next picture.
    pub(super) fn tick(&mut self, page: &Page, follower: &Follower) -> Result<(), Error> {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE) {
            return Ok(());
        }
        self.draw(page, follower)
    }

    /// Draws what there is.
    pub(super) fn draw(&mut self, page: &Page, follower: &Follower) -> Result<(), Error> {
        self.drawn = Some(Instant::now());
        self.screen.look()?;
        let story = follower.story();
        self.go_on(&story, follower);
        let (at, slower) = match self.replay {
            Replay::Runs { since, from, slower, .. } => (shown(since, from, slower), Some(slower)),
            Replay::Awaited | Replay::Over => (Utc::now(), None),
        };
        let entries: Vec<_> = follower.entries().filter(|entry| entry.record.at <= at).collect();
        let scene = Scene {
            page,
            scenario: self.scenario,
            story: &story,
            entries: &entries,
            at,
            slower,
            is_released: self.is_released,
            is_over: self.is_over && slower.is_none(),
            verdict: self.verdict.clone(),
        };
        let (rows, columns) = self.screen.room();
        self.screen.draw(scene.draw(rows, columns))
    }

    /// Begins to show the attempt once more when it is over, and ends with it.
    fn go_on(&mut self, story: &Story<'_>, follower: &Follower) {
        match self.replay {
            Replay::Awaited => {
                let attempt = story.charts.iter().find(|of| matches!(of.kind, Kind::Attempt(_)));
                if let Some(attempt) = attempt {
                    if self.is_over || is_closed(attempt, follower) {
                        self.replay = again(attempt);
                    }
                } else if self.is_over {
                    self.replay = Replay::Over;
                }
            }
            Replay::Runs { since, from, to, slower } if shown(since, from, slower) >= to => {
                self.replay = Replay::Over;
            }
            Replay::Runs { .. } | Replay::Over => {}
        }
    }
}

/// Up to when the records are shown.
fn shown(since: Instant, from: DateTime<Utc>, slower: i32) -> DateTime<Utc> {
    let elapsed = TimeDelta::from_std(since.elapsed()).unwrap_or(TimeDelta::MAX);
    from + elapsed / slower.max(1)
}

/// Whether a daemon was up at its end.
fn is_closed(attempt: &Chart, follower: &Follower) -> bool {
    let Some((_, to)) = attempt.ends() else { return false };
    let mut records = follower.records();
    records.any(|record| record.at >= to && record.to == PhaseName::Running)
}

fn again(attempt: &Chart) -> Replay {
    let Some((from, to)) = attempt.ends() else { return Replay::Over };
    let whole = (to - from).num_microseconds().unwrap_or(i64::MAX).max(1);
    let slower = SLOW.num_microseconds().unwrap_or_default() / whole;
    match i32::try_from(slower) {
        Ok(slower) if slower >= SLOWER_MIN => {
            Replay::Runs { since: Instant::now(), from, to, slower }
        }
        Ok(_) | Err(_) => Replay::Over,
    }
}
