//! `journal show`, `timeline`, `export` and `report`: on a journal that a test has written, where
//! every time is known, and on what a real run leaves.

use chrono::TimeDelta;

mod browser;
mod exported;
mod followed;
mod gaps;
mod reported;
mod shown;
mod timeline;
mod written;

use written::Told;

/// The number of each record that `journal show` chooses with these options.
fn chosen(told: &Told, options: &[&str]) -> Vec<u64> {
    let arguments = [&["journal", "show", "--output", "json"], options].concat();
    let shown = told.site.ok(&arguments);
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64();
    shown.lines().map(|line| seq(line).unwrap()).collect()
}

fn ms(milliseconds: i64) -> TimeDelta {
    TimeDelta::milliseconds(milliseconds)
}
