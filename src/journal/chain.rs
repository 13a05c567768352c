//! How lines are chained.
//!
//! A line is a JSON object whose last two members are `prev` and `hash`. `hash` is the SHA-256 of
//! the line's bytes without the `hash` member, that is, of the text up to `,"hash":` and the
//! closing brace. So a line can be checked with `sed` and `sha256sum`, and no rule of how JSON is
//! to be normalised is needed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a line, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// What the first line of a chain names as the one before it.
    #[must_use]
    pub fn none() -> Self {
        Self("0".repeat(64))
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(Sha256::digest(bytes).as_slice())
    }

    fn from_digest(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value)).copied().map_or('0', char::from);
        Self(digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// A hash that was written down somewhere: 64 hex digits, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b"\",\"hash\":\"";
const END: &[u8] = b"\"}";
const DIGITS: usize = 64;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It does not end as a line of a journal does.
    #[error("it has no hash at its end")]
    NoHash,
    /// What has the name of a segment is no file: what it is, with its article.
    #[error("it is {0}, and should be a file of the journal")]
    NoFile(String),
    /// Its bytes are not those that were sealed.
    #[error("its hash does not fit its content")]
    WrongHash,
    /// It does not follow the line before.
    #[error("it does not follow the line before it (prev)")]
    WrongPrev,
    /// It is no header or record of this format.
    #[error("it can't be read: {0}")]
    Unreadable(String),
    /// Its number does not follow the one before.
    #[error("its number does not follow that of the line before it (seq)")]
    WrongSeq,
    /// The machine would not have made it.
    #[error("it is not a legal transition: {0}")]
    Illegal(String),
    /// It is of another format, instance or daemon.
    #[error("{0}")]
    Foreign(String),
}

/// The line of `content` after the one with hash `prev`, with its newline, and its own hash.
pub(super) fn seal<T: Serialize>(
    content: &T,
    prev: &Hash,
) -> Result<(Vec<u8>, Hash), serde_json::Error> {
    let mut line = serde_json::to_vec(content)?;
    line.pop();
    line.extend_from_slice(PREV);
    line.extend_from_slice(prev.0.as_bytes());
    let hash = digest(&line);
    line.extend_from_slice(HASH);
    line.extend_from_slice(hash.0.as_bytes());
    line.extend_from_slice(END);
    line.push(b'\n');
    Ok((line, hash))
}

/// A line's links: its own hash, after a comparison with its bytes, and that of the one before.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) hash: Hash,
    pub(super) prev: Hash,
}

/// The links of a line, given without its newline.
pub(super) fn unseal(line: &[u8]) -> Result<Links, BadLine> {
    let (rest, hash) = split_digits(line.strip_suffix(END).ok_or(BadLine::NoHash)?)?;
    let body = rest.strip_suffix(HASH).ok_or(BadLine::NoHash)?;
    if digest(body) != hash {
        return Err(BadLine::WrongHash);
    }
    let (rest, prev) = split_digits(body)?;
    if rest.ends_with(PREV) { Ok(Links { hash, prev }) } else { Err(BadLine::NoHash) }
}

/// The hash of a line is that of its text with the `hash` member left out.
fn digest(body: &[u8]) -> Hash {
    Hash::from_digest(Sha256::new().chain_update(body).chain_update(END).finalize().as_slice())
}

fn split_digits(text: &[u8]) -> Result<(&[u8], Hash), BadLine> {
    let at = text.len().checked_sub(DIGITS).ok_or(BadLine::NoHash)?;
    let (rest, digits) = text.split_at(at);
    let digits = std::str::from_utf8(digits).map_err(|_| BadLine::NoHash)?;
    Ok((rest, Hash(digits.to_owned())))
}
