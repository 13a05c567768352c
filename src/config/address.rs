//! URLs that may hold credentials.

use std::fmt;

use reqwest::Url;

/// An http or https URL.
///
/// It is kept as it was written, so that saving doesn't change it. `Display` and `Debug` never
/// show user name or password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    written: String,
    url: Url,
}

const DEFAULT_BASE: &str = "https://nymtech.net/.wellknown/";

impl Address {
    /// Reads a URL; the error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = "a URL that starts with http:// or https://";
        let url = Url::parse(text).map_err(|e| format!("{allowed} ({e})"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(allowed.to_owned());
        }
        Ok(Self { written: text.to_owned(), url })
    }

    #[expect(clippy::expect_used, reason = "a constant, parsed in a test")]
    pub(super) fn default_base() -> Self {
        Self::parse(DEFAULT_BASE).expect("the default URL is one")
    }

    /// The URL to connect to, credentials included.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The text as it was written, credentials included: only for the configuration file.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// The URL as it may be shown and recorded.
    #[must_use]
    pub fn without_credentials(&self) -> String {
        if self.url.username().is_empty() && self.url.password().is_none() {
            return self.written.clone();
        }
        let mut url = self.url.clone();
        // Both fail only for URLs without a host, which are none of ours.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.into()
    }

    /// This base with `/<daemon>/upgrade-info.json`; its query is kept.
    pub(super) fn announcement_of(&self, daemon: &str) -> Self {
        let mut url = self.url.clone();
        let path = format!("{}/{daemon}/upgrade-info.json", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Self { written: url.to_string(), url }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_credentials())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.without_credentials(), f)
    }
}
