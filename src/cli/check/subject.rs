//! Which upgrade it is about, and whether its announcement reads well.

use std::ffi::OsStr;
use std::path::Path;

use super::finding::Finding;
use super::site::{Site, in_words};
use crate::disk::Disk;
use crate::host::http::{self, Timeouts};
use crate::host::upstream::{Poll, Poller};
use crate::machine::{Order, compare};
use crate::release::{MAX_ANNOUNCEMENT_BYTES, Plan, UpgradeInfo, UpgradeName};

const WHAT: &str = "announcement";

/// The upgrade that is checked.
pub(super) struct Subject {
    pub(super) info: UpgradeInfo,
    /// It isn't in the plan: this is what would be if it were announced.
    pub(super) hypothetical: bool,
}

/// Finds it in the plan, by name or as the next one, or wherever `given` says.
pub(super) async fn find(
    site: &Site<'_>,
    name: Option<&UpgradeName>,
    given: Option<&OsStr>,
) -> (Option<Subject>, Vec<Finding>) {
    let found = match given {
        Some(given) => read(site.disk, given).await,
        None => queued(site, name),
    };
    match found {
        Ok((subject, finding)) => (Some(subject), vec![finding]),
        Err(finding) => (None, vec![finding]),
    }
}

async fn read(disk: &dyn Disk, given: &OsStr) -> Result<(Subject, Finding), Finding> {
    let is_url = given.to_str().is_some_and(|text| text.contains("://"));
    let (bytes, shown) = if let Some(url) = given.to_str().filter(|_| is_url) {
        (download(url).await?, http::redact(url))
    } else {
        let path = Path::new(given);
        let failed =
            |text: String| Finding::fail(WHAT, text, "give the path of an upgrade-info.json");
        let size = std::fs::metadata(path).map(|meta| meta.len());
        if size.is_ok_and(|size| size > MAX_ANNOUNCEMENT_BYTES as u64) {
            return Err(failed(format!("{} is too large for an announcement", path.display())));
        }
        let bytes = disk.read(path);
        let shown = path.display().to_string();
        (bytes.map_err(|error| failed(format!("{shown} can't be read: {error}")))?, shown)
    };
    let info = UpgradeInfo::parse(&bytes).map_err(|error| {
        let text = format!("{shown} can't be used: {}", in_words(&error));
        Finding::fail(WHAT, text, "have it corrected: upstream would be ignored")
    })?;
    let text = format!("{shown} reads well; it is not queued");
    Ok((Subject { info, hypothetical: true }, Finding::ok(WHAT, text)))
}

async fn download(url: &str) -> Result<Vec<u8>, Finding> {
    let failed = |error: http::Error| {
        Finding::fail(WHAT, in_words(&error), "give the URL of an upgrade-info.json that answers")
    };
    match Poller::new(url, Timeouts::default()).map_err(failed)?.poll().await.map_err(failed)? {
        Poll::Body { bytes, .. } => Ok(bytes),
        Poll::Unchanged => Ok(Vec::new()),
    }
}

fn queued(site: &Site<'_>, name: Option<&UpgradeName>) -> Result<(Subject, Finding), Finding> {
    let plan = site.plan.as_ref().map_err(|error| {
        let remedy = "repair it; the next `nymvisor run` sets a damaged plan aside itself";
        Finding::fail(WHAT, in_words(error), remedy)
    })?;
    let found = match name {
        Some(name) => plan.queued(name).or(Some(&plan.current).filter(|info| info.name == *name)),
        None => next(site, plan),
    };
    let info = found.ok_or_else(|| nothing(site, plan, name))?.clone();
    let upgrade = info.to_upgrade();
    let text = format!("it is queued, asked for by {}", asked_by(&upgrade.requester));
    Ok((Subject { info, hypothetical: false }, Finding::ok(WHAT, text)))
}

/// What an engine would take next: what another instance of the data folder has moved on to comes
/// first. Where all that is queued is held back, the first of that.
fn next<'a>(site: &Site<'_>, plan: &'a Plan) -> Option<&'a UpgradeInfo> {
    let Ok(installed) = &site.installed else { return plan.queued_up.first() };
    let is_newer =
        |info: &UpgradeInfo| compare(&info.version.to_string(), &installed.version) == Order::Newer;
    let is_ahead = is_newer(&plan.current) && plan.current.name.as_str() != installed.name;
    let ahead = is_ahead.then_some(&plan.current);
    let wanted = || plan.queued_up.iter().filter(|info| is_newer(info) || info.allow_downgrade);
    let state = site.state.as_ref();
    let is_held = |info: &UpgradeInfo| state.is_some_and(|state| state.is_held(&info.to_upgrade()));
    let free = ahead.into_iter().chain(wanted()).find(|info| !is_held(info));
    free.or(ahead).or_else(|| wanted().next()).or(plan.queued_up.first())
}

fn nothing(site: &Site<'_>, plan: &Plan, name: Option<&UpgradeName>) -> Finding {
    let names: Vec<&str> = plan.queued_up.iter().map(|info| info.name.as_str()).collect();
    let text = match name {
        Some(name) => {
            let queued = if names.is_empty() { "nothing is".to_owned() } else { names.join(", ") };
            let are = match names.len() {
                0 => "queued",
                1 => "is queued",
                _ => "are queued",
            };
            format!("there is no upgrade '{name}' in the queue; {queued} {are}")
        }
        None => "no upgrade is queued".to_owned(),
    };
    let address = site.config.polled_url().without_credentials();
    let announced = format!("`nymvisor check --url {address}` checks what is announced");
    let remedy = match (name, names.first()) {
        (Some(_), Some(first)) => format!("`nymvisor check {first}`; {announced}"),
        (Some(_), None) => announced,
        (None, _) => format!("nothing to do; {announced}"),
    };
    Finding::fail(WHAT, text, remedy)
}

fn asked_by(requester: &crate::machine::Requester) -> String {
    use crate::machine::Requester::{Command, Plan, Upstream};
    match requester {
        Upstream { url } => url.clone(),
        Command { user, .. } => format!("the user '{}'", user.escape_debug()),
        Plan => "the plan itself".to_owned(),
    }
}
