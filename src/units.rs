//! Numbers as people read them.

/// A number of bytes as people write it: `1.5 GiB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    let mut unit = (1_u64, "bytes");
    for (power, name) in [(10, "KiB"), (20, "MiB"), (30, "GiB"), (40, "TiB")] {
        if bytes >= 1 << power {
            unit = (1 << power, name);
        }
    }
    if unit.0 == 1 {
        return format!("{bytes} bytes");
    }
    let tenths = u128::from(bytes) * 10 / u128::from(unit.0);
    format!("{}.{} {}", tenths / 10, tenths % 10, unit.1)
}

/// Seconds in their two largest units: `64d 2h`, `3m 20s`, `0s`.
#[must_use]
pub fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if left >= unit && parts.len() < 2 {
            parts.push(format!("{}{name}", left / unit));
        } else if !parts.is_empty() {
            break;
        }
        left %= unit;
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
