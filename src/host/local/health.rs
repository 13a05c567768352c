//! Whether a new version is healthy: asked again and again, until it is or the time is over.

use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::http::{self, Timeouts};
use super::hooks::{self, Task};
use super::{LocalHost, Setup};
use crate::config::CommandLine;
use crate::machine::{Code, Daemon, Event, Failure, HookEnding};

/// So long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An end that is asked for from outside.
type Stop = watch::Receiver<bool>;

impl LocalHost {
    pub(super) fn check_health(&mut self, daemon: Daemon, within: Duration) {
        self.end_health_check();
        let (setup, teller) = (self.setup.clone(), self.teller.clone());
        self.health = Some(Task::begin(move |stop| async move {
            if let Some(event) = check(&setup, daemon, within, stop).await {
                teller.tell(event);
            }
        }));
    }

    pub(super) fn end_health_check(&mut self) {
        self.chores.extend(self.health.take().map(Task::end));
    }
}

/// `None` where it was asked to end.
async fn check(setup: &Setup, daemon: Daemon, within: Duration, mut stop: Stop) -> Option<Event> {
    let since = Instant::now();
    let interval = setup.config.daemon.health_check_interval;
    let (mut tries, mut why) = (0_u32, String::new());
    loop {
        tries = tries.saturating_add(1);
        let left = within.saturating_sub(since.elapsed());
        // However short the startup period is, one look is taken.
        let patience = if tries == 1 { PATIENCE } else { PATIENCE.min(left) };
        let asked = Instant::now();
        let looked = look(setup, patience, &mut stop).await?;
        let Err(found) = looked else { return Some(Event::HealthPassed { daemon, tries }) };
        tracing::debug!("health check, try {tries}: {found}");
        // A look that the end of the time has cut short says less than the one before it.
        let cut_short = patience < PATIENCE && asked.elapsed() >= patience;
        if tries == 1 || !cut_short {
            why = found;
        }
        let left = within.saturating_sub(since.elapsed());
        unless(&mut stop, sleep(left.min(interval))).await?;
        if left > interval {
            continue;
        }
        let times = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
        let text = format!(
            "the new version did not pass its health check within its startup period: {why}; \
             {times}"
        );
        let failure = Failure { code: Code::Unhealthy, text };
        return Some(Event::HealthFailed { daemon, failure });
    }
}

/// What comes of `work`, unless the end comes first.
async fn unless<T>(stop: &mut Stop, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        // The sender is there as long as this task may be.
        _ = stop.wait_for(|stop| *stop) => None,
    }
}

/// One look: whatever is configured has to agree.
async fn look(setup: &Setup, patience: Duration, stop: &mut Stop) -> Option<Result<(), String>> {
    let daemon = &setup.config.daemon;
    if let Some(address) = &daemon.health_check_url {
        let shown = address.without_credentials();
        let asked = unless(stop, timeout(patience, ask(address.url()))).await?;
        let silent = |_| Err(format!("no answer from {shown} within {patience:.1?}"));
        if let Err(why) = asked.unwrap_or_else(silent) {
            return Some(Err(why));
        }
    }
    match &daemon.health_check_command {
        Some(command) => run(setup, command, patience, stop.clone()).await,
        None => Some(Ok(())),
    }
}

async fn ask(url: &Url) -> Result<(), String> {
    let failed = |error: http::Error| error.to_string();
    let client = http::client_that_stays(url, &Timeouts::default()).map_err(failed)?;
    let answer = client.get(url.clone()).send().await;
    let answer = answer.map_err(|error| failed(http::Error::from_reqwest(url, error)))?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("{} from {}", answer.status(), http::redact(url.as_str())))
    }
}

async fn run(
    setup: &Setup,
    line: &CommandLine,
    patience: Duration,
    stop: Stop,
) -> Option<Result<(), String>> {
    let command = hooks::command_of(setup, line, hooks::of_instance(setup));
    let ran = hooks::run(&command, None, patience, stop).await?;
    if ran.ending == HookEnding::Exited(0) {
        return Some(Ok(()));
    }
    let said = if ran.said.is_empty() { String::new() } else { format!(" ({})", ran.said) };
    Some(Err(format!("{} {}{said}", line.program.display(), ran.ending)))
}
