//! A terminal on which a picture is drawn in place.
//!
//! Only what differs from the picture before is written, and all of it in one go: over a slow line
//! that is what counts. The cursor is hidden for no longer than that, so that whatever ends the
//! program leaves the terminal as it should be. What is typed meanwhile does no harm either: there
//! are two rows below the picture for it, and they are cleared with the next one.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use terminal_size::{Height, Width};

use crate::cli::{Error, output};

/// The smallest terminal that a picture is drawn on.
const ROWS_MIN: usize = 20;
const COLUMNS_MIN: usize = 50;
/// Rows below the picture.
const SPARE: usize = 2;
/// A wider picture is not better.
const COLUMNS_MAX: usize = 80;

const CLEAR: &str = "\x1b[H\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";
const RESET: &str = "\x1b[0m";

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As everything.
    Plain,
    /// Bold.
    Strong,
    /// Faint.
    Faint,
}

impl Look {
    fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong | Self::Faint => RESET,
        }
    }
}

/// One line of a picture, without a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its characters, each of which takes one cell.
    pub text: String,
    /// How it looks.
    pub look: Look,
}

impl Line {
    /// A line that looks as everything.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), look: Look::Plain }
    }
}

/// The text, no longer than so many characters; what is missing is told by `…`.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    head + "…"
}

/// What makes one picture out of another, which stands in the upper left corner.
#[must_use]
pub fn change(before: &[Line], after: &[Line]) -> String {
    let mut text = String::new();
    for (number, line) in after.iter().enumerate() {
        let old = before.get(number);
        if old == Some(line) {
            continue;
        }
        let same = old.filter(|old| old.look == line.look).map_or(0, |old| alike(old, line));
        let rest: String = line.text.chars().skip(same).collect();
        let (look, end) = (line.look.begin(), line.look.end());
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\x1b[{};{}H{look}{rest}{end}", number + 1, same + 1);
        if old.is_some_and(|old| old.text.chars().count() > line.text.chars().count()) {
            text.push_str(CLEAR_LINE);
        }
    }
    if text.is_empty() && before.len() == after.len() {
        return text;
    }
    let _ = write!(text, "\x1b[{};1H{CLEAR_REST}", after.len() + 1);
    format!("{HIDE}{text}{SHOW}")
}

/// How many characters at the beginning are the same.
fn alike(one: &Line, other: &Line) -> usize {
    one.text.chars().zip(other.text.chars()).take_while(|(one, other)| one == other).count()
}

/// Whether stdout shows more than plain lines, and the user wants it.
pub(super) fn is_styled() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Columns of the terminal, up to what is of use; as many where there is none.
pub(super) fn columns() -> usize {
    size().map_or(COLUMNS_MAX, |(_, columns)| columns)
}

/// Rows and columns of the terminal on stdout.
fn size() -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size::terminal_size_of(io::stdout())?;
    // A terminal that doesn't know says 0.
    let is_known = columns > 0 && rows > 0;
    is_known.then(|| (usize::from(rows), usize::from(columns).min(COLUMNS_MAX)))
}

/// The terminal, and what stands there.
#[derive(Debug)]
pub(super) struct Screen {
    /// Rows and columns.
    size: (usize, usize),
    shown: Vec<Line>,
}

impl Screen {
    /// The terminal on stdout; `None` where it can't be drawn on, or shall not.
    pub(super) fn open() -> Result<Option<Self>, Error> {
        let fits = |(rows, columns): &(usize, usize)| *rows >= ROWS_MIN && *columns >= COLUMNS_MIN;
        let Some(size) = size().filter(|size| is_styled() && fits(size)) else { return Ok(None) };
        // What stands there moves up, and isn't lost.
        output::print(&format!("{}{CLEAR}", "\n".repeat(size.0)))?;
        Ok(Some(Self { size, shown: Vec::new() }))
    }

    /// Rows and columns that a picture may have.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.size.0.saturating_sub(SPARE), self.size.1)
    }

    /// Whether its size has changed since the last call; then all is drawn anew.
    pub(super) fn look(&mut self) -> Result<(), Error> {
        let now = size().unwrap_or(self.size);
        if now == self.size {
            return Ok(());
        }
        self.size = now;
        self.shown.clear();
        output::print(CLEAR)
    }

    /// Draws this in place of what there is.
    pub(super) fn draw(&mut self, mut lines: Vec<Line>) -> Result<(), Error> {
        let (rows, columns) = self.room();
        lines.truncate(rows);
        for line in &mut lines {
            line.text = cut(line.text.trim_end(), columns);
        }
        let text = change(&self.shown, &lines);
        self.shown = lines;
        if text.is_empty() { Ok(()) } else { output::print(&text) }
    }
}

impl Drop for Screen {
    /// What comes next stands below the picture.
    fn drop(&mut self) {
        let row = self.shown.len() + 1;
        let _ = output::print(&format!("{RESET}{SHOW}\x1b[{row};1H{CLEAR_REST}"));
    }
}
