//! `status --watch`: stays, and shows what changes.
//!
//! The journal's folder is watched, for every change of the engine is a record there; what makes
//! no record (ages, room, the end of `run` itself) is looked at every few seconds.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;
use terminal_size::{Height, Width};
use tokio::signal::unix::{SignalKind, signal};

use super::report::Status;
use super::seen::Seen;
use super::text::INDENT;
use crate::cli::Error;
use crate::cli::check::version::shown;
use crate::cli::output::{self, Output};
use crate::config::{Config, Paths};
use crate::disk::Disk;
use crate::exit::Exit;
use crate::host::watch::{Names, Watch};

const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Cursor to the corner; the rest of a line, and of the screen, is cleared as it is written.
const HOME: &str = "\x1b[H";
const CLEAR: &str = "\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";
/// Members of the JSON that differ with every look.
const VOLATILE: [&str; 3] = ["at", "room", "daemon.uptime_ms"];

/// Shows the status until SIGINT, or until nobody reads on.
pub(super) fn watch(
    disk: &dyn Disk,
    config: &Config,
    paths: &Paths,
    output: Output,
) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start the runtime on", Path::new("this machine")))?;
    runtime.block_on(async {
        let mut stop = signal(SignalKind::interrupt())
            .map_err(Error::io("listen for SIGINT on", Path::new("this machine")))?;
        let mut journal = Watch::new(&paths.journal(), Names::All);
        let mut screen = Screen::new(output);
        loop {
            let status = Status::of(&Seen::look(disk, config, paths));
            if !screen.show(&status)? || nobody_reads() {
                return Ok(Exit::Done);
            }
            tokio::select! {
                _ = stop.recv() => return Ok(Exit::Done),
                () = journal.changed() => {}
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
    })
}

/// Where it is shown.
struct Screen {
    output: Output,
    redraws: bool,
    /// What was shown last, without what always differs.
    last: Option<String>,
}

impl Screen {
    fn new(output: Output) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let redraws = output == Output::Text && io::stdout().is_terminal() && !is_dumb;
        Self { output, redraws, last: None }
    }

    /// Shows it, where it says something new. `false`: nobody reads any more.
    fn show(&mut self, status: &Status) -> Result<bool, Error> {
        let is_first = self.last.is_none();
        let line = match self.output {
            Output::Text => status.to_line(),
            Output::Json => lasting(status),
        };
        let is_news = self.last.as_ref() != Some(&line);
        let text = match self.output {
            Output::Text if self.redraws => page(&fitted(&status.to_text(), room()), is_first),
            Output::Text if is_news => format!("{} {line}\n", shown(status.at)),
            Output::Json if is_news => status.to_json(),
            Output::Text | Output::Json => return Ok(true),
        };
        self.last = Some(line);
        written(&text)
    }
}

/// Rows and columns of the terminal on stdout, where it tells them.
fn room() -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size::terminal_size_of(io::stdout())?;
    (rows > 3 && usize::from(columns) > 2 * INDENT).then(|| (rows.into(), columns.into()))
}

/// No more than there is room for: a screen that moves up would not be redrawn in its place.
fn fitted(text: &str, room: Option<(usize, usize)>) -> String {
    let Some((rows, columns)) = room else { return text.to_owned() };
    let text: String =
        text.lines().map(|line| output::hung(line, INDENT, columns) + "\n").collect();
    let count = text.lines().count();
    if count < rows {
        return text;
    }
    let mut shown: Vec<&str> = text.lines().take(rows - 2).collect();
    let rest = format!("({} more lines in `nymvisor status`)", count - shown.len());
    shown.push(&rest);
    shown.join("\n") + "\n"
}

/// What redraws the screen without a flicker.
fn page(text: &str, is_first: bool) -> String {
    let clear = if is_first { CLEAR } else { "" };
    let text = text.replace('\n', CLEAR_LINE);
    format!("{clear}{HOME}{text}{CLEAR_REST}")
}

fn lasting(status: &Status) -> String {
    let mut value = serde_json::json!(status);
    for member in VOLATILE {
        let pointer = format!("/{}", member.replace('.', "/"));
        if let Some(member) = value.pointer_mut(&pointer) {
            *member = Value::Null;
        }
    }
    value.to_string()
}

fn written(text: &str) -> Result<bool, Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).map_err(Error::Stdout),
    }
}

/// The reader of a pipe may go while there is nothing to be told.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let told = poll(&mut polled, PollTimeout::ZERO);
    let events = polled.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
    told.is_ok() && events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)
}
