//! SHA-2 digests of bytes as they come.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256, Sha512};

/// The algorithms that a release may name for its checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
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

    /// Length of its digests in hex digits.
    #[must_use]
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Digests under way: SHA-256 always, SHA-512 where it was asked for.
#[derive(Debug, Clone)]
pub struct Digests {
    sha256: Sha256,
    sha512: Option<Sha512>,
}

/// Finished digests in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex {
    /// SHA-256.
    pub sha256: String,
    /// SHA-512, where it was asked for.
    pub sha512: Option<String>,
}

impl Digests {
    /// Digests of nothing yet; `algorithm` is wanted besides SHA-256.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let sha512 = match algorithm {
            Algorithm::Sha256 => None,
            Algorithm::Sha512 => Some(Sha512::new()),
        };
        Self { sha256: Sha256::new(), sha512 }
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// The digests of everything that was added.
    #[must_use]
    pub fn finish(self) -> Hex {
        Hex {
            sha256: hex(&self.sha256.finalize()),
            sha512: self.sha512.map(|sha512| hex(&sha512.finalize())),
        }
    }
}

/// SHA-256 of `bytes` in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's content in lower-case hex. Blocks for about a second per GiB.
pub fn of_file(path: &Path) -> io::Result<String> {
    const CHUNK_BYTES: usize = 256 * 1024;
    let mut digests = Digests::new(Algorithm::Sha256);
    let mut from = BufReader::with_capacity(CHUNK_BYTES, File::open(path)?);
    loop {
        let read = match from.fill_buf() {
            Ok([]) => return Ok(digests.finish().sha256),
            Ok(chunk) => {
                digests.update(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        from.consume(read);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
