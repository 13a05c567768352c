//! What the scripted server answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a reply says how long its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// `Content-Length` with the true number.
    True,
    /// `Content-Length` with this one.
    Claimed(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither: the body ends with the connection.
    Close,
}

/// What to do when the body, or what may be sent of it, is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Finish,
    CloseEarly,
    Hang,
    Repeat,
}

/// One scripted reply. Builders may be combined.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<Vec<u8>>,
    pub(super) length: Length,
    pub(super) sent_max: u64,
    pub(super) after: After,
    pub(super) is_silent: bool,
    pub(super) has_ranges: bool,
    pub(super) content_range: Option<String>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) bytes_per_second: Option<u64>,
}

impl Reply {
    /// A status without a body of its own (a short HTML page is sent).
    pub(crate) fn status(status: u16) -> Self {
        let page = format!("<!DOCTYPE html><title>{status}</title><p>This is no binary.\n");
        Self {
            status,
            headers: Vec::new(),
            body: Arc::new(page.into_bytes()),
            length: Length::True,
            sent_max: u64::MAX,
            after: After::Finish,
            is_silent: false,
            has_ranges: false,
            content_range: None,
            drip: None,
            bytes_per_second: None,
        }
    }

    /// 200 with this body.
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// 302 to another place; `to` is sent as it is.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    /// Reads the request and never answers.
    pub(crate) fn never() -> Self {
        Self { is_silent: true, ..Self::status(200) }
    }

    /// 200 with a chunked body that repeats `bytes` for ever.
    pub(crate) fn endless(bytes: impl Into<Vec<u8>>) -> Self {
        Self { after: After::Repeat, ..Self::ok(bytes).chunked() }
    }

    /// Another body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Arc::new(body.into());
        self
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// An entity tag with its quotes; a matching `If-None-Match` is answered with 304.
    pub(crate) fn etag(self, tag: &str) -> Self {
        self.header("ETag", tag)
    }

    /// A date; an equal `If-Modified-Since` is answered with 304.
    pub(crate) fn last_modified(self, date: &str) -> Self {
        self.header("Last-Modified", date)
    }

    /// Honours `Range` with 206 (or 416), if `If-Range` fits.
    pub(crate) fn ranges(mut self) -> Self {
        self.has_ranges = true;
        self
    }

    /// Sends this as `Content-Range` in a 206 instead of the right one.
    pub(crate) fn content_range(mut self, value: &str) -> Self {
        self.content_range = Some(value.into());
        self
    }

    /// Claims this `Content-Length`.
    pub(crate) fn content_length(mut self, claimed: u64) -> Self {
        self.length = Length::Claimed(claimed);
        self
    }

    /// Sends the body in chunks, with no length announced.
    pub(crate) fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// Announces no length; the body ends with the connection.
    pub(crate) fn no_length(mut self) -> Self {
        self.length = Length::Close;
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: u64) -> Self {
        (self.sent_max, self.after) = (bytes, After::CloseEarly);
        self
    }

    /// Sends nothing more after so many bytes of the body, and keeps the connection open.
    pub(crate) fn stall_after(mut self, bytes: u64) -> Self {
        (self.sent_max, self.after) = (bytes, After::Hang);
        self
    }

    /// Sends `bytes` of the body at a time, with a pause after each.
    pub(crate) fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Sends no faster than this.
    pub(crate) fn rate(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// How long to wait so that `sent` bytes since `started` are not too many.
    pub(super) fn ahead(&self, sent: u64, started: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let due = Duration::from_nanos(
            u64::try_from(u128::from(sent) * 1_000_000_000 / u128::from(rate)).unwrap(),
        );
        due.saturating_sub(started.elapsed())
    }

    pub(super) fn own(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
