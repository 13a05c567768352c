//! The play, from the start of `run` to its end.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::asked::Asked;
use super::chapter::Chapter;
use super::follow::Follower;
use super::page::Page;
use super::scenario::{Expected, Fail, Scenario};
use super::server::Server;
use super::stage::{DAEMON, Stage, Started};
use super::view::View;
use super::{NEW, UPGRADE};
use crate::cli::{Error, play};
use crate::digest;
use crate::machine::Event;
use crate::release::platform_key;

/// How often the journal is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// What isn't over by then never will be.
const PATIENCE: Duration = Duration::from_mins(1);

/// How fast it is played.
struct Pace {
    /// How long a daemon is watched before something is done to it.
    watched: Duration,
    /// From the announcement to the upgrade's time: enough to prepare it.
    notice: TimeDelta,
}

/// Lines can be read afterwards.
const FAST: Pace =
    Pace { watched: Duration::from_millis(500), notice: TimeDelta::milliseconds(700) };
/// A picture has to be followed.
const EASY: Pace = Pace { watched: Duration::from_millis(1500), notice: TimeDelta::seconds(3) };

/// All that plays.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) page: &'a Page,
    /// Where it is shown; lines are printed where there is none.
    pub(super) view: Option<View>,
    pub(super) scenario: Scenario,
    pub(super) asked: &'a Asked,
    pub(super) server: Server,
    pub(super) follower: Follower,
    pub(super) run: Started,
}

impl Play<'_> {
    /// The status that `run` ended with.
    pub(super) fn watch(&mut self) -> Result<Option<i32>, Error> {
        let pace = if self.view.is_some() { EASY } else { FAST };
        let began = Instant::now();
        let (mut up_since, mut shown_since) = (None, None);
        let (mut is_published, mut is_asked) = (false, false);
        loop {
            let ended = self.run.ended();
            self.look(ended.is_some())?;
            if let Some(status) = ended.filter(|_| self.has_shown_all()) {
                return Ok(status.code());
            }
            if let Some(signal) = self.asked.to_end() {
                return Err(Error::Refused(format!("{signal}: the demo was interrupted")));
            }
            if began.elapsed() > PATIENCE {
                let limit = PATIENCE.as_secs();
                return Err(Error::Refused(format!("nothing came of it within {limit} s")));
            }
            let is_long_ago =
                |since: Option<Instant>| since.is_some_and(|since| since.elapsed() >= pace.watched);
            if self.is_up() {
                up_since.get_or_insert_with(Instant::now);
            }
            if !is_published && is_long_ago(up_since) {
                is_published = true;
                self.publish(pace.notice)?;
            }
            if self.is_seen() {
                shown_since.get_or_insert_with(Instant::now);
            }
            if !is_asked && is_long_ago(shown_since) {
                is_asked = true;
                self.happened("   (demo)", "enough seen: SIGTERM")?;
                self.run.ask_to_end();
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// Shows what is new.
    fn look(&mut self, is_over: bool) -> Result<(), Error> {
        let news = self.follower.look()?;
        if self.view.is_none() {
            for entry in news {
                if let Some(chapter) = Chapter::begun_by(&entry.record) {
                    self.page.title(&chapter.title())?;
                }
                self.page.record(entry)?;
            }
            return Ok(());
        }
        drop(news);
        let Some(view) = &mut self.view else { return Ok(()) };
        view.is_over = is_over;
        view.tick(self.page, &self.follower)
    }

    fn has_shown_all(&self) -> bool {
        self.view.as_ref().is_none_or(View::has_shown_all)
    }

    /// Something that isn't in the journal.
    fn happened(&self, who: &str, text: &str) -> Result<(), Error> {
        if self.view.is_some() {
            return Ok(());
        }
        self.page.happened(Utc::now(), who, text, false)
    }

    fn is_up(&self) -> bool {
        self.follower.has_seen(|event| matches!(event, Event::DaemonSpawned { .. }))
    }

    /// Whether all that was to be shown has happened and was seen, so that the run can be ended.
    fn is_seen(&self) -> bool {
        let committed = |event: &Event| matches!(event, Event::SwapCommitted { .. });
        let failed = |event: &Event| matches!(event, Event::WorkFailed { .. });
        match self.scenario.expected() {
            // Whichever of them was expected: after the other there is nothing more to wait for.
            Expected::Upgraded | Expected::BackToOld(_) => {
                (self.is_up_after(committed) || self.is_up_after(failed)) && self.has_shown_all()
            }
            Expected::HeldBack(_) => self.follower.has_seen(failed) || self.is_up_after(committed),
            // It ends by itself.
            Expected::GivenUp => self.follower.has_seen(failed),
        }
    }

    fn is_up_after(&self, is: impl Fn(&Event) -> bool) -> bool {
        let mut records = self.follower.records();
        records.any(|record| is(&record.event))
            && records.any(|record| matches!(record.event, Event::DaemonSpawned { .. }))
    }

    /// Releases the new version, to be installed after `notice`.
    fn publish(&mut self, notice: TimeDelta) -> Result<(), Error> {
        let flags = self.scenario.new_daemon();
        let binary = self.stage.binary(&self.scenario.new_shell(self.stage), NEW, &flags);
        let path = format!("/{DAEMON}/{UPGRADE}/{DAEMON}");
        let is_wrong = self.scenario.0 == Some(Fail::Verifying);
        let checksum = digest::sha256(if is_wrong { b"another binary" } else { &binary });
        if self.scenario.0 != Some(Fail::Downloading) {
            self.server.publish(&path, binary);
        }
        let now = Utc::now();
        let platform = json!({
            "checksum": checksum,
            "checksumAlgorithm": "sha256",
            "url": self.server.url(&path),
        });
        let announcement = json!({
            "manual": false,
            "name": UPGRADE,
            "notes": "a release of the demo",
            "publishDate": now,
            "version": NEW,
            "platforms": { platform_key(): platform },
            "upgradeTime": now + notice,
            "binaryDetails": play::details(DAEMON, NEW),
        });
        let bytes = announcement.to_string().into_bytes();
        self.server.publish(&format!("/{DAEMON}/upgrade-info.json"), bytes);
        if let Some(view) = &mut self.view {
            view.is_released = true;
            return Ok(());
        }
        self.page.title(&Chapter::Release.title())?;
        let seconds = notice.as_seconds_f64();
        self.happened("   (upstream)", &format!("released, to be installed in {seconds} s"))
    }
}
