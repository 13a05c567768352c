//! Binaries for platforms.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Checksum, Error};

/// The key under which a binary for every platform is announced.
pub(super) const ANY: &str = "any";

/// The key of the list of mirrors.
const MIRRORS: &str = "urls";

/// More places of one file than anybody needs: each may take its time to fail.
const PLACES_MAX: usize = 16;

/// Where the binary for one platform is, and what it must be.
///
/// The texts are kept as announced: what is wrong with another platform's entry is none of our
/// business, so they are checked where they are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// Hex in either case, "" for none.
    pub checksum: String,
    /// `sha256` or `sha512`.
    pub checksum_algorithm: String,
    /// Where to fetch it.
    pub url: String,
    /// Whatever else was announced.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Platform {
    /// Where to fetch it: `url`, then what the optional list `urls` names besides, each once.
    ///
    /// A list that is no list of texts belongs to somebody else: it is left alone.
    #[must_use]
    pub fn places(&self) -> Vec<&str> {
        let listed = self.extra.get(MIRRORS).and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        let mut places = Vec::new();
        for place in std::iter::once(self.url.as_str()).chain(listed) {
            if !places.contains(&place) && places.len() < PLACES_MAX {
                places.push(place);
            }
        }
        places
    }

    /// The checksum that the binary must have, or `None` where none was given.
    pub fn checksum(&self) -> Result<Option<Checksum>, Error> {
        Checksum::parse(&self.checksum, &self.checksum_algorithm)
    }
}

/// The key of the platform this program runs on: `linux-x86_64`, `darwin-aarch64`.
#[must_use]
pub fn platform_key() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    format!("{os}-{}", std::env::consts::ARCH)
}
