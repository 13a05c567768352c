//! What the demo tells when it is over.

use std::fs::File;
use std::io;
use std::path::Path;

use super::follow::Follower;
use super::page::{Page, print_lines, seconds};
use super::scenario::Scenario;
use super::stage::{DAEMON, Stage};
use super::timeline;
use super::verdict::{Finding, Left};
use super::{OLD, RUN_LOG};
use crate::cli::Error;
use crate::config::Paths;
use crate::host::{backup, room};

/// So many lines of the log are shown where something went wrong.
const LOG_LINES: usize = 12;

/// All that there is to tell.
pub(super) struct Report<'a> {
    pub(super) stage: &'a Stage,
    pub(super) page: &'a Page,
    pub(super) scenario: Scenario,
    pub(super) follower: &'a Follower,
    pub(super) paths: &'a Paths,
    /// The status that `run` ended with.
    pub(super) status: Option<i32>,
}

impl Report<'_> {
    /// Tells it; an error where something was not as it should have been.
    pub(super) fn give(&self) -> Result<(), Error> {
        let left = Left { follower: self.follower, paths: self.paths, status: self.status };
        self.timeline()?;
        self.remains(&left)?;
        let findings = left.findings(self.scenario);
        self.page.title("Looked at")?;
        for finding in &findings {
            let lead = if finding.holds { "  yes  " } else { "  NO   " };
            self.page.hang(lead, &finding.text, !finding.holds)?;
        }
        if findings.iter().all(|finding| finding.holds) {
            return self.explain();
        }
        self.log()?;
        Err(Error::Refused(failed(&findings)))
    }

    fn timeline(&self) -> Result<(), Error> {
        let upgrade = timeline::upgrade(self.follower.records());
        if upgrade.is_empty() {
            self.page.title("No timeline: the daemon was not stopped")?;
            return Ok(());
        }
        self.page.title("The upgrade, from the stop on")?;
        print_lines(&timeline::draw(&timeline::spans(upgrade), self.page.began()))?;
        print_lines(&[String::new()])?;
        for (number, down) in timeline::down_times(upgrade).into_iter().enumerate() {
            let again = if number == 0 { "" } else { " again" };
            let text = if let Some(to) = down.to {
                let ms = timeline::milliseconds(to - down.from);
                format!("The daemon was down{again} for {ms} ms.")
            } else {
                let since = seconds(down.from - self.page.began());
                format!("The daemon is down{again} since {since}, for good.")
            };
            self.page.say(&text)?;
        }
        Ok(())
    }

    /// What there is now.
    fn remains(&self, left: &Left<'_>) -> Result<(), Error> {
        self.page.title("What there is now")?;
        let version = left.version();
        self.page.hang("  version  ", &format!("{DAEMON} {OLD} before, {version} now"), false)?;
        let archive = left.archive().filter(|archive| backup::path_of(archive).exists());
        if let Some(archive) = archive {
            let size = room::human(archive.bytes);
            let text = format!("{size}, {} entries, in {}", archive.entries, archive.path);
            self.page.hang("  backup   ", &text, false)?;
            for name in listing(&backup::path_of(archive))? {
                self.page.hang("           - ", &name, false)?;
            }
        }
        let head = self.follower.head().unwrap_or("none");
        print_lines(&[format!("  journal  head {head}")])
    }

    fn explain(&self) -> Result<(), Error> {
        self.page.title("In short")?;
        self.page.say(self.scenario.explanation())?;
        self.scenario.remedy().iter().try_for_each(|command| self.page.command(command))
    }

    /// The end of what `run` printed: the cause may be there.
    fn log(&self) -> Result<(), Error> {
        self.page.title("The last lines of its log")?;
        let log = std::fs::read(self.stage.join(RUN_LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        last.iter().try_for_each(|line| self.page.say(line))
    }
}

/// The names in an archive.
fn listing(path: &Path) -> Result<Vec<String>, Error> {
    let read = || -> io::Result<Vec<String>> {
        let file = zstd::Decoder::new(File::open(path)?)?;
        let mut archive = tar::Archive::new(file);
        archive.entries()?.map(|entry| Ok(entry?.path()?.display().to_string())).collect()
    };
    read().map_err(Error::io("list", path))
}

fn failed(findings: &[Finding]) -> String {
    let wrong = findings.iter().filter(|finding| !finding.holds);
    let wrong: Vec<_> = wrong.map(|finding| finding.text.as_str()).collect();
    format!("not as it should be: {}", wrong.join("; "))
}
