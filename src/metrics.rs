//! Metrics and health of a run, told over HTTP on this machine alone.
//!
//! What is counted follows from the records of the session as they are made; all of
//! it is in memory, so that who asks causes no work but the writing of a page. Nothing of it
//! exists where `nymvisor.metrics_listen` is not set: no task, no timer, no socket.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use tokio::task::{AbortHandle, spawn_local};

use crate::config::{Config, Listen, Windows};
use crate::health;
use crate::machine::{Record, State};

mod export;
mod figures;
mod page;
mod serve;
mod socket;
mod tally;

use figures::Figures;
pub use figures::Polled;
use socket::Door;

/// From one try to listen to the next.
const LISTEN_PAUSE: Duration = Duration::from_secs(5);

/// Whose metrics they are.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Id of the instance.
    pub id: String,
    /// Name of the daemon.
    pub daemon: String,
    /// How often upstream is asked.
    pub polling_rate: Duration,
    /// When an upgrade may stop the daemon, where that is not always.
    pub windows: Option<Windows>,
}

impl Origin {
    /// That of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            id: config.nymvisor.id.clone(),
            daemon: config.daemon.name.clone(),
            polling_rate: config.nymvisor.upstream_polling_rate,
            windows: config.nymvisor.maintenance_windows.clone(),
        }
    }
}

/// What is counted, shared with those who tell it. All on one thread.
#[derive(Debug, Clone)]
pub struct Metrics {
    origin: Rc<Origin>,
    figures: Rc<RefCell<Figures>>,
    /// The record whose state is not known yet.
    record: Rc<RefCell<Option<Record>>>,
}

impl Metrics {
    /// Nothing is counted yet, of a session that begins now.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        let figures = Figures::new(Instant::now());
        Self {
            origin: Rc::new(origin),
            figures: Rc::new(RefCell::new(figures)),
            record: Rc::default(),
        }
    }

    /// Listens, and answers from then on. Where it can't, that is said once, and tried again:
    /// the daemon does not depend on it. Within a `LocalSet`.
    #[must_use]
    pub fn serve(&self, listen: Listen) -> AbortHandle {
        let metrics = self.clone();
        spawn_local(async move {
            let mut has_failed = false;
            let (door, place) = loop {
                match Door::open(&listen).await {
                    Ok(opened) => break opened,
                    Err(error) if has_failed => tracing::debug!("still no metrics: {error}"),
                    Err(error) => {
                        has_failed = true;
                        tracing::warn!(
                            "no metrics are told, which is tried again every {} s: {error}",
                            LISTEN_PAUSE.as_secs()
                        );
                    }
                }
                tokio::time::sleep(LISTEN_PAUSE).await;
            };
            tracing::info!("metrics and health are told on {place}");
            serve::serve(door, metrics).await;
        })
        .abort_handle()
    }

    /// This record was made; the state that it leads to is [told next](Self::stands).
    pub fn recorded(&self, record: &Record) {
        self.record.replace(Some(record.clone()));
    }

    /// The engine stands so from now on.
    pub fn stands(&self, state: &State) {
        if let Some(record) = self.record.take() {
            self.figures.borrow_mut().take(&record, state, Instant::now());
        }
    }

    /// Upstream was asked.
    pub fn polled(&self, polled: Polled) {
        self.figures.borrow_mut().take_poll(polled, Utc::now());
    }

    /// The page of `/metrics`.
    fn text(&self) -> Result<String, fmt::Error> {
        self.figures.borrow_mut().pass(Instant::now());
        export::text((*self.origin).clone(), self.figures.borrow().clone(), Utc::now())
    }

    /// The page of `/healthz`, and whether all is well.
    fn health(&self) -> (bool, String) {
        let figures = self.figures.borrow();
        let points = figures.state.as_ref().map(health::points).unwrap_or_default();
        let verdict = match (figures.is_up(), points.is_empty()) {
            (false, _) => "down",
            (true, false) => "attention",
            (true, true) => "ok",
        };
        let attention = points.iter().map(|point| {
            json!({
                "need": point.need.name(),
                "text": point.text,
            })
        });
        let page = json!({
            "version": 1,
            "verdict": verdict,
            "instance": self.origin.id,
            "phase": figures.state.as_ref().map(|state| state.phase.name()),
            "daemon": figures.state.as_ref().map(|state| &state.installed),
            "attention": attention.collect::<Vec<_>>(),
        });
        (verdict == "ok", format!("{page}\n"))
    }
}
