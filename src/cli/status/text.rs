//! The status for people: 80 columns, one point a paragraph.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::failures::Held;
use super::past::Done;
use super::queue::Queued;
use super::report::Status;
use super::seen::Room;
use super::verdict::Verdict;
use super::waits::hold_in_words;
use crate::cli::backups::plain;
use crate::cli::check::estimate::human_ms;
use crate::cli::check::report::wrapped;
use crate::cli::check::version::shown;
use crate::units::{human, span};

/// Where what is said begins in a line.
pub(super) const INDENT: usize = 14;
/// Where fewer files can be made than this, that is said.
const INODES_FEW: u64 = 10_000;

impl Status {
    /// All of it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n", wrapped(&plain(&self.headline()), 0));
        let mut say = |label: &str, said: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label:<INDENT$}{}", wrapped(&plain(said), INDENT));
        };
        for point in &self.attention {
            say("ATTENTION", &point.text);
            if let Some(command) = &point.command {
                say("", &format!("-> {command}"));
            }
        }
        say("run", &self.run_in_words());
        if self.run.up == Some(false) {
            say("", "-> start it (systemctl start, or `nymvisor run …`)");
        }
        say("phase", &self.phase_in_words());
        say("daemon", &self.daemon_in_words());
        if let Some(restarts) = self.restarts_in_words() {
            say("restarts", &restarts);
        }
        self.say_what_holds(&mut say);
        self.say_queue(&mut say);
        if let Some(done) = &self.last_upgrade {
            say("last upgrade", &self.done(done));
            say("", &durations(done));
        }
        self.say_failure(&mut say);
        let told = |held: &&Held| {
            let mut points = self.attention.iter();
            points.any(|point| point.command.as_ref() == Some(&held.command))
        };
        for held in self.quarantined().filter(|held| !told(held)) {
            let queued = if held.queued { "" } else { ", no longer queued" };
            let label = if held.is_cancelled() { "cancelled" } else { "quarantined" };
            say(label, &format!("{}{queued}: {}", held.name, held.text));
            say("", &format!("-> {}", held.command));
        }
        for room in &self.room {
            say("room", &room_in_words(room));
        }
        self.say_journal(&mut say);
        text
    }

    /// The verdict.
    fn headline(&self) -> String {
        let what = match self.verdict {
            Verdict::Ok => "all is well.".to_owned(),
            Verdict::Down => "the daemon is DOWN.".to_owned(),
            Verdict::NotRunning => "`nymvisor run` is NOT up.".to_owned(),
            Verdict::Attention => "the daemon runs, and something needs you.".to_owned(),
            Verdict::Unknown => "how it is CAN'T BE TOLD.".to_owned(),
        };
        format!("{}: {what}", self.instance)
    }

    /// How long ago, as people say it.
    fn ago(&self, at: DateTime<Utc>) -> String {
        span((self.at - at).num_seconds().unsigned_abs())
    }

    fn is_up(&self) -> bool {
        self.run.up == Some(true)
    }

    fn run_in_words(&self) -> String {
        let pid = self.run.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        match self.run.up {
            None => "the system doesn't tell who holds the instance's lock".to_owned(),
            Some(false) => match self.run.since {
                Some(since) => format!("not up; the last session began {}", shown(since)),
                None => "not up, and never was".to_owned(),
            },
            Some(true) if !self.run.begun => {
                format!("up{pid}: a session begins, or a command holds the lock")
            }
            Some(true) => {
                let version = self.run.nymvisor.as_deref().unwrap_or("?");
                let since = self.run.since.map_or_else(String::new, |since| {
                    format!(", for {} since {}", self.ago(since), shown(since))
                });
                format!("up{pid}, nymvisor {version}{since}")
            }
        }
    }

    fn phase_in_words(&self) -> String {
        match &self.phase {
            Some(phase) => {
                let since = phase.since.map_or_else(String::new, |since| {
                    let ago = if self.is_up() {
                        format!("for {} ", self.ago(since))
                    } else {
                        String::new()
                    };
                    format!("; {ago}since {}", shown(since))
                });
                format!("{}: {}{since}", phase.name, phase.text)
            }
            None if self.journal.damage.is_some() => "can't be told".to_owned(),
            None => "none: nothing was run here yet".to_owned(),
        }
    }

    fn daemon_in_words(&self) -> String {
        let daemon = &self.daemon;
        let version = daemon.version.as_ref().map_or_else(
            || "of an unknown version".to_owned(),
            |version| format!("{} ({})", version.version, version.name),
        );
        let what = format!("{} {version}", daemon.name);
        let Some(pid) = daemon.pid else { return format!("{what}: down") };
        let uptime = match (daemon.uptime_ms, daemon.since) {
            (Some(ms), _) => format!(", up for {}", span(ms / 1000)),
            (None, Some(since)) => format!(", up for {}", self.ago(since)),
            (None, None) => String::new(),
        };
        format!("{what}: process {pid}{uptime}")
    }

    fn restarts_in_words(&self) -> Option<String> {
        let daemon = &self.daemon;
        let mut parts = Vec::new();
        if let Some(last) = &daemon.last_restart {
            let session = if self.is_up() { "this session" } else { "the last session" };
            parts.push(format!(
                "{} in {session}; the last at {}, after {}",
                daemon.restarts,
                shown(last.at),
                last.why
            ));
        }
        if daemon.startup_failures > 0 {
            parts.push(format!(
                "startup failures in a row: {} of {} that end the run",
                daemon.startup_failures, daemon.startup_failures_max
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn say_queue(&self, say: &mut impl FnMut(&str, &str)) {
        let Some(queue) = &self.queue else {
            say("queued", "can't be told: the plan can't be used");
            return;
        };
        if queue.is_empty() {
            say("queued", "nothing");
        }
        for queued in queue {
            say("queued", &self.queued(queued));
            if let Some(waits) = queued.kept_back() {
                say("", &waits);
            }
            if queued.next {
                let expected = match self.expected_down.ms {
                    Some(ms) => format!("about {}", human_ms(ms)),
                    None => "not known".to_owned(),
                };
                let basis = &self.expected_down.basis;
                say("", &format!("expected down time: {expected} ({basis})"));
            }
        }
    }

    /// The hold and the windows alone; empty without any.
    pub(in crate::cli) fn what_holds(&self) -> String {
        let mut text = String::new();
        let mut say = |label: &str, said: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label:<INDENT$}{}", wrapped(&plain(said), INDENT));
        };
        if let Some(damage) = &self.journal.damage {
            let rest = "what is held and cancelled is kept beside it";
            say("JOURNAL", &format!("damaged: {damage}; {rest}"));
        }
        self.say_what_holds(&mut say);
        text
    }

    fn say_what_holds(&self, say: &mut impl FnMut(&str, &str)) {
        if let Some(hold) = &self.hold {
            say("hold", &format!("upgrades are {}", hold_in_words(hold)));
            say("", "-> nymvisor upgrades release");
        }
        if let Some(windows) = &self.windows {
            let is = match (windows.open, windows.changes_at) {
                (true, Some(at)) => format!("open until {}", shown(at)),
                (true, None) => "open".to_owned(),
                (false, Some(at)) => format!("closed until {}", shown(at)),
                (false, None) => "closed".to_owned(),
            };
            say("windows", &format!("{is} ({})", windows.windows));
        }
    }

    fn queued(&self, queued: &Queued) -> String {
        let name = format!("{} ({})", queued.name, queued.version);
        let at = shown(queued.due_at);
        let due = if queued.due {
            format!("due since {at}")
        } else {
            format!("due in {} at {at}", self.ago(queued.due_at))
        };
        let manual = if queued.manual { ", manual" } else { "" };
        format!("{name}, {due}{manual}: {}", queued.text)
    }

    fn done(&self, done: &Done) -> String {
        let back = if done.rolled_back { "rolled back, " } else { "" };
        format!(
            "{back}{} ({}) -> {} ({}), {} ago at {}",
            done.from.version,
            done.from.name,
            done.to.version,
            done.to.name,
            self.ago(done.at),
            shown(done.at)
        )
    }

    fn say_failure(&self, say: &mut impl FnMut(&str, &str)) {
        let Some(failure) = &self.last_failure else { return };
        let name = failure.upgrade.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        say(
            "last failure",
            &format!(
                "{} ago, record {}: {name}{}",
                self.ago(failure.at),
                failure.record,
                failure.text
            ),
        );
        say("", &failure.next);
        if let Some(command) = &failure.command {
            say("", &format!("-> {command}"));
        }
    }

    fn say_journal(&self, say: &mut impl FnMut(&str, &str)) {
        let journal = &self.journal;
        let Some(hash) = &journal.hash else {
            let none = if journal.damage.is_some() { "can't be read" } else { "none yet" };
            say("journal", none);
            return;
        };
        let ago = journal.at.map_or_else(String::new, |at| format!(", {} ago", self.ago(at)));
        say("journal", &format!("record {}{ago}, head", journal.seq));
        say("", hash);
        for unread in &journal.unread {
            say("", &format!("what is told of the past may lack something: {unread}"));
            say("", "-> nymvisor journal verify");
        }
    }

    /// One line for a log: what changes with every look is not in it.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut parts = Vec::new();
        parts.push(match self.verdict {
            Verdict::Ok => "ok".to_owned(),
            Verdict::Down => "DOWN".to_owned(),
            Verdict::NotRunning => "run is NOT up".to_owned(),
            Verdict::Attention => "attention".to_owned(),
            Verdict::Unknown => "can't be told".to_owned(),
        });
        parts.extend(self.phase.as_ref().map(|phase| phase.name.to_string()));
        let version = self.daemon.version.as_ref();
        let version = version.map_or("?", |version| version.version.as_str());
        parts.push(match self.daemon.pid {
            Some(pid) => format!("{version} process {pid}"),
            None => format!("{version} down"),
        });
        let next = self.queue.iter().flatten().find(|queued| queued.next);
        parts.extend(next.map(|next| format!("next {}: {}", next.name, next.text)));
        parts.extend(self.hold.iter().map(|hold| format!("upgrades {}", hold_in_words(hold))));
        parts.extend(self.attention.iter().map(|point| point.text.clone()));
        plain(&parts.join("; "))
    }
}

/// How long each phase took, and the daemon was down.
fn durations(done: &Done) -> String {
    let phases: Vec<String> =
        done.phases.iter().map(|spent| format!("{} {}", spent.phase, exactly(spent.us))).collect();
    let down = match done.down_us {
        Some(us) => format!("down for {}", exactly(us)),
        None => "how long the daemon was down can't be told".to_owned(),
    };
    format!("{down}: {}", phases.join(", "))
}

/// `5.8 ms`; from a second on as everywhere.
fn exactly(us: u64) -> String {
    if us >= 1_000_000 {
        return human_ms(us / 1000);
    }
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

fn room_in_words(room: &Room) -> String {
    let free = room.free_bytes.map_or_else(|| "nobody knows how much is".to_owned(), human);
    let few = room.free_inodes.filter(|inodes| *inodes < INODES_FEW);
    let inodes = few.map_or_else(String::new, |free| format!(", only {free} more files"));
    format!("{}: {free} free{inodes}", room.of.join(", "))
}
