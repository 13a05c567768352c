//! The page as a whole. Pure.
//!
//! It needs nothing from elsewhere and runs nothing: the policy in its head forbids every script
//! and every fetch, should something have come in that looks like one.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::super::report::Report;
use super::super::trail::Entry;
use super::super::words;
use super::escape::Text;
use super::section::Section;
use super::verdict;

/// What the page tells.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Whose journal.
    pub(super) instance: &'a str,
    /// Of which daemon.
    pub(super) daemon: &'a str,
    /// When it is made.
    pub(super) at: DateTime<Utc>,
    /// The upgrades.
    pub(super) sections: &'a [Section<'a>],
    /// What verifying it found.
    pub(super) verified: &'a Report,
    /// That it tells of no upgrade, in words.
    pub(super) none: String,
    /// What happened to the journal itself.
    pub(super) notes: Vec<&'a str>,
    /// How many records the journal has.
    pub(super) records: usize,
    /// The first record and the last one.
    pub(super) ends: Option<(&'a Entry, &'a Entry)>,
}

impl Page<'_> {
    /// The whole file.
    pub(super) fn to_html(&self) -> String {
        let title = self.title();
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
            include_str!("style.css"),
            title = Text(&title),
        );
        self.head(&title, &mut html);
        verdict::write(self, &mut html);
        for section in self.sections {
            section.write(&mut html);
        }
        if self.sections.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<p>The journal tells of {}.</p>", Text(&self.none));
        }
        self.rest(&mut html);
        html.push_str("</body>\n</html>\n");
        html
    }

    fn title(&self) -> String {
        match self.sections {
            [one] => format!("Upgrade {} of {}", one.story.name, self.daemon),
            _ => format!("Upgrades of {}", self.daemon),
        }
    }

    fn head(&self, title: &str, html: &mut String) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            html,
            "<header>\n<h1>{}</h1>\n<p class=\"faint\">Instance {}, from its journal; made {} by \
             nymvisor {}. All times are UTC.</p>\n</header>",
            Text(title),
            Text(self.instance),
            words::time(self.at),
            env!("CARGO_PKG_VERSION"),
        );
    }

    /// What is not told here, and where it is.
    fn rest(&self, html: &mut String) {
        let told: std::collections::BTreeSet<u64> = self
            .sections
            .iter()
            .flat_map(|section| &section.story.entries)
            .map(|entry| entry.record.seq)
            .collect();
        let rest = self.records.saturating_sub(told.len());
        let _ = writeln!(
            html,
            "<footer><p class=\"faint\">The journal has {} records; {rest} of them are about \
             something else and are not shown here. <code>nymvisor journal show</code> shows all \
             of them, and state-machine.md tells how to check them without nymvisor.</p></footer>",
            self.records,
        );
    }
}
