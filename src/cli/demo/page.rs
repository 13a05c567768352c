//! What the demo prints: lines that fit a terminal of 80 columns.

use std::io::IsTerminal;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::cli::{Error, output};

/// No line is longer, in characters.
pub const WIDTH: usize = 80;
/// What stands for the demo's folder.
pub(super) const FOLDER: &str = "$DEMO";

const PHASE_WIDTH: usize = 14;
const DIGEST_CHARS: usize = 64;
const DIGEST_SHOWN: usize = 12;

/// Prints, and knows since when and how.
#[derive(Debug)]
pub(super) struct Page {
    began: DateTime<Utc>,
    folder: String,
    styled: bool,
}

impl Page {
    /// A page whose time begins now; the path of `folder` is shortened.
    pub(super) fn new(folder: &Path) -> Self {
        let styled = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { began: Utc::now(), folder: folder.display().to_string(), styled }
    }

    /// Since when times are told.
    pub(super) fn began(&self) -> DateTime<Utc> {
        self.began
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
        let mut lines = wrap(&self.shorten(words), WIDTH - 8);
        let last = lines.pop().unwrap_or_default();
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 { "  $ " } else { "      " };
            output::print(&format!("{}\n", self.strong(&format!("{lead}{line} \\"), true)))?;
        }
        let lead = if lines.is_empty() { "  $ " } else { "      " };
        output::print(&format!("{}\n", self.strong(&format!("{lead}{last}"), true)))
    }

    /// Something that happened at a time, with the phase that it led to.
    pub(super) fn happened(
        &self,
        at: DateTime<Utc>,
        phase: &str,
        text: &str,
        strong: bool,
    ) -> Result<(), Error> {
        let lead = format!("{:>7}  {phase:<PHASE_WIDTH$}  ", seconds(at - self.began));
        self.hang(&lead, text, strong)
    }

    /// A text whose further lines begin where its first one does.
    pub(super) fn hang(&self, lead: &str, text: &str, strong: bool) -> Result<(), Error> {
        let indent = lead.chars().count();
        let lines = wrap(&self.shorten(text), WIDTH.saturating_sub(indent));
        let spaces = " ".repeat(indent);
        for (number, line) in lines.iter().enumerate() {
            let lead = if number == 0 { lead } else { &spaces };
            output::print(&format!("{}\n", self.strong(&format!("{lead}{line}"), strong)))?;
        }
        Ok(())
    }

    fn strong(&self, text: &str, strong: bool) -> String {
        if self.styled && strong { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The folder by its short name, digests by their beginning.
    fn shorten(&self, text: &str) -> String {
        shorten_digests(&text.replace(&self.folder, FOLDER))
    }
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
