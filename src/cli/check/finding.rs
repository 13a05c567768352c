//! What a look at one point gives.

/// How it bears on the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing stands in its way.
    Ok,
    /// Nothing that stops it, but the operator should know.
    Warn,
    /// It would not succeed.
    Fail,
}

impl Verdict {
    /// Its name for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The point's name: stable, one word.
    pub(super) what: &'static str,
    /// How it bears on the upgrade.
    pub(super) verdict: Verdict,
    /// What was found, for a person.
    pub(super) text: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, text: text.into(), remedy: None }
    }

    pub(super) fn warn(
        what: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), verdict: Verdict::Warn, ..Self::ok(what, text) }
    }

    pub(super) fn fail(
        what: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), verdict: Verdict::Fail, ..Self::ok(what, text) }
    }
}
