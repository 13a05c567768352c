//! state-machine.md: its tables and its diagram are what `step` and `recover` do.
//!
//! `UPDATE_STATE_MACHINE_MD=1 cargo nextest run state_machine_md` writes them anew.

mod diagram;
mod recovery;
pub(crate) mod states;
mod tables;

use std::path::Path;

#[test]
fn the_document_tells_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("state-machine.md");
    let before = std::fs::read_to_string(&path).unwrap();
    let mut text = before.clone();
    for (name, content) in [
        ("diagram", diagram::generated()),
        ("events", tables::overview()),
        ("phases", tables::details()),
        ("recovery", recovery::generated()),
    ] {
        text = with_block(&text, name, &content);
    }
    if std::env::var_os("UPDATE_STATE_MACHINE_MD").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let differs = before.lines().zip(text.lines()).find(|(was, is)| was != is);
    assert!(
        before == text,
        "state-machine.md is not what the code does, first at {differs:?}; look at the difference, \
         then run UPDATE_STATE_MACHINE_MD=1 cargo nextest run state_machine_md"
    );
}

/// Every phase has a heading, in the order in which an upgrade goes through them.
#[test]
fn every_phase_has_its_heading() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("state-machine.md");
    let text = std::fs::read_to_string(path).unwrap();
    let at: Vec<usize> = nymvisor::machine::PhaseName::ALL
        .iter()
        .map(|name| text.find(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("no {name}")))
        .collect();
    assert!(at.is_sorted(), "{at:?}");
}

/// The text with the block between two markers replaced.
fn with_block(text: &str, name: &str, content: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let from = text.find(&begin).unwrap() + begin.len();
    let to = text.find(&end).unwrap();
    format!("{}\n{}\n{}", &text[..from], content.trim_end(), &text[to..])
}
