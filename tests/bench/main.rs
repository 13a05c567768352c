//! Figures, printed and never judged: `cargo bench`, or `cargo bench -- journal idle` for some.
//!
//! What a figure is compared with is measured beside it, in the same run. The last column is what
//! the existing tool, 0.1.41, needs for the same on a machine with two cores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that can't go on fails"
)]

mod bell;
mod copier;
mod copy;
mod crash;
mod homes;
mod idle;
mod journal;
mod process;
mod startup;
mod syncs;
mod table;
mod upgrade;
mod writer;

#[path = "../support"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support {
    pub(crate) mod daemon;
    pub(crate) mod groups;
    pub(crate) mod helper;
    pub(crate) mod run;
    pub(crate) mod server;
    pub(crate) mod site;
}

/// The groups of figures, in the order in which they are printed.
const GROUPS: [(&str, fn()); 8] = [
    ("upgrade", upgrade::print),
    ("copy", copy::print),
    ("copy beside a writer", writer::print),
    ("idle", idle::print),
    ("crash", crash::print),
    ("journal", journal::print),
    ("startup", startup::print),
    ("syncs", syncs::print),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Started by `cargo test --all-targets`: there is nothing to test.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    if copier::is_child() {
        return;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    for word in &wanted {
        let known = GROUPS.map(|(name, _)| name);
        assert!(known.iter().any(|name| name.contains(*word)), "{word:?} is none of {known:?}");
    }
    table::head();
    for (name, print) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(*word)) {
            print();
        }
    }
}
