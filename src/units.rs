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
