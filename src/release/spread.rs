//! A network of nodes doesn't restart in one instant: each performs an upgrade later by a part of
//! a span, which it has drawn once for itself and the announcement.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::digest;
use crate::disk::{self, Disk};

/// How long a drawn seed is, in hexadecimal digits.
const SEED_DIGITS: usize = 64;
const SEED_MODE: u32 = 0o600;

/// By how much this instance performs what announcements later than they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    seed: String,
    over: Duration,
}

impl Spread {
    /// Spread over so long a span, from this seed.
    #[must_use]
    pub fn new(seed: &str, over: Duration) -> Self {
        Self { seed: seed.to_owned(), over }
    }

    /// With the seed in this file, where there is one; `None` where nothing is spread.
    #[must_use]
    pub fn known(disk: &dyn Disk, path: &Path, over: Duration) -> Option<Self> {
        if over.is_zero() {
            return None;
        }
        Some(Self { seed: read(disk, path).ok().flatten()?, over })
    }

    /// The same; the seed is drawn, and kept, where there is none yet.
    pub fn drawn(disk: &dyn Disk, path: &Path, over: Duration) -> io::Result<Option<Self>> {
        if over.is_zero() {
            return Ok(None);
        }
        if let Some(seed) = read(disk, path)? {
            return Ok(Some(Self { seed, over }));
        }
        let seed = draw();
        disk::replace(disk, path, format!("{seed}\n").as_bytes(), SEED_MODE)?;
        Ok(Some(Self { seed, over }))
    }

    /// With a seed of this session alone, where none can be kept.
    #[must_use]
    pub fn for_now(over: Duration) -> Self {
        Self { seed: draw(), over }
    }

    /// When an upgrade that is announced for `at` is performed here: less than the span later, and
    /// always the same for the same announcement.
    #[must_use]
    pub fn later(&self, at: DateTime<Utc>, digest: &str) -> DateTime<Utc> {
        let hash = digest::sha256(format!("{}\n{digest}", self.seed).as_bytes());
        let head = hash.get(..16).and_then(|head| u64::from_str_radix(head, 16).ok());
        let part = (u128::from(head.unwrap_or_default()) * self.over.as_millis()) >> 64;
        let offset = i64::try_from(part).ok().and_then(TimeDelta::try_milliseconds);
        offset.and_then(|offset| at.checked_add_signed(offset)).unwrap_or(at)
    }
}

/// What is no seed is drawn anew.
fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<String>> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let is_seed = text.len() == SEED_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(is_seed.then_some(text))
}

/// The standard library seeds its hash maps from the system; each of these has keys of its own.
fn draw() -> String {
    let drawn = || RandomState::new().build_hasher().finish().to_le_bytes();
    digest::sha256(&[drawn(), drawn(), drawn(), drawn()].concat())
}
