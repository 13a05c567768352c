//! How a line looks on stderr: for a terminal, for a file, or for the journal of systemd.

use std::io::{self, IsTerminal};

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether stderr is read by journald, which notes the time itself, and takes `<N>` at the
/// beginning of a line for its priority: `JOURNAL_STREAM` names the device and inode of stderr.
#[must_use]
pub fn is_for_journald() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = fstat(io::stderr());
    stderr
        .is_ok_and(|stderr| named.to_str() == Some(&format!("{}:{}", stderr.st_dev, stderr.st_ino)))
}

/// Whether lines on stderr may be coloured: on a terminal, and unless `NO_COLOR` is set.
#[must_use]
pub fn is_colourful() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// The priority of syslog(3) for a level.
#[must_use]
pub fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// `text`, each of its lines with its priority.
#[must_use]
pub fn for_journald(level: Level, text: &str) -> String {
    let priority = priority(level);
    text.lines().flat_map(|line| ["<", priority, ">", line, "\n"]).collect()
}

/// Writes what an event says and none of its fields, which say the same for programs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words;

impl<'writer> FormatFields<'writer> for Words {
    fn format_fields<R: RecordFields>(
        &self,
        writer: Writer<'writer>,
        fields: R,
    ) -> std::fmt::Result {
        let mut message = Message(DefaultVisitor::new(writer, true));
        fields.record(&mut message);
        message.0.finish()
    }
}

/// Passes on the message alone; what it is passed to keeps control characters off the terminal.
struct Message<'writer>(DefaultVisitor<'writer>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.record_debug(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.record_str(field, value);
        }
    }
}

/// Writes events as journald takes them from stderr.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prefixed;

impl<S, N> FormatEvent<S, N> for Prefixed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        writer.write_str(&for_journald(*event.metadata().level(), &text))
    }
}
