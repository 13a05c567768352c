//! The table of figures: 80 columns, printed a row at a time, since some rows take long.

use std::time::Duration;

/// Nobody measured it with the existing tool.
pub(crate) const UNKNOWN: &str = "";

/// Columns of a line.
const WIDTH: usize = 80;

/// Whether the figures are taken at their whole sizes, which takes long.
pub(crate) fn is_full() -> bool {
    std::env::var_os("NYMVISOR_BENCH_FULL").is_some()
}

pub(crate) fn head() {
    row("figure", "value", "unit", "0.1.41");
    say(&"-".repeat(WIDTH));
}

/// One figure. `existing` is the existing tool's, in the same unit.
pub(crate) fn row(figure: &str, value: &str, unit: &str, existing: &str) {
    say(format!("{figure:<49}{value:>11} {unit:<9}{existing:>10}").trim_end());
}

/// The parts of the figure in the row above, in its unit.
pub(crate) fn parts(parts: &[(String, String)]) {
    let mut line = String::new();
    for (name, value) in parts {
        let part = format!("  {name} {value}");
        if 2 + line.len() + part.len() > WIDTH {
            say(&format!("  {line}"));
            line.clear();
        }
        line.push_str(&part);
    }
    say(&format!("  {line}"));
}

/// A duration in the unit of its row.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

/// How much longer one duration is than another, in the unit of its row.
pub(crate) fn difference(longer: Duration, shorter: Duration) -> String {
    format!("{:.1}", (longer.as_secs_f64() - shorter.as_secs_f64()) * 1e3)
}

/// How fast so much was done.
pub(crate) fn mib_per_second(mib: usize, duration: Duration) -> String {
    format!("{:.0}", f64::from(u32::try_from(mib).unwrap()) / duration.as_secs_f64())
}

/// A duration in the unit of its row.
pub(crate) fn us(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1e6)
}

/// The median and the 95th percentile of the same thing measured again and again.
pub(crate) fn p50_p95(mut durations: Vec<Duration>) -> (Duration, Duration) {
    durations.sort();
    let at = |percent: usize| durations[(durations.len() - 1) * percent / 100];
    (at(50), at(95))
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
