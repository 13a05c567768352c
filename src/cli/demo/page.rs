//! What the demo prints: lines of 80 columns at most, and no wider than the terminal.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::screen;
use crate::cli::journal::Entry;
use crate::cli::{Error, output};
use crate::narrate;

/// What stands for the demo's folder.
pub(super) const FOLDER: &str = "$DEMO";

/// Narrower lines are left to the terminal to break.
const WIDTH_MIN: usize = 40;
const PHASE_WIDTH: usize = 14;
const DIGEST_CHARS: usize = 64;
const DIGEST_SHOWN: usize = 12;

/// Prints, and knows since when and how.
#[derive(Debug)]
pub(super) struct Page {
    began: DateTime<Utc>,
    folder: String,
    styled: bool,
    /// No line is longer, in characters, but for words that can't be broken.
    width: usize,
}

impl Page {
    /// A page whose time begins now; the path of `folder` is shortened.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            began: Utc::now(),
            folder: folder.display().to_string(),
            styled: screen::is_styled(),
            width: screen::columns().max(WIDTH_MIN),
        }
    }

    /// A time as it is told, from the beginning on.
    pub(super) fn since(&self, at: DateTime<Utc>) -> String {
        seconds(at - self.began)
    }

    /// A heading.
    pub(super) fn title(&self, text: &str) -> Result<(), Error> {
        output::print(&format!("\n{}\n", self.strong(text, true)))
    }

    /// A paragraph.
    pub(super) fn say(&self, text: &str) -> Result<(), Error> {
        self.hang("  ", text, false)
    }

    /// A command as it could be typed.
    pub(super) fn command(&self, words: &str) -> Result<(), Error> {
        let mut lines = wrap(&self.shorten(words), self.width - 8);
        let last = lines.pop().unwrap_or_default();
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 { "  $ " } else { "      " };
            output::print(&format!("{}\n", self.strong(&format!("{lead}{line} \\"), true)))?;
        }
        let lead = if lines.is_empty() { "  $ " } else { "      " };
        output::print(&format!("{}\n", self.strong(&format!("{lead}{last}"), true)))
    }

    /// A record of the journal.
    pub(super) fn record(&self, entry: &Entry) -> Result<(), Error> {
        let (phase, text) = told(entry);
        self.happened(entry.record.at, &phase, &text, entry.record.from != entry.record.to)
    }

    /// A record in one line, however long.
    pub(super) fn line(&self, entry: &Entry) -> String {
        let (phase, text) = told(entry);
        format!("{}{}", self.lead(entry.record.at, &phase), self.shorten(&text))
    }

    /// A paragraph's lines.
    pub(super) fn wrapped(&self, text: &str, width: usize) -> Vec<String> {
        wrap(&self.shorten(text), width)
    }

    /// Something that happened at a time, with the phase that it led to.
    pub(super) fn happened(
        &self,
        at: DateTime<Utc>,
        phase: &str,
        text: &str,
        strong: bool,
    ) -> Result<(), Error> {
        self.hang(&self.lead(at, phase), text, strong)
    }

    fn lead(&self, at: DateTime<Utc>, phase: &str) -> String {
        format!("{:>7}  {phase:<PHASE_WIDTH$}  ", self.since(at))
    }

    /// A text whose further lines begin where its first one does.
    pub(super) fn hang(&self, lead: &str, text: &str, strong: bool) -> Result<(), Error> {
        let indent = lead.chars().count();
        let lines = wrap(&self.shorten(text), self.width.saturating_sub(indent).max(WIDTH_MIN / 2));
        let spaces = " ".repeat(indent);
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 { lead } else { &spaces };
            output::print(&format!("{}\n", self.strong(&format!("{lead}{line}"), strong)))?;
        }
        Ok(())
    }

    /// A line as a command prints it; words are wrapped, and a bar is not.
    pub(super) fn as_printed(&self, line: &str) -> Result<(), Error> {
        let line = self.shorten(line);
        if line.chars().count() <= self.width || line.contains(['█', '▒']) {
            return print_lines(&[line]);
        }
        self.hang(if line.starts_with(' ') { "  " } else { "" }, &line, false)
    }

    fn strong(&self, text: &str, strong: bool) -> String {
        if self.styled && strong { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The folder by its short name, digests by their beginning.
    pub(super) fn shorten(&self, text: &str) -> String {
        shorten_digests(&text.replace(&self.folder, FOLDER))
    }
}

/// The phase that a record led to, and what it tells.
fn told(entry: &Entry) -> (String, String) {
    let record = &entry.record;
    let lead = if record.from == record.to { "  " } else { "->" };
    let text = narrate::event(&record.event, entry.back.as_deref());
    (format!("{lead} {}", record.to), text)
}

/// Prints lines that are as wide as they should be.
pub(super) fn print_lines(lines: &[String]) -> Result<(), Error> {
    lines.iter().try_for_each(|line| output::print(&format!("{line}\n")))
}

/// A duration as `12.345`: seconds.
#[must_use]
pub fn seconds(time: chrono::TimeDelta) -> String {
    let ms = time.num_milliseconds().max(0);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// The text with every SHA-256 in it cut short.
#[must_use]
pub fn shorten_digests(text: &str) -> String {
    let is_digest = |word: &str| {
        word.len() == DIGEST_CHARS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ';', '.', ')']);
        match bare.get(..DIGEST_SHOWN) {
            Some(shown) if is_digest(bare) => word.replacen(bare, &format!("{shown}…"), 1),
            Some(_) | None => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Breaks a text into lines of at most so many characters: between words, and a word that is
/// longer behind a `/` where it has one.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut rest = word;
        loop {
            let length = rest.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + length <= width {
                line.extend(std::iter::repeat_n(' ', gap));
                line.push_str(rest);
                used += gap + length;
                break;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
                continue;
            }
            let (head, tail) = rest.split_at(break_of(rest, width));
            lines.push(head.to_owned());
            rest = tail;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Where, in bytes, to break a word that is longer than `width` characters.
fn break_of(word: &str, width: usize) -> usize {
    let end = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
    let head = word.get(..end).unwrap_or(word);
    head.rfind('/').map_or(end, |at| at + 1)
}
