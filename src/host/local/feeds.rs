//! What is heard of from outside: upstream, the plan, requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{spawn_blocking, spawn_local};

use super::super::files::Files;
use super::super::http;
use super::super::upstream::{self, Poll, Poller};
use super::super::watch::{Names, Watch};
use super::rest::Unrest;
use super::{LocalHost, Setup, Teller};
use crate::machine::{Event, Requester, Upgrade};
use crate::metrics::{Metrics, Polled};
use crate::release::{PlanLock, UpgradeInfo};
use crate::requests::{self, Answer};

/// From one look for binaries that are put in place by hand to the next.
const LOOK_PAUSE: Duration = Duration::from_mins(1);

/// Before a feed that failed begins again.
const AGAIN_PAUSE: Duration = Duration::from_secs(10);

/// The last announcement, whole; the machine knows only what it decides by.
#[derive(Debug, Clone, Default)]
pub(super) struct Announced {
    last: Rc<RefCell<Option<UpgradeInfo>>>,
    /// It ought to be in the plan, and could not be written there.
    is_unqueued: Rc<Cell<bool>>,
}

impl Announced {
    /// Upstream says nothing twice: what could not be queued has to be told again by ourselves.
    fn tell_if_unqueued(&self, teller: &Teller) {
        let last = self.last.borrow();
        if let Some(info) = last.as_ref().filter(|_| self.is_unqueued.get()) {
            teller.tell(Event::AnnouncementReceived { upgrade: info.to_upgrade() });
        }
    }
}

impl LocalHost {
    /// Begins to poll and to watch. Once a session.
    pub(super) fn open_feeds(&mut self) {
        let (setup, teller) = (self.setup.clone(), self.teller.clone());
        let (announced, files) = (self.announced.clone(), self.files.clone());
        let poll = {
            let (setup, teller, announced) = (setup.clone(), teller.clone(), announced.clone());
            let (unrest, metrics) = (self.unrest.clone(), self.metrics.clone());
            move || {
                let (announced, unrest) = (announced.clone(), unrest.clone());
                poll(setup.clone(), teller.clone(), announced, unrest, metrics.clone())
            }
        };
        let plan = {
            let (setup, teller) = (setup.clone(), teller.clone());
            move || watch_plan(setup.clone(), files.clone(), teller.clone(), announced.clone())
        };
        let heed = move || heed_requests(setup.clone(), teller.clone());
        self.feeds.extend([
            spawn_local(supervised("polling upstream", poll)).abort_handle(),
            spawn_local(supervised("watching the plan", plan)).abort_handle(),
            spawn_local(supervised("heeding requests", heed)).abort_handle(),
        ]);
    }

    pub(super) fn queue_announcement(&mut self, upgrade: &Upgrade) {
        let info = self.announced.last.borrow().clone();
        let Some(info) = info.filter(|info| info.digest() == upgrade.digest) else {
            tracing::debug!("a later announcement has replaced {}", upgrade.name);
            return;
        };
        let (files, lock) = (self.files.clone(), self.setup.paths.plan_lock());
        let unqueued = self.announced.is_unqueued.clone();
        let done = spawn_blocking(move || {
            let _lock = PlanLock::acquire(&lock).map_err(|error| error.to_string())?;
            files.enqueue(&info).map_err(|error| error.to_string())
        });
        self.chores.push(spawn_local(async move {
            let done = done.await.map_err(|error| error.to_string()).flatten();
            let was_unqueued = unqueued.replace(done.is_err());
            match done {
                Ok(()) => {}
                Err(error) if was_unqueued => tracing::debug!("still not queued: {error}"),
                Err(error) => tracing::error!("the announcement can't be queued yet: {error}"),
            }
        }));
    }

    /// Once what it promises to keep is kept.
    pub(super) fn answer(&mut self, request: String, granted: bool, mut text: String) {
        let (folder, disk) = (self.setup.paths.requests(), self.setup.disk.clone());
        let keeping = self.wishes.clone();
        self.chores.retain(|chore| !chore.is_finished());
        self.chores.push(spawn_local(async move {
            if let Some(error) = keeping.settled().await {
                text = format!("{text}; only the journal tells so, for {error}");
            }
            let answered = spawn_blocking(move || {
                requests::answer(&*disk, &folder, &request, &Answer { granted, text })
                    .map_err(|error| format!("{}: {error}", folder.display()))
            });
            if let Err(error) = answered.await.map_err(|error| error.to_string()).flatten() {
                tracing::error!("a request could not be answered: {error}");
            }
        }));
    }
}

/// Runs a feed again where it ends early: one that is silent for good would go unnoticed.
async fn supervised<F: Future<Output = ()> + 'static>(what: &str, feed: impl Fn() -> F) {
    loop {
        match spawn_local(feed()).await {
            Ok(()) => return,
            Err(error) => tracing::error!("{what} failed, and begins again: {error}"),
        }
        tokio::time::sleep(AGAIN_PAUSE).await;
    }
}

/// Asks upstream at once and then every polling rate. Nothing that goes wrong disturbs anything;
/// it is logged when it begins and when it ends.
async fn poll(
    setup: Rc<Setup>,
    teller: Teller,
    announced: Announced,
    unrest: Unrest,
    metrics: Option<Metrics>,
) {
    let address = setup.config.polled_url();
    let shown = address.without_credentials();
    if http::is_plain_http_beyond_loopback(address.url()) {
        tracing::warn!("{shown} is polled over plain http: anybody on the way can change it");
    }
    let mut poller = match Poller::new(address.url().as_str(), setup.timeouts) {
        Ok(poller) => poller,
        Err(error) => return tracing::error!("upstream can't be polled: {error}"),
    };
    let mut failing = false;
    loop {
        let polled = match poller.poll().await {
            Ok(answer) => {
                if failing {
                    tracing::info!("{shown} answers again");
                }
                failing = false;
                if let Poll::Body { bytes, .. } = answer {
                    announce(&bytes, &shown, &teller, &announced)
                } else {
                    announced.tell_if_unqueued(&teller);
                    Polled::Unchanged
                }
            }
            Err(error) if failing => {
                tracing::debug!("upstream: {error}");
                Polled::Failed
            }
            Err(error) => {
                failing = true;
                tracing::warn!("upstream can't be asked now, and will be asked again: {error}");
                Polled::Failed
            }
        };
        if let Some(metrics) = &metrics {
            metrics.polled(polled);
        }
        unrest.stir();
        let rate = setup.config.nymvisor.upstream_polling_rate;
        tokio::time::sleep(upstream::next_pause(rate, upstream::random())).await;
    }
}

/// A body is handed out only when it is another one, so a bad announcement is logged once.
fn announce(bytes: &[u8], url: &str, teller: &Teller, announced: &Announced) -> Polled {
    match UpgradeInfo::parse(bytes) {
        Ok(mut info) => {
            info.requester = Some(Requester::Upstream { url: url.to_owned() });
            let upgrade = info.to_upgrade();
            announced.last.replace(Some(info));
            announced.is_unqueued.set(false);
            teller.tell(Event::AnnouncementReceived { upgrade });
            Polled::Changed
        }
        Err(error) => {
            tracing::warn!("{url} announces something that can't be used, it is ignored: {error}");
            Polled::Unusable
        }
    }
}

/// Reads the plan at once and whenever it changes. One that can't be read changes nothing.
async fn watch_plan(setup: Rc<Setup>, files: Files, teller: Teller, announced: Announced) {
    let name = setup.paths.plan().file_name().unwrap_or_default().to_owned();
    let mut watch = Watch::new(setup.paths.data(), Names::One(name));
    let mut failing = false;
    loop {
        let reader = files.clone();
        match spawn_blocking(move || reader.durable_queue()).await {
            Ok(Ok(queue)) => {
                teller.tell(Event::QueueRead { queue });
                if failing {
                    tracing::info!("the plan can be read again");
                    announced.tell_if_unqueued(&teller);
                }
                failing = false;
            }
            Ok(Err(error)) => {
                failing = true;
                teller.tell(Event::PlanLost { failure: error.into() });
            }
            Err(error) => tracing::error!("reading the plan ended early: {error}"),
        }
        if setup.config.daemon.allow_binaries_download {
            watch.changed().await;
        } else {
            // A binary may be put in its place by hand, which the plan's folder doesn't show.
            let _ = tokio::time::timeout(LOOK_PAUSE, watch.changed()).await;
        }
    }
}

/// Takes up requests of commands at once and whenever one comes.
async fn heed_requests(setup: Rc<Setup>, teller: Teller) {
    let folder = setup.paths.requests();
    if let Err(error) = crate::disk::create_dirs(&*setup.disk, &folder, 0o700) {
        tracing::warn!("requests can't be taken up: {}: {error}", folder.display());
        return;
    }
    let mut watch = Watch::new(&folder, Names::All);
    let mut taken = std::collections::BTreeSet::new();
    loop {
        let waiting = requests::waiting(&*setup.disk, &folder).unwrap_or_default();
        taken.retain(|id| waiting.iter().any(|(waits, _)| waits == id));
        for (id, request) in waiting {
            if !taken.insert(id.clone()) {
                continue;
            }
            match request {
                Ok(request) => {
                    teller.tell(request.into_event(id, true));
                }
                Err(error) => tracing::warn!("request {id} can't be read: {error}"),
            }
        }
        watch.changed().await;
    }
}
