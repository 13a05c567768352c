//! Captures what `build-info` tells: commit, compiler, profile, target, time of the build.
//!
//! Without git, or outside a checkout, the commit is "unknown". It runs again when the checkout
//! moves to another commit, not at every build.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // The reflog grows with every commit, also where the branch itself is in packed-refs.
    for file in ["HEAD", "logs/HEAD"] {
        let path = output("git", &["rev-parse", "--git-path", file]);
        // A path that doesn't exist would run this at every build.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    tell("TIMESTAMP", Some(&now()));
    tell("COMMIT_SHA", output("git", &["rev-parse", "HEAD"]).as_deref());
    tell("COMMIT_TIMESTAMP", output("git", &["log", "-1", "--format=%cI"]).as_deref());
    tell("COMMIT_BRANCH", output("git", &["rev-parse", "--abbrev-ref", "HEAD"]).as_deref());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let release = output(&rustc, &["-vV"]).and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("release: ")).map(str::to_owned)
    });
    tell("RUSTC_CHANNEL", release.as_deref().map(channel));
    tell("RUSTC_VERSION", release.as_deref());
    tell("PROFILE", std::env::var("PROFILE").ok().as_deref());
    tell("TRIPLE", std::env::var("TARGET").ok().as_deref());
}

fn tell(name: &str, value: Option<&str>) {
    println!("cargo::rustc-env=NYMVISOR_BUILD_{name}={}", value.unwrap_or("unknown"));
}

/// What a command prints, if it succeeds and prints something.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn channel(release: &str) -> &'static str {
    let known = ["nightly", "beta", "dev"].into_iter().find(|channel| release.contains(channel));
    known.unwrap_or("stable")
}

/// The time of the build in UTC, RFC 3339; `SOURCE_DATE_EPOCH` where that is set.
fn now() -> String {
    let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|secs| secs.parse().ok());
    let since = fixed.map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        Duration::from_secs,
    );
    let (days, secs) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// The civil date of a day since 1970, by eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
