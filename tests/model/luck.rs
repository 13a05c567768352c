//! Whether what is ordered succeeds.

/// How an order turns out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// It fails; the number picks one of the codes that fit. An odd one lets a commit fail after
    /// it has moved the version file.
    Bad(u8),
    /// A commit moves the version file and nothing else.
    Half,
}
