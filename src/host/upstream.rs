//! Asks an upstream for its announcement, and tells what is new from what is known.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Response, StatusCode, Url};

use super::http::{self, Error, Timeouts};
use crate::digest;

/// No announcement is larger.
pub const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// A shorter pause would be a flood, whatever the configuration says.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// The same as at the last successful poll.
    Unchanged,
    /// Something else than at the last one.
    Body {
        /// What upstream sent.
        bytes: Vec<u8>,
        /// SHA-256 (hex) of `bytes`.
        digest: String,
    },
}

/// Polls one URL and remembers the last answer.
#[derive(Debug)]
pub struct Poller {
    url: Url,
    timeouts: Timeouts,
    last: Option<Last>,
}

/// What is known of the last answer.
#[derive(Debug)]
struct Last {
    digest: String,
    conditions: HeaderMap,
}

impl Poller {
    /// A poller that knows nothing yet; `url` must be http or https.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, Error> {
        Ok(Self { url: http::check_url(url)?, timeouts, last: None })
    }

    /// Forgets the last answer, so that the next poll hands it out again: for a caller that could
    /// not keep what it was given.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Asks once. An error leaves what is known as it was.
    pub async fn poll(&mut self) -> Result<Poll, Error> {
        let asked = tokio::time::timeout(self.timeouts.total, self.ask()).await;
        let Some((bytes, conditions)) = asked.unwrap_or_else(|_| Err(self.too_slow()))? else {
            return Ok(Poll::Unchanged);
        };
        let digest = digest::sha256(&bytes);
        let is_known = self.last.as_ref().is_some_and(|last| last.digest == digest);
        self.last = Some(Last { digest: digest.clone(), conditions });
        Ok(if is_known { Poll::Unchanged } else { Poll::Body { bytes, digest } })
    }

    /// A new body with the conditions under which to ask the next time, or `None` for a 304.
    async fn ask(&self) -> Result<Option<(Vec<u8>, HeaderMap)>, Error> {
        let conditions = self.last.as_ref().map(|last| last.conditions.clone()).unwrap_or_default();
        let is_conditional = !conditions.is_empty();
        let client = http::client(&self.url, &self.timeouts)?;
        let response = client
            .get(self.url.clone())
            .headers(conditions)
            .send()
            .await
            .map_err(|error| Error::from_reqwest(&self.url, error))?;
        match response.status() {
            StatusCode::OK => {
                let conditions = conditions_for_next(&response);
                Ok(Some((self.body(response).await?, conditions)))
            }
            StatusCode::NOT_MODIFIED if is_conditional => Ok(None),
            _ => Err(Error::from_status(&self.url, &response, "200 or 304")),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let too_large = |found: String| Error::TooLarge {
            url: http::redact(self.url.as_str()),
            found,
            max_bytes: BODY_BYTES_MAX,
        };
        if let Some(length) = response.content_length().filter(|&bytes| bytes > BODY_BYTES_MAX) {
            return Err(too_large(length.to_string()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| Error::from_reqwest(&self.url, error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > BODY_BYTES_MAX {
                return Err(too_large("more".into()));
            }
        }
        Ok(bytes)
    }

    fn too_slow(&self) -> Error {
        let total = self.timeouts.total;
        Error::Network {
            url: http::redact(self.url.as_str()),
            why: format!("the answer was not complete after {total:?}"),
        }
    }
}

/// The headers that ask for something other than this answer.
fn conditions_for_next(response: &Response) -> HeaderMap {
    let mut conditions = HeaderMap::new();
    let mut carry = |from: HeaderName, to: HeaderName| {
        let value: Option<&HeaderValue> = response.headers().get(from);
        if let Some(value) = value {
            conditions.insert(to, value.clone());
        }
    };
    carry(ETAG, IF_NONE_MATCH);
    carry(LAST_MODIFIED, IF_MODIFIED_SINCE);
    conditions
}

/// The pause before the next poll: `rate` and up to a tenth more, so that machines which were
/// started together don't ask, and upgrade, together. `random` is from 0 to below 1.
#[must_use]
pub fn next_pause(rate: Duration, random: f64) -> Duration {
    let share = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
    let jitter = Duration::try_from_secs_f64(rate.as_secs_f64() * 0.1 * share).unwrap_or_default();
    rate.saturating_add(jitter).max(PAUSE_MIN)
}

/// A number from 0 to below 1, another one each time; not for secrets.
#[must_use]
pub fn random() -> f64 {
    // The standard library seeds its hash maps from the system; an empty hash shows the seed.
    let seed = RandomState::new().build_hasher().finish();
    let high = u32::try_from(seed >> 32).unwrap_or_default();
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}
