//! One upgrade on the page. Pure.

use std::fmt::Write;

use super::super::story::{Announced, Outcome, Story};
use super::super::{timeline, words};
use super::escape::Text;
use super::{picture, record};
use crate::machine::{Archive, Version};
use crate::narrate;
use crate::release::UpgradeInfo;
use crate::units::human;

/// One upgrade, and what lies beside its binary.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Its number on the page.
    pub(super) number: usize,
    /// What the journal tells.
    pub(super) story: Story<'a>,
    /// Announcements of its name, as they lie on the disk.
    pub(super) infos: Vec<UpgradeInfo>,
}

impl Section<'_> {
    /// The whole section.
    pub(super) fn write(&self, html: &mut String) {
        let story = &self.story;
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(html, "<section>\n<h2>{}</h2>", Text(&story.name));
        html.push_str("<dl>\n");
        for (name, value) in self.facts() {
            let _ = writeln!(html, "<dt>{name}</dt><dd>{value}</dd>");
        }
        html.push_str("</dl>\n");
        for chart in &story.charts {
            picture::write(chart, html);
        }
        record::write(&story.entries, self.number, html);
        html.push_str("</section>\n");
    }

    /// What is known of it: names and values, the values as HTML.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let (story, number) = (&self.story, self.number);
        let mut facts = vec![("Outcome", outcome(&story.outcome))];
        let unknown = || self.or_untold("not known: no attempt has begun");
        facts.push(("From", story.from.as_ref().map_or_else(unknown, version)));
        facts.extend(story.to().map(|to| ("To", version(&to))));
        facts.extend(
            story.announced.iter().map(|announced| ("Asked for", request(announced, number))),
        );
        facts.extend(self.notes().map(|notes| ("Notes", notes)));
        facts.extend(story.untold.then(|| ("Missing", format!("<b>{}</b>", timeline::UNTOLD))));
        facts.push(("Attempts", self.attempts()));
        facts.extend(story.performed.map(|at| ("Performed", words::time(at))));
        facts.extend(story.rolled_back.map(|at| ("Rolled back", words::time(at))));
        facts.push(("Daemon down", self.down()));
        facts.push(("Binary", self.binary()));
        facts.push(("Backup", self.backup()));
        let failures = story.failures.iter().map(|(seq, failure)| {
            let text = Text(&failure.text);
            ("Failed", format!("<a href=\"#u{number}r{seq}\">record {seq}</a>: {text}"))
        });
        facts.extend(failures);
        facts
    }

    /// Only those of the announcement that the journal knows.
    fn notes(&self) -> Option<String> {
        let known = self.story.announced.last()?.upgrade;
        let info = self.infos.iter().find(|info| info.digest() == known.digest)?;
        (!info.notes.is_empty())
            .then(|| format!("<span class=\"notes\">{}</span>", Text(&info.notes)))
    }

    fn down(&self) -> String {
        let downs =
            self.story.charts.iter().flat_map(|chart| {
                chart.downs.iter().map(move |down| (timeline::title(chart), *down))
            });
        let mut downs: Vec<String> = downs
            .map(|(title, down)| {
                format!(
                    "{} from {} ({})",
                    Text(&words::down(&down)),
                    words::time(down.from),
                    Text(&title)
                )
            })
            .collect();
        if downs.is_empty() {
            downs.push(self.or_untold("not stopped for it"));
        }
        downs.join("<br>\n")
    }

    fn binary(&self) -> String {
        let Some(binary) = self.story.binary else { return self.or_untold("none was checked") };
        let fetched = self.story.fetched.filter(|(sha256, _)| *sha256 == binary.sha256);
        let source = fetched.map_or(String::new(), |(_, from)| format!(", {}", Text(from)));
        format!(
            "<code>{}</code><br>\nSHA-256, {}{source}",
            Text(&binary.sha256),
            Text(&human(binary.bytes)),
        )
    }

    fn backup(&self) -> String {
        match self.story.backup {
            Some(backup) => archive(backup),
            None if self.story.unsafe_skipped => {
                "<span class=\"bad\">none: backups were switched off</span>".to_owned()
            }
            None => self.or_untold("none was made"),
        }
    }

    fn attempts(&self) -> String {
        match (self.story.attempts(), self.story.untold) {
            (0, true) => self.or_untold(""),
            (told, true) => format!("at least {told}"),
            (told, false) => told.to_string(),
        }
    }

    /// What holds where no record says otherwise, if all of them are here.
    fn or_untold(&self, text: &str) -> String {
        if self.story.untold { "no record here tells" } else { text }.to_owned()
    }
}

fn outcome(outcome: &Outcome) -> String {
    let class = match outcome {
        Outcome::Performed => "good",
        Outcome::Held(_) | Outcome::RolledBack => "bad",
        Outcome::UnderWay(_)
        | Outcome::OnTrial
        | Outcome::Prepared
        | Outcome::Queued
        | Outcome::InHistory
        | Outcome::Gone => "",
    };
    format!("<span class=\"{class}\">{}</span>", Text(&outcome.words()))
}

fn version(version: &Version) -> String {
    format!("{} ({})", Text(&version.name), Text(&version.version))
}

fn request(announced: &Announced<'_>, number: usize) -> String {
    let upgrade = announced.upgrade;
    let mut text = format!(
        "by {}<br>\nfirst seen {} (<a href=\"#u{number}r{seq}\">record {seq}</a>), due {}, \
         version {}",
        Text(&narrate::requester(&upgrade.requester)),
        words::time(announced.at),
        words::time(upgrade.due_at),
        Text(&upgrade.version),
        seq = announced.seq,
    );
    if upgrade.manual {
        text.push_str(", manual");
    }
    if upgrade.allow_downgrade {
        text.push_str(", downgrade allowed");
    }
    let _ = write!(text, "<br>\nannouncement <code>{}</code>", Text(&upgrade.digest));
    text
}

fn archive(archive: &Archive) -> String {
    let digest = match &archive.sha256 {
        Some(sha256) => format!("<code>{}</code><br>\nSHA-256, ", Text(sha256)),
        None => "not yet read whole, so no digest; ".to_owned(),
    };
    format!(
        "{digest}{}, {} entries<br>\n<code>{}</code>",
        Text(&human(archive.bytes)),
        archive.entries,
        Text(&archive.path),
    )
}
