//! What the demo tells when it is over.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

use super::chapter::{Chapter, Stand};
use super::follow::Follower;
use super::page::{Page, print_lines};
use super::scenario::Scenario;
use super::stage::{DAEMON, Stage};
use super::verdict::{Finding, Left};
use super::view::View;
use super::{OLD, RUN_LOG};
use crate::cli::Error;
use crate::cli::journal::{Kind, SCALE, Story, timeline, words};
use crate::config::Paths;
use crate::host::{backup, room};

/// What looks at all that is on the record.
const VERIFY: &str = "nymvisor journal verify --backups";
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
    /// The folder stays.
    pub(super) keeps: bool,
}

impl Report<'_> {
    /// Tells it; an error where something was not as it should have been.
    pub(super) fn give(&self, view: Option<View>) -> Result<(), Error> {
        let left = Left { follower: self.follower, paths: self.paths, status: self.status };
        let story = self.follower.story();
        let mut findings = left.findings(self.scenario);
        match view {
            Some(view) => self.on_screen(view, &story, &left, &mut findings)?,
            None => self.in_lines(&story, &left, &mut findings)?,
        }
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

    /// The last picture; all is told below it.
    fn on_screen(
        &self,
        mut view: View,
        story: &Story<'_>,
        left: &Left<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        view.verdict = Some((Stand::Now, "journal and backup are verified".to_owned()));
        view.draw(self.page, self.follower)?;
        findings.push(self.verify()?.0);
        let holds = findings.iter().all(|finding| finding.holds);
        let stand = if holds { Stand::Done } else { Stand::Failed };
        let records = self.follower.records().count();
        let backup = left.sealed().map_or("no backup".to_owned(), |archive| {
            format!("a backup of {}", room::human(archive.bytes))
        });
        view.verdict = Some((stand, format!("{records} records, {backup}")));
        view.draw(self.page, self.follower)?;
        drop(view);
        let trials = story.charts.iter().filter(|chart| chart.kind == Kind::Trial);
        for chart in trials {
            print_lines(&[String::new()])?;
            print_lines(&timeline::draw(chart, SCALE))?;
        }
        print_lines(&[String::new()])?;
        self.downs(story)
    }

    fn in_lines(
        &self,
        story: &Story<'_>,
        left: &Left<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        self.page.title("The timeline")?;
        self.page.command("nymvisor journal timeline")?;
        for line in timeline::to_text(story).lines() {
            self.page.as_printed(line)?;
        }
        print_lines(&[String::new()])?;
        self.downs(story)?;
        self.page.title(&Chapter::OnRecord.title())?;
        self.remains(left)?;
        self.page.command(VERIFY)?;
        let (finding, said) = self.verify()?;
        said.lines().try_for_each(|line| self.page.say(line))?;
        findings.push(finding);
        self.page.title("Looked at")
    }

    /// How long no daemon was up.
    fn downs(&self, story: &Story<'_>) -> Result<(), Error> {
        let downs: Vec<_> = story.charts.iter().flat_map(|chart| &chart.downs).collect();
        if downs.is_empty() {
            return self.page.say("The daemon was not stopped.");
        }
        for (number, down) in downs.into_iter().enumerate() {
            let again = if number == 0 { "" } else { " again" };
            let text = if down.to.is_some() {
                format!("The daemon was down{again} for {}.", words::down(down))
            } else {
                let since = self.page.since(down.from);
                format!("The daemon is down{again} since {since}, for good.")
            };
            self.page.say(&text)?;
        }
        Ok(())
    }

    /// Has the journal and the backup verified by the command that does so.
    fn verify(&self) -> Result<(Finding, String), Error> {
        let args: Vec<_> = VERIFY.split(' ').skip(1).map(OsString::from).collect();
        let output = self.stage.output(&args)?;
        let holds = output.status.success();
        let text = format!("'{VERIFY}' finds nothing wrong");
        let said = [output.stdout, output.stderr].concat();
        Ok((Finding { holds, text }, String::from_utf8_lossy(&said).into_owned()))
    }

    /// What there is now.
    fn remains(&self, left: &Left<'_>) -> Result<(), Error> {
        let version = left.version();
        self.page.hang("  version  ", &format!("{DAEMON} {OLD} before, {version} now"), false)?;
        if let Some(archive) = left.sealed() {
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
        let is_done = self.keeps && self.scenario.0.is_none();
        let remedy = self.scenario.remedy().iter().filter(|_| !is_done);
        { remedy }.try_for_each(|command| self.page.command(command))
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
