//! Checksums of binaries.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256, Sha512};

use super::Error;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256, 64 hex digits.
    Sha256,
    /// SHA-512, 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// The algorithm that goes by this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The checksum of all that `from` gives, in lower-case hex.
    pub fn of(self, from: &mut dyn Read) -> io::Result<String> {
        match self {
            Self::Sha256 => digest::<Sha256>(from),
            Self::Sha512 => digest::<Sha512>(from),
        }
    }

    /// The checksum of a file, in lower-case hex. Blocks for about a second per GiB.
    pub fn of_file(self, path: &Path) -> io::Result<String> {
        self.of(&mut File::open(path)?)
    }
}

fn digest<D: Digest>(from: &mut dyn Read) -> io::Result<String> {
    let mut hash = D::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => hash.update(chunk.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lower-case hex of some bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

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
