//! The records of one upgrade on the page. Pure.

use std::fmt::Write;

use super::super::trail::Entry;
use super::super::words;
use super::escape::Text;
use crate::machine::Effect;
use crate::narrate;

/// A table: one row a record, with its line as it is written.
pub(super) fn write(entries: &[&Entry], section: usize, html: &mut String) {
    html.push_str(
        "<h3>Records</h3>\n<table>\n<thead><tr><th>No.</th><th>Time</th><th>After</th>\
         <th>Phase</th><th>What happened, and what was ordered</th></tr></thead>\n<tbody>\n",
    );
    let mut before: Option<&Entry> = None;
    for entry in entries {
        row(entry, before, section, html);
        before = Some(entry);
    }
    html.push_str("</tbody>\n</table>\n");
}

fn row(entry: &Entry, before: Option<&Entry>, section: usize, html: &mut String) {
    let record = &entry.record;
    let class = if narrate::is_trouble(record) { " class=\"trouble\"" } else { "" };
    let took = before.map_or(String::new(), |before| words::duration(record.at - before.record.at));
    let phases = if record.from == record.to {
        record.to.to_string()
    } else {
        format!("{} → {}", record.from, record.to)
    };
    let orders: Vec<&str> = record.effects.iter().map(Effect::name).collect();
    let orders = match orders.as_slice() {
        [] => String::new(),
        orders => format!("<br>\n<span class=\"faint\">ordered: {}</span>", orders.join(", ")),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        html,
        "<tr id=\"u{section}r{seq}\"{class}><td class=\"seq\" data-label=\"Record\">{seq}</td>\
         <td class=\"at\" data-label=\"at\">{at}</td>\
         <td class=\"took\" data-label=\"after\">{took}</td>\
         <td class=\"phases\">{phases}</td>\
         <td>{text}{orders}<br>\n<span class=\"mono faint\">{hash}</span>\n\
         <details><summary>{file}, line {line}; session {session}</summary>\
         <pre>{written}</pre></details></td></tr>",
        seq = record.seq,
        at = words::time(record.at),
        text = Text(&narrate::text(record, entry.back.as_deref())),
        hash = Text(&entry.hash),
        file = Text(&entry.file),
        line = entry.line_number,
        session = Text(&record.session),
        written = Text(&entry.line),
    );
}
