//! Checksums of binaries.

use super::Error;
use crate::digest::Algorithm;

/// A checksum that a file can be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How it is made.
    pub algorithm: Algorithm,
    /// Lower-case hex of the right length.
    pub hex: String,
}

impl Checksum {
    /// Reads an announced checksum; `None` where none was given ("").
    pub fn parse(text: &str, algorithm: &str) -> Result<Option<Self>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let refuse = |problem: String| Error::Checksum { text: text.to_owned(), problem };
        let Some(known) = Algorithm::named(algorithm) else {
            let shown = super::shorten(algorithm);
            return Err(refuse(format!("'{shown}' is neither sha256 nor sha512")));
        };
        let digits = known.hex_digits();
        if text.len() != digits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refuse(format!("a {algorithm} checksum has {digits} hex digits")));
        }
        Ok(Some(Self { algorithm: known, hex: text.to_ascii_lowercase() }))
    }
}
