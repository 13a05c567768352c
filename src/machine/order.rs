//! Which of two versions is newer.

use std::cmp::Ordering;

use semver::Version;

/// How one version stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is newer.
    Newer,
    /// It is the same, build metadata apart.
    Same,
    /// It is older.
    Older,
    /// At least one of them is no semantic version, and they differ.
    Unknown,
}

/// How `version` stands to `other`, by the precedence of semantic versions.
#[must_use]
pub fn compare(version: &str, other: &str) -> Order {
    if version == other {
        return Order::Same;
    }
    let (Ok(version), Ok(other)) = (Version::parse(version), Version::parse(other)) else {
        return Order::Unknown;
    };
    match version.cmp_precedence(&other) {
        Ordering::Greater => Order::Newer,
        Ordering::Equal => Order::Same,
        Ordering::Less => Order::Older,
    }
}
