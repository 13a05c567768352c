//! Whether a file could be fetched, without fetching it.

use reqwest::StatusCode;
use reqwest::header::RANGE;

use super::download::content_range;
use crate::host::http::{self, Error, Timeouts};

/// Asks for the first byte of a file; its size where the server tells it.
///
/// Not every server that hands a file out answers `HEAD`, so it is asked as a download would, and
/// what it sends is not read.
pub async fn reach(url: &str, timeouts: &Timeouts) -> Result<Option<u64>, Error> {
    let url = http::check_url(url)?;
    let asked = http::client(&url, timeouts)?.get(url.clone()).header(RANGE, "bytes=0-0").send();
    let answer = tokio::time::timeout(timeouts.total, asked).await.map_err(|_| Error::Network {
        url: http::redact(url.as_str()),
        why: format!("no answer within {:?}", timeouts.total),
    })?;
    let response = answer.map_err(|error| Error::from_reqwest(&url, error))?;
    match response.status() {
        StatusCode::OK => Ok(response.content_length()),
        StatusCode::PARTIAL_CONTENT => Ok(content_range(&response).map(|(_, total)| total)),
        _ => Err(Error::from_status(&url, &response, "200 or 206")),
    }
}
