//! From the text of a variable, a flag or a file's value to a valid one.
//!
//! The error of each function says what is allowed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::HIDDEN_QUERY;

/// Far more than anybody means, and far less than what arithmetic with clocks can't take.
const MAX_DURATION: Duration = Duration::from_hours(100 * 366 * 24);
const MAX_SEGMENT_BYTES: usize = 128;
const SIZE_UNITS: [(&str, u64); 8] = [
    ("GIB", 1 << 30),
    ("MIB", 1 << 20),
    ("KIB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

fn text<'a>(value: &'a OsStr, allowed: &str) -> Result<&'a str, String> {
    value.to_str().ok_or_else(|| format!("{allowed}, in UTF-8"))
}

/// true/t/1 and false/f/0 in any case.
pub(super) fn switch(value: &OsStr) -> Result<bool, String> {
    let allowed = "true, t, 1, false, f or 0";
    match text(value, allowed)?.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(allowed.to_owned()),
    }
}

/// A number with a unit, or several: `10s`, `1h 30m`.
pub(super) fn duration(value: &OsStr) -> Result<Duration, String> {
    let allowed = "a duration such as 10s, 2m or 1h 30m, of 100 years at most";
    let text = text(value, allowed)?;
    if !text.contains(char::is_alphabetic) {
        return Err(allowed.to_owned());
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) | Err(_) => Err(allowed.to_owned()),
    }
}

/// A duration that is not zero.
pub(super) fn interval(value: &OsStr) -> Result<Duration, String> {
    match duration(value) {
        Ok(Duration::ZERO) => Err("a duration of more than zero, such as 30s or 1h".to_owned()),
        other => other,
    }
}

/// A whole number.
pub(super) fn count(value: &OsStr) -> Result<u32, String> {
    let allowed = format!("a whole number from 0 to {}", u32::MAX);
    text(value, &allowed)?.parse().map_err(|_| allowed)
}

/// Bytes as a number, or with a unit: `2GiB`, `500 MB`.
pub(super) fn size(value: &OsStr) -> Result<u64, String> {
    let allowed = "a number of bytes of at least 1, or one with a unit such as 500MiB or 2GiB";
    let text = text(value, allowed)?.trim().to_ascii_uppercase();
    let (digits, factor) = SIZE_UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))
        .unwrap_or((&text, 1));
    match digits.trim_end().parse::<u64>().ok().and_then(|n| n.checked_mul(factor)) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(allowed.to_owned()),
    }
}

/// The shortest exact text of a size.
pub(super) fn size_text(bytes: u64) -> String {
    SIZE_UNITS.iter().take(3).find(|(_, factor)| bytes.is_multiple_of(*factor)).map_or_else(
        || bytes.to_string(),
        |(unit, factor)| format!("{}{}", bytes / factor, unit.replace("IB", "iB")),
    )
}

/// A path, made absolute against the working directory.
pub(super) fn path(value: &OsStr) -> Result<PathBuf, String> {
    let allowed = "the path of a folder";
    if value.as_encoded_bytes().contains(&0) {
        return Err(allowed.to_owned());
    }
    std::path::absolute(value).map_err(|e| format!("{allowed} ({e})"))
}

/// What becomes the name of a folder: an instance's id, a daemon's name.
pub(super) fn segment(value: &OsStr) -> Result<String, String> {
    let allowed = "1 to 128 characters without '/' and control characters, no '.' in front";
    let text = text(value, allowed)?;
    let fits = (1..=MAX_SEGMENT_BYTES).contains(&text.len());
    if !fits || text.starts_with('.') || text.contains(|c: char| c == '/' || c.is_control()) {
        return Err(allowed.to_owned());
    }
    Ok(text.to_owned())
}

/// A value for a message: short, in one line, without a URL's credentials.
pub(super) fn shown(value: &OsStr) -> String {
    const SHOWN_CHARS: usize = 200;
    let text = value.to_string_lossy();
    let masked = match text.rsplit_once('@') {
        Some((before, after)) if before.contains(':') => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            let colon = if scheme.is_empty() { "" } else { "://" };
            format!("{scheme}{colon}***@{after}")
        }
        _ => text.into_owned(),
    };
    let masked = match masked.split_once('?') {
        Some((before, _)) => format!("{before}{HIDDEN_QUERY}"),
        None => masked,
    };
    masked
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(|c| {
            let escaped =
                if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            escaped.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// Path bytes from a file that can only hold text: an array of their numbers.
pub(super) fn from_bytes(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}
