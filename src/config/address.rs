//! URLs that may hold credentials: in their authority, or as a value of their query.

use std::fmt;

use reqwest::Url;

/// An http or https URL.
///
/// It is kept as it was written, so that saving doesn't change it. `Display` and `Debug` never
/// show user name, password or query.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    written: String,
    url: Url,
}

/// What stands for a query.
pub(crate) const HIDDEN_QUERY: &str = "?…";
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
        let url = &self.url;
        let is_bare = url.username().is_empty() && url.password().is_none();
        if is_bare && url.query().is_none() && url.fragment().is_none() {
            return self.written.clone();
        }
        redacted(url)
    }

    /// This base with `/<daemon>/upgrade-info.json`; its query is kept.
    pub(super) fn announcement_of(&self, daemon: &str) -> Self {
        let mut url = self.url.clone();
        let path = format!("{}/{daemon}/upgrade-info.json", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Self { written: url.to_string(), url }
    }
}

/// `https://example.org/path?…`: no user name, no password, and of a query only that there is one.
pub(crate) fn redacted(url: &Url) -> String {
    let mut bare = url.clone();
    // Both fail only for URLs without a host, which hold neither.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_query(None);
    bare.set_fragment(None);
    let mark = if url.query().is_some() { HIDDEN_QUERY } else { "" };
    format!("{bare}{mark}")
}

/// A text in which every URL is as [`redacted`] shows it. A word that begins as one is taken for
/// one to its end: better a mangled message than a password in it.
pub(crate) fn redact_text(text: &str) -> String {
    text.split_inclusive(char::is_whitespace).map(redact_word).collect()
}

fn redact_word(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (shown, blank) = rest.split_at(rest.trim_end().len());
    let (before, behind) = shown.split_at(shown.find(['?', '#']).unwrap_or(shown.len()));
    let mark = if behind.starts_with('?') { HIDDEN_QUERY } else { "" };
    let bare: Vec<&str> = before.split("://").map(without_user).collect();
    format!("{scheme}://{}{mark}{blank}", bare.join("://"))
}

/// What follows a `://`, without `user:password@`.
fn without_user(rest: &str) -> &str {
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let skipped = authority.rfind('@').map_or(0, |at| at + 1);
    rest.split_at(skipped).1
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
