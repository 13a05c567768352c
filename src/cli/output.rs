//! What commands print, and how.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use serde_json::json;
use terminal_size::Width;
use tracing::Level;

use super::Error;
use crate::logs;
use crate::release::BuildInfo;

/// How a command prints what it has to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Text,
    /// One line for programs.
    Json,
}

/// The option that every printing command has.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// What an engine has granted, in words or as an object.
pub(super) fn print_answer(output: Output, text: &str) -> Result<(), Error> {
    match output {
        Output::Text => print_fitting(text, 2),
        Output::Json => print(&format!("{}\n", json!({ "version": 1, "text": text }))),
    }
}

/// Prints to stdout; that nobody reads on is no error.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Stdout),
    }
}

/// The line as it fits the terminal on stdout: what is longer goes on, between words, behind so
/// many spaces. Where that is no terminal, it stays whole.
pub(super) fn fitting(line: &str, hang: usize) -> String {
    let size = terminal_size::terminal_size_of(io::stdout());
    let width = size.map(|(Width(columns), _)| usize::from(columns));
    width
        .filter(|width| *width > hang * 2)
        .map_or_else(|| line.to_owned(), |width| hung(line, hang, width))
}

/// The same for each line of a text.
pub(super) fn print_fitting(text: &str, hang: usize) -> Result<(), Error> {
    let lines: String = text.lines().map(|line| fitting(line, hang) + "\n").collect();
    print(&lines)
}

/// A line in pieces of `width` columns, each but the first behind `hang` spaces.
pub(super) fn hung(line: &str, hang: usize, width: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    // The spaces within belong to what stands before them.
    for word in line.split_inclusive(' ') {
        let length = word.trim_end_matches(' ').chars().count();
        if column + length > width && column > hang {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.push_str(&" ".repeat(hang));
            column = hang;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text
}

pub(super) fn print_build_info(output: Output, info: &BuildInfo) -> Result<(), Error> {
    match output {
        Output::Text => print(&info.to_text()),
        Output::Json => print(&format!("{}\n", serde_json::json!(info))),
    }
}

pub(super) fn warn(text: &str) {
    say(Level::WARN, &format!("warning: {text}"));
}

/// Says what to do next, to a person at a terminal; scripts are not told.
pub(super) fn hint(text: &str) {
    if io::stderr().is_terminal() {
        say(Level::INFO, text);
    }
}

/// Prints an error and what caused it.
pub(super) fn print_error(error: &Error) {
    say(Level::ERROR, &format!("error: {error}"));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        say(Level::ERROR, &format!("  because: {error}"));
        cause = error.source();
    }
}

/// Says something on stderr. `eprintln!` would panic where nobody reads it.
fn say(level: Level, text: &str) {
    let text =
        if logs::is_for_journald() { logs::for_journald(level, text) } else { format!("{text}\n") };
    let _ = io::stderr().write_all(text.as_bytes());
}
