//! What `check` prints, and its exit status.
//!
//! The JSON, one line, version 1:
//!
//! | member | what |
//! |---|---|
//! | `version` | 1; more members may come, and none changes its meaning |
//! | `verdict` | `ok`: it would succeed; `fail` |
//! | `exit_status` | that of the command |
//! | `instance`, `running` | whose; whether a `run` is up |
//! | `upgrade` | `{name, version, due_at, digest, queued}`, or null where there is none |
//! | `findings` | `[{what, verdict, text, remedy}]`; `verdict` is `ok`, `warn` or `fail` |
//! | `estimates` | `{fetch_ms, copy_ms, down_ms, read_bytes_per_second, basis}`, or null each |

use serde_json::{Value, json};

use super::estimate::{Estimate, human_ms};
use super::finding::{Finding, Verdict};
use super::site::Site;
use super::subject::Subject;
use super::version::shown;
use crate::exit::Exit;

/// Text is made for a terminal of this width.
const WIDTH: usize = 80;
/// Where what was found begins in a line.
pub(super) const INDENT: usize = 20;

/// Everything that was found.
pub(super) struct Report<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) subject: Option<Subject>,
    pub(super) findings: Vec<Finding>,
    pub(super) estimate: Estimate,
}

impl Report<'_> {
    fn failed(&self) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count()
    }

    pub(super) fn exit(&self) -> Exit {
        if self.failed() == 0 { Exit::Done } else { Exit::Other }
    }

    fn is_rolling_back(&self) -> bool {
        self.site.state.as_ref().is_some_and(|state| state.phase.roll_back().is_some())
    }

    pub(super) fn to_json(&self) -> String {
        let Estimate { fetch_ms, copy_ms, down_ms, read_bytes_per_second, basis } = &self.estimate;
        let upgrade = self.subject.as_ref().map(|subject| {
            let info = &subject.info;
            json!({
                "name": info.name,
                "version": info.version.to_string(),
                "due_at": shown(super::version::due(self.site, info)),
                "digest": info.digest(),
                "queued": !subject.hypothetical,
            })
        });
        let finding = |finding: &Finding| {
            json!({
                "what": finding.what,
                "verdict": finding.verdict.name(),
                "text": finding.text,
                "remedy": finding.remedy,
            })
        };
        let report = json!({
            "version": 1,
            "verdict": if self.failed() == 0 { "ok" } else { "fail" },
            "exit_status": self.exit() as u8,
            "instance": self.site.config.nymvisor.id,
            "running": self.site.runner.is_some(),
            "upgrade": upgrade,
            "findings": self.findings.iter().map(finding).collect::<Vec<Value>>(),
            "estimates": {
                "fetch_ms": fetch_ms,
                "copy_ms": copy_ms,
                "down_ms": down_ms,
                "read_bytes_per_second": read_bytes_per_second,
                "basis": basis,
            },
        });
        format!("{report}\n")
    }

    pub(super) fn to_text(&self) -> String {
        let head = self
            .subject
            .as_ref()
            .map(|Subject { info, .. }| format!("{}, version {}\n\n", info.name, info.version));
        let mut text = head.unwrap_or_default();
        text.extend(self.findings.iter().map(lines));
        let basis = Some(&self.estimate.basis).filter(|basis| !basis.is_empty());
        let basis = basis.map(|basis| wrapped(&format!("({basis})"), 0) + "\n");
        let verdict = match (self.failed(), &self.subject) {
            (0, _) if self.is_rolling_back() => {
                "It would succeed, once the pending roll-back is done.".to_owned()
            }
            (0, _) => "It would succeed.".to_owned(),
            (_, None) => "There is nothing that would succeed.".to_owned(),
            (1, _) => "It would NOT succeed: 1 point stands in its way.".to_owned(),
            (failed, _) => {
                format!("It would NOT succeed: {failed} points stand in its way.")
            }
        };
        let cost = wrapped(&self.cost(), 0);
        format!("{text}\n{cost}\n{}{verdict}\n", basis.unwrap_or_default())
    }

    /// How long what would take.
    fn cost(&self) -> String {
        let Estimate { fetch_ms, copy_ms, down_ms, read_bytes_per_second, .. } = &self.estimate;
        let mut parts = Vec::new();
        if let Some(ms) = fetch_ms.filter(|ms| *ms > 0) {
            parts.push(format!("fetching will take about {}", human_ms(ms)));
        }
        if self.site.config.daemon.unsafe_skip_backup {
            parts.push("no backup is made".to_owned());
        } else if let Some(ms) = copy_ms {
            // Reading is not all of it.
            let least = if read_bytes_per_second.is_some() { "at least " } else { "" };
            parts.push(format!("the copy will take {least}about {}", human_ms(*ms)));
        }
        match down_ms {
            Some(ms) => parts.push(format!("the daemon will be down for about {}", human_ms(*ms))),
            None => parts.push("how long the daemon will be down can't be told yet".to_owned()),
        }
        let text = parts.join(", ") + ".";
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }
}

/// `FAIL  room          …`, and below it what to do.
fn lines(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "note",
        Verdict::Fail => "FAIL",
    };
    let found = wrapped(&finding.text, INDENT);
    let remedy = finding
        .remedy
        .as_ref()
        .map(|remedy| format!("{}-> {}\n", " ".repeat(INDENT), wrapped(remedy, INDENT + 3)));
    format!("{mark:<6}{:<14}{found}\n{}", finding.what, remedy.unwrap_or_default())
}

/// Broken between words so that it fits; every line but the first is indented. What is longer
/// than a line, such as a path, stays whole: it is there to be copied.
pub(in crate::cli) fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}
