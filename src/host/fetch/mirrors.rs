//! The places that a file may be fetched from, and what became of each.

use std::fmt::Write as _;

use reqwest::Url;

use super::{Error, Order};
use crate::host::http;
use crate::machine::Remedy;

/// A place that may still have the file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    index: usize,
    /// Its URL.
    pub(super) url: Url,
}

/// All places, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Mirrors {
    first: Url,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `None` once it is of no use any more.
    url: Option<Url>,
    failure: Option<Error>,
}

impl Mirrors {
    /// The places of an order. One whose URL is no good is passed over as long as another is
    /// good.
    pub(super) fn of(order: &Order) -> Result<Self, Error> {
        let texts = std::iter::once(&order.url).chain(&order.mirrors);
        let mut entries: Vec<Entry> = Vec::new();
        for text in texts {
            entries.push(match http::check_url(text) {
                Ok(url) => Entry { url: Some(url), failure: None },
                Err(error) => Entry { url: None, failure: Some(error.into()) },
            });
        }
        match entries.iter().find_map(|entry| entry.url.clone()) {
            Some(first) => Ok(Self { first, entries }),
            None => Err(verdict(entries)),
        }
    }

    /// The first that can be asked at all.
    pub(super) fn first(&self) -> Url {
        self.first.clone()
    }

    /// Those that may still have it.
    pub(super) fn live(&self) -> Vec<Place> {
        let place =
            |(index, entry): (usize, &Entry)| entry.url.clone().map(|url| Place { index, url });
        self.entries.iter().enumerate().filter_map(place).collect()
    }

    /// A place did not deliver. It is asked again only if that may pass.
    pub(super) fn failed(&mut self, place: &Place, error: Error) {
        let may_pass = error.is_transient();
        let others = self.entries.iter().filter(|entry| entry.url.is_some()).count() - 1;
        if others > 0 {
            tracing::warn!("{error}; {others} other mirrors are left");
        } else {
            tracing::debug!(%error, may_pass, "the download broke off");
        }
        if let Some(entry) = self.entries.get_mut(place.index) {
            entry.url = entry.url.take().filter(|_| may_pass);
            entry.failure = Some(error);
        }
    }

    /// Why it could not be had.
    pub(super) fn verdict(&mut self) -> Error {
        verdict(std::mem::take(&mut self.entries))
    }
}

/// What may pass decides: a wrong file in one place is no reason to give up on the others.
fn verdict(entries: Vec<Entry>) -> Error {
    let mut failures: Vec<Error> = entries.into_iter().filter_map(|entry| entry.failure).collect();
    let is_passing = |error: &Error| error.code().remedy() != Remedy::Quarantine;
    let decisive = failures.iter().position(is_passing).unwrap_or_default();
    if failures.is_empty() {
        // Never so: who asks for the verdict has seen each fail.
        return http::Error::BadUrl { url: String::new(), why: "no URL".to_owned() }.into();
    }
    let first = failures.remove(decisive);
    if failures.is_empty() {
        return first;
    }
    let mut others = String::new();
    for failure in failures {
        let comma = if others.is_empty() { "" } else { "; " };
        let _ = write!(others, "{comma}{failure}");
    }
    Error::Everywhere { first: Box::new(first), others }
}
