//! What is known to end badly, and is still to be mended: nothing else may.

/// A part of what is said of it, and what it is. The list only gets shorter.
const KNOWN: [(&str, &str); 1] = [(
    "two history entries for one upgrade",
    "after a swap that could move the history and not the plan, the upgrade stays queued; once an \
     older version has been installed on purpose, it counts as newer, and is performed again",
)];

pub(super) fn is_known(why: &str) -> bool {
    KNOWN.iter().any(|(said, _)| why.starts_with(said))
}
