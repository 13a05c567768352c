//! The HTTP client that polls and downloads share: its limits, its redirects, its messages.
//!
//! A client lives for one use. It holds the system's certificates and a connection pool, which
//! would otherwise be most of the memory of a supervisor that polls once an hour.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url, redirect};

use crate::config::{HIDDEN_QUERY, redact_text, redacted};
use crate::machine::Code;

/// So many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// How long the parts of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until an answer begins, and between two pieces of its body.
    pub idle: Duration,
    /// A whole poll, from the request to the last byte.
    pub total: Duration,
    /// The span in which a download must get [`Timeouts::window_bytes_min`]; a trickle that
    /// never goes silent would otherwise hold an upgrade for years.
    pub window: Duration,
    /// Bytes that must arrive in each `window`.
    pub window_bytes_min: u64,
    /// Before the second try of a download; doubled before each further one.
    pub retry_pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            total: Duration::from_mins(1),
            window: Duration::from_mins(5),
            window_bytes_min: 256 * 1024,
            retry_pause: Duration::from_secs(1),
        }
    }
}

/// Why an exchange failed. No text of it holds credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL that can be fetched.
    #[error("{url}: {why}; expected a URL such as https://example.org/path")]
    BadUrl {
        /// The URL without credentials.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A redirect to somewhere that must not be followed.
    #[error("{url}: {refused}; give the final URL, or have the server's redirect corrected")]
    Redirect {
        /// The URL that was asked for, without credentials.
        url: String,
        /// Where it led and why that is refused.
        refused: RedirectRefused,
    },
    /// This machine can't make a client, for want of certificates for example.
    #[error("cannot set up TLS for {url}: {why}; is the ca-certificates package installed?")]
    Client {
        /// The URL without credentials.
        url: String,
        /// The chain of causes.
        why: String,
    },
    /// No connection, no answer, or one that broke off or stalled.
    #[error("{url}: {why}; check the network and the server")]
    Network {
        /// The URL without credentials.
        url: String,
        /// The chain of causes.
        why: String,
    },
    /// An answer other than the one that was asked for.
    #[error("{url}: the server answered {status}, expected {expected}; check the URL")]
    Status {
        /// The URL without credentials.
        url: String,
        /// What it answered.
        status: StatusCode,
        /// Which answers would have been right.
        expected: &'static str,
    },
    /// Larger than allowed.
    #[error("{url}: the answer has {found} bytes, the limit is {max_bytes} bytes")]
    TooLarge {
        /// The URL without credentials.
        url: String,
        /// The announced size in digits, or "more" where it was found out by counting.
        found: String,
        /// The limit.
        max_bytes: u64,
    },
}

impl Error {
    /// The stable code of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Redirect { refused: RedirectRefused::TooMany, .. } | Self::Status { .. } => {
                Code::HttpStatus
            }
            Self::BadUrl { .. } | Self::Redirect { .. } => Code::BadUrl,
            Self::Client { .. } => Code::Io,
            Self::Network { .. } => Code::Network,
            Self::TooLarge { .. } => Code::TooLarge,
        }
    }

    /// Whether the same request may well succeed some seconds later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [
                        StatusCode::REQUEST_TIMEOUT,
                        StatusCode::TOO_EARLY,
                        StatusCode::TOO_MANY_REQUESTS,
                    ]
                    .contains(status)
            }
            Self::BadUrl { .. }
            | Self::Redirect { .. }
            | Self::Client { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// What a failed request or body read of `url` means.
    #[must_use]
    pub fn from_reqwest(url: &Url, error: reqwest::Error) -> Self {
        let url = redact(url.as_str());
        let error = error.without_url();
        let refused = chain(&error).find_map(|cause| cause.downcast_ref::<RedirectRefused>());
        match refused {
            Some(refused) => Self::Redirect { url, refused: refused.clone() },
            None => Self::Network { url, why: causes(&error) },
        }
    }

    /// What an answer with another status than the `expected` one means.
    #[must_use]
    pub fn from_status(url: &Url, response: &Response, expected: &'static str) -> Self {
        Self::Status { url: redact(url.as_str()), status: response.status(), expected }
    }
}

/// A redirect that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefused {
    /// From https to something that anybody on the way can change.
    #[error("redirected from https to {to}, which is not protected")]
    Downgrade {
        /// Where to, without credentials.
        to: String,
    },
    /// To another scheme than http and https.
    #[error("redirected to {to}, which is neither http nor https")]
    Scheme {
        /// Where to, without credentials.
        to: String,
    },
    /// In a circle, or a chain without end.
    #[error("more than {REDIRECTS_MAX} redirects")]
    TooMany,
}

/// Whether a redirect may be followed; `previous` are the URLs of this request so far.
pub fn check_redirect(previous: &[Url], next: &Url) -> Result<(), RedirectRefused> {
    if previous.len() > REDIRECTS_MAX {
        return Err(RedirectRefused::TooMany);
    }
    let was_https = previous.iter().any(|url| url.scheme() == "https");
    match next.scheme() {
        "https" => Ok(()),
        "http" if !was_https => Ok(()),
        "http" => Err(RedirectRefused::Downgrade { to: redact(next.as_str()) }),
        _ => Err(RedirectRefused::Scheme { to: redact(next.as_str()) }),
    }
}

/// A client for requests to `url`.
pub fn client(url: &Url, timeouts: &Timeouts) -> Result<Client, Error> {
    let policy = || {
        redirect::Policy::custom(|attempt| {
            match check_redirect(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            }
        })
    };
    client_with(url, timeouts, policy)
}

/// The same for one that takes a redirect for what it is: no answer from `url`.
pub fn client_that_stays(url: &Url, timeouts: &Timeouts) -> Result<Client, Error> {
    client_with(url, timeouts, redirect::Policy::none)
}

fn client_with(
    url: &Url,
    timeouts: &Timeouts,
    policy: impl Fn() -> redirect::Policy,
) -> Result<Client, Error> {
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("nymvisor/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.idle)
            .referer(false)
            .redirect(policy());
        // No proxy can reach this machine's own loopback.
        if is_loopback(url) { builder.no_proxy() } else { builder }
    };
    let built = match builder().build() {
        // A machine without certificates can still speak plain http.
        Err(_) if url.scheme() == "http" => builder().tls_certs_only([]).build(),
        built => built,
    };
    built.map_err(|error| Error::Client {
        url: redact(url.as_str()),
        why: causes(&error.without_url()),
    })
}

/// Any error that owns all it tells.
type Cause = dyn std::error::Error + 'static;

/// An error and what caused it, the outermost first.
fn chain(error: &Cause) -> impl Iterator<Item = &Cause> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The texts of a chain, free of credentials.
fn causes(error: &Cause) -> String {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    redact_text(&texts.join(": "))
}

/// Parses a URL from outside; only http and https with a host are allowed.
pub fn check_url(text: &str) -> Result<Url, Error> {
    let bad = |why: String| Error::BadUrl { url: redact(text), why };
    let url = Url::parse(text).map_err(|error| bad(format!("not a URL ({error})")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(bad(format!("scheme '{other}' is neither http nor https"))),
    }
}

/// Whether the URL's traffic leaves this machine unprotected, which deserves a warning.
#[must_use]
pub fn is_plain_http_beyond_loopback(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let named = host == "localhost" || host.ends_with(".localhost");
    named || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL without user name, password and query, for messages and files.
///
/// What can't be parsed loses everything from its scheme to its last `@`, and what follows a `?`:
/// better a mangled message than a password in it.
#[must_use]
pub fn redact(url: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https" | "ftp") => redacted(&parsed),
        _ => {
            let (scheme, rest) = match url.split_once("://") {
                Some((scheme, rest)) if !scheme.contains('@') => (format!("{scheme}://"), rest),
                _ => (String::new(), url),
            };
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
            let rest = match rest.split_once('?') {
                Some((before, _)) => format!("{before}{HIDDEN_QUERY}"),
                None => rest.to_owned(),
            };
            let shown = scheme + rest.split_once('#').map_or(rest.as_str(), |(before, _)| before);
            shown.escape_debug().to_string()
        }
    }
}
