//! What verifying the journal found, on the page. Pure.

use std::fmt::Write;

use super::super::report::{self, Report};
use super::super::words;
use super::escape::Text;
use super::page::Page;
use crate::journal::Verified;

/// In words: `clean, head … (record 17)`.
pub(super) fn words(report: &Report) -> String {
    let verdict = match report.worst() {
        None => "clean".to_owned(),
        Some(kind) => format!("NOT clean: {}", report::in_words(kind)),
    };
    match &report.verified.last {
        Some(last) => format!("{verdict}; head {} (record {})", last.head, last.seq),
        None => verdict,
    }
}

/// The section about the journal itself.
pub(super) fn write(page: &Page<'_>, html: &mut String) {
    let Verified { segments, records, last, faults, notes, .. } = &page.verified.verified;
    let verdict = match page.verified.worst() {
        None => "<span class=\"good\">clean</span>".to_owned(),
        Some(kind) => {
            format!("<span class=\"bad\">NOT clean: {}</span>", Text(report::in_words(kind)))
        }
    };
    html.push_str("<section class=\"panel\" id=\"journal\">\n<dl>\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<dt>{name}</dt><dd>{value}</dd>");
    };
    row("The journal", &verdict);
    if let Some(last) = last {
        let head = format!("<code id=\"head\">{}</code> (record {})", last.head, last.seq);
        row("Its head", &head);
    }
    let files = if *segments == 1 { "one file".to_owned() } else { format!("{segments} files") };
    row(
        "Verified",
        &format!(
            "{records} records in {files}: the chain, the numbers, every transition by replay, \
             and the files on disk"
        ),
    );
    if let Some((first, last)) = page.ends {
        let (first, last) = (words::time(first.record.at), words::time(last.record.at));
        row("First, last record", &format!("{first}, {last}"));
    }
    if let Some(backups) = page.verified.backups {
        row("Backups", &format!("{} read, {} no longer there", backups.read, backups.absent));
    }
    html.push_str("</dl>\n");
    let faults = faults.iter().map(report::fault_to_text);
    // Of most of it both tell, in the same words.
    let others = page.notes.iter().copied().filter(|note| !notes.iter().any(|it| it == note));
    let notes = notes.iter().map(String::as_str).chain(others);
    list("bad", faults, html);
    list("faint", notes.map(|note| format!("note: {note}")), html);
    html.push_str(
        "<p class=\"faint\">The chain proves nothing against somebody who rewrites all of it: \
         compare the head with one that was kept elsewhere.</p>\n</section>\n",
    );
}

fn list(class: &str, texts: impl Iterator<Item = String>, html: &mut String) {
    let mut texts = texts.peekable();
    if texts.peek().is_none() {
        return;
    }
    html.push_str("<ul>\n");
    for text in texts {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<li class=\"{class}\">{}</li>", Text(&text));
    }
    html.push_str("</ul>\n");
}
