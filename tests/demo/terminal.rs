//! The demo on a terminal: a picture drawn in place, and what is left of it.

use std::fs;
use std::process::Output;

use nymvisor::cli::demo::screen::{Line, Look, change, cut};
use tempfile::tempdir;

use super::{demo, processes_of};
use crate::support::terminal::on_terminal;

/// The longest that the tour may be in bytes: a line of 19,200 bit/s carries as much meanwhile.
const BYTES_MAX: usize = 24_000;

/// Shows the demo on a terminal; nothing of it may be left.
fn shown(size: (usize, usize), when: &str, args: &[&str], envs: &[(&str, &str)]) -> Output {
    let temp = tempdir().unwrap();
    let mut command = demo(temp.path(), args);
    command.env("TERM", "xterm").envs(envs.iter().copied());
    let output = on_terminal(&command, size, when);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "something is left");
    assert_eq!(processes_of(temp.path()), Vec::<u32>::new(), "somebody is left");
    output
}

/// A terminal that knows what the demo uses.
#[derive(Debug)]
struct Terminal {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    is_cursor_shown: bool,
    rows: usize,
    /// What went over the upper edge comes first.
    scrolled: Vec<String>,
    /// Wherever the cursor was.
    widest: usize,
}

impl Terminal {
    fn new(rows: usize) -> Self {
        let lines = vec![Vec::new(); rows];
        let (row, column, widest) = (0, 0, 0);
        Self { lines, row, column, is_cursor_shown: true, rows, scrolled: Vec::new(), widest }
    }

    fn take(mut self, told: &str) -> Self {
        let mut rest = told.chars().peekable();
        while let Some(char) = rest.next() {
            match char {
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['));
                    let mut numbers = String::new();
                    while let Some(char) = rest.next_if(|char| !char.is_ascii_alphabetic()) {
                        numbers.push(char);
                    }
                    self.control(rest.next().unwrap(), &numbers);
                }
                '\r' => self.column = 0,
                '\n' if self.row + 1 == self.rows => {
                    let line = self.lines.remove(0);
                    self.scrolled.push(line.into_iter().collect());
                    self.lines.push(Vec::new());
                }
                '\n' => self.row += 1,
                char => {
                    let line = &mut self.lines[self.row];
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = char;
                    self.column += 1;
                    self.widest = self.widest.max(self.column);
                }
            }
        }
        self
    }

    fn control(&mut self, what: char, numbers: &str) {
        match (what, numbers) {
            ('H', numbers) => {
                let (row, column) = numbers.split_once(';').unwrap_or(("1", "1"));
                (self.row, self.column) =
                    (row.parse::<usize>().unwrap() - 1, column.parse::<usize>().unwrap() - 1);
                assert!(self.row < self.rows, "below the lower edge");
            }
            ('J', "2") => self.lines.iter_mut().for_each(Vec::clear),
            ('J', "") => {
                self.lines[self.row].truncate(self.column);
                self.lines[self.row + 1..].iter_mut().for_each(Vec::clear);
            }
            ('K', "") => self.lines[self.row].truncate(self.column),
            ('h', "?25") => self.is_cursor_shown = true,
            ('l', "?25") => self.is_cursor_shown = false,
            ('m', "" | "0" | "1" | "2") => {}
            unknown => panic!("{unknown:?}"),
        }
    }

    fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.iter().collect::<String>());
        let all = self.scrolled.iter().cloned().chain(lines);
        all.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// The last picture and what stands below it, without times, numbers and the length of bars.
fn shape(text: &str) -> String {
    let from = text.rfind("nymvisor demo: ").unwrap();
    let lines = text[from..].lines().map(|line| {
        let words = line.split_whitespace().map(|word| {
            let is_time = word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
            match word {
                "ms" | "s" | "µs" => "[unit]",
                _ if is_time && word.matches('.').count() == 1 && word.len() > 2 => "[number]",
                _ if word.parse::<u64>().is_ok() => "[number]",
                _ if word.starts_with(['█', '▒']) => "[bar]",
                word => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tour_ends_with_a_whole_picture_and_the_verdict() {
    let output = shown((24, 80), "", &[], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.len() < BYTES_MAX, "{} bytes", told.len());
    assert!(told.contains("slow motion: "), "{told:?}");
    let terminal = Terminal::new(24).take(&told);
    assert!(terminal.is_cursor_shown);
    assert!(terminal.widest <= 80);
    insta::assert_snapshot!(shape(&terminal.text()));
}

#[test]
fn a_failure_is_marked_where_it_happened() {
    let output = shown((40, 120), "", &["--fail", "swapping"], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let terminal = Terminal::new(40).take(&told);
    let shape = shape(&terminal.text());
    for line in [
        "Made to go wrong: on its way out, the old version puts a folder where the new",
        "[x] 3. Prepared while the node runs",
        "[!] 4. Due: stop, back up, swap, start",
        "[x] Swapping [number] [unit] [bar]",
        "[!] Failed [number] [unit] [bar]",
        "[x] Restarting [number] [unit] [bar]",
        "yes the old version is up again",
    ] {
        assert!(shape.lines().any(|shown| shown.starts_with(line)), "no '{line}' in:\n{shape}");
    }
}

#[test]
fn what_goes_wrong_after_the_swap_is_told_on_a_small_terminal_too() {
    let output = shown((24, 80), "", &["--fail", "running"], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let shape = shape(&Terminal::new(24).take(&told).text());
    for line in [
        "Made to go wrong: the new version tells its build info, but crashes when it",
        "[!] 4. Due: stop, back up, swap, start the new version was given up",
        "[x] Restarting [number] [unit] [bar]",
        "[!] Failed",
        "The new version ended in its startup period",
        "The daemon is down again since",
    ] {
        assert!(shape.lines().any(|shown| shown.starts_with(line)), "no '{line}' in:\n{shape}");
    }
}

#[test]
fn what_fails_ahead_leaves_the_phases_alone() {
    let output = shown((24, 80), "", &["--fail", "downloading"], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(!told.contains("slow motion: "), "{told:?}");
    let shape = shape(&Terminal::new(24).take(&told).text());
    for line in [
        "[!] 3. Prepared while the node runs",
        "[ ] 4. Due: stop, back up, swap, start",
        "[ ] Draining",
        "The daemon was not stopped.",
    ] {
        assert!(shape.lines().any(|shown| shown.starts_with(line)), "no '{line}' in:\n{shape}");
    }
}

#[test]
fn ctrl_c_leaves_a_terminal_that_can_be_used() {
    for when in ["1. A node runs", "slow motion: "] {
        let output = shown((24, 80), when, &[], &[]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let terminal = Terminal::new(24).take(&told);
        assert!(terminal.is_cursor_shown);
        let text = terminal.text();
        let last = text.lines().next_back().unwrap();
        assert_eq!(last, "error: SIGINT: the demo was interrupted");
        assert!(text.contains("[ ] 5. What is on the record"), "{text}");
        assert!(told.rfind("\x1b[0m") > told.rfind("\x1b[1m"), "{told:?}");
    }
}

#[test]
fn where_no_picture_fits_or_is_wanted_there_are_lines() {
    let large = (24, 80);
    let cases = [
        (large, vec![("NO_COLOR", "1")]),
        (large, vec![("TERM", "dumb")]),
        ((10, 80), vec![("NO_COLOR", "")]),
        ((0, 0), vec![]),
    ];
    for (size, envs) in cases {
        let output = shown(size, "", &["--fail", "locking"], &envs);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let is_plain = size == large;
        assert_eq!(told.contains('\x1b'), !is_plain, "{told:?}");
        assert!(!told.contains("\x1b[H"), "{told:?}");
        assert!(told.contains("announced: v1.1.0"), "{told}");
    }
}

fn line(text: &str, look: Look) -> Line {
    Line { text: text.to_owned(), look }
}

#[test]
fn only_what_differs_is_written() {
    let plain = |texts: &[&str]| texts.iter().copied().map(Line::plain).collect::<Vec<_>>();
    let before = plain(&["one", "two", "three"]);
    assert_eq!(change(&before, &before), "");
    let told = change(&before, &plain(&["one", "twelve", "thr"]));
    assert_eq!(told, "\x1b[?25l\x1b[2;3Helve\x1b[3;4H\x1b[K\x1b[4;1H\x1b[J\x1b[?25h");
    // A line that looks different is written anew, one that is gone is cleared.
    let told = change(&before, &[line("one", Look::Strong), line("two", Look::Plain)]);
    assert_eq!(told, "\x1b[?25l\x1b[1;1H\x1b[1mone\x1b[0m\x1b[3;1H\x1b[J\x1b[?25h");
    assert_eq!(change(&plain(&["one"]), &[]), "\x1b[?25l\x1b[1;1H\x1b[J\x1b[?25h");
}

#[test]
fn pictures_follow_one_another_whatever_they_are() {
    let texts = ["", "a", "ab", "abc", "bbc", "█▒", "█▒▒"];
    let looks = [Look::Plain, Look::Strong, Look::Faint];
    let mut told = String::new();
    let mut before: Vec<Line> = Vec::new();
    for step in 0..400_usize {
        let number = step % 7;
        let after: Vec<Line> = (0..number)
            .map(|row| line(texts[(step * 3 + row * row) % 7], looks[(step / 5 + row) % 3]))
            .collect();
        told += &change(&before, &after);
        let seen = Terminal::new(9).take(&told).text();
        let wanted: Vec<_> = after.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(seen, wanted.join("\n").trim_end(), "step {step}");
        before = after;
    }
}

#[test]
fn a_line_is_cut_by_characters() {
    assert_eq!(cut("äöü", 3), "äöü");
    assert_eq!(cut("äöüß", 3), "äö…");
}
