//! Small rooms: files, functions and lines that fit a screen.

use super::tree::sources;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// Files that are still to be split. The list only gets shorter.
const STILL_LONG: [&str; 1] = ["tests/processes.rs"];

#[test]
fn files_are_short() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines = text.lines().count();
        let long = lines > FILE_LINES_MAX;
        let known = STILL_LONG.iter().any(|known| path == std::path::Path::new(known));
        assert_eq!(long, known, "{} has {lines} lines", path.display());
    }
}

#[test]
fn lines_fit() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            assert!(columns <= LINE_COLUMNS_MAX, "{}:{number}: {columns} columns", path.display());
        }
    }
}

/// A function ends at the brace in the column where it begins.
#[test]
fn functions_are_short() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines: Vec<&str> = text.lines().collect();
        for (first, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[first..].iter().position(|line| *line == end) else {
                continue;
            };
            // The expected text of a story stands in its test.
            let told = lines[first..first + length].iter().any(|line| line.contains("_snapshot!("));
            assert!(
                length < FUNCTION_LINES_MAX || told,
                "{}:{}: a function of {} lines",
                path.display(),
                first + 1,
                length + 1
            );
        }
    }
}

fn begins_function(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(5).collect();
    let starts = line.trim_start().starts_with("fn ")
        || line.trim_start().starts_with("pub")
        || line.trim_start().starts_with("async fn ")
        || line.trim_start().starts_with("const fn ");
    starts && words.contains(&"fn") && line.trim_end().ends_with(['{', '('])
}
