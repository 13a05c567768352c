//! An installation with a journal that the test has written, through the journal's own code.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use nymvisor::disk::RealDisk;
use nymvisor::journal::{self, Opened, Owner};
use nymvisor::machine::{Event, Record, State, Upgrade, step};
use nymvisor::release::UpgradeInfo;
use serde_json::json;

use super::ms;
use crate::model::tale::Tale;
use crate::model::values::{at, genesis, policy, upgrade};
use crate::support::site::Site;

/// The installation, and what was written.
pub(super) struct Told {
    pub(super) site: Site,
    pub(super) records: Vec<Record>,
    opened: Opened,
    now: DateTime<Utc>,
}

impl Told {
    /// The story of one upgrade, `u1` to 1.1.0, from the first start on.
    pub(super) fn upgraded() -> Self {
        let mut tale = Tale::new(policy());
        tale.start().work(2).queue(&upgrade("u1", "1.1.0", 10)).work(4).due();
        tale.until(nymvisor::machine::PhaseName::Restarting).work(1);
        tale.event(Event::StartupPassed);
        Self::of(&tale)
    }

    /// What a tale tells.
    pub(super) fn of(tale: &Tale) -> Self {
        Self::with(tale, |event| event)
    }

    /// The same with each event as `change` has it.
    pub(super) fn with(tale: &Tale, change: impl Fn(Event) -> Event) -> Self {
        let mut told = Self::new();
        for record in &tale.engine.records {
            told.append(&change(record.event.clone()));
        }
        told
    }

    fn new() -> Self {
        let site = Site::new().initialised();
        let folder = folder(&site);
        let initial = State::initial(genesis(), policy());
        let opened =
            journal::open(Arc::new(RealDisk), &folder, owner(), "s1".to_owned(), initial, at(0));
        Self { site, records: Vec::new(), opened: opened.unwrap(), now: at(0) }
    }

    /// One more record, after as long as such a thing takes.
    pub(super) fn append(&mut self, event: &Event) {
        self.now += lasted(event);
        let transition = step(&self.opened.state, event).unwrap();
        let state = &self.opened.state;
        let committed = self.opened.journal.append(state, event, &transition, self.now).unwrap();
        self.records.push(committed.record().clone());
        self.opened.state = committed.into_parts().0;
    }

    /// A crash cuts the last line short, and the next session begins a new file.
    pub(super) fn tear(&mut self, session: &str) {
        use std::io::Write;
        let folder = folder(&self.site);
        let file = *journal::segments(&RealDisk, &folder).unwrap().last().unwrap();
        let path = folder.join(format!("{file:08}.jsonl"));
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"seq\":").unwrap();
        let state = self.opened.state.clone();
        let opened = journal::open(
            Arc::new(RealDisk),
            &folder,
            owner(),
            session.to_owned(),
            state,
            self.now,
        );
        self.opened = opened.unwrap();
    }

    /// The journal's folder.
    pub(super) fn folder(&self) -> PathBuf {
        folder(&self.site)
    }

    /// The hash of the last line.
    pub(super) fn head(&self) -> String {
        self.opened.journal.head().to_string()
    }

    /// The number of the record of this event; of the first, where there are several.
    pub(super) fn seq(&self, event: &str) -> u64 {
        self.records.iter().find(|record| record.event.name() == event).unwrap().seq
    }
}

fn owner() -> Owner {
    Owner { instance: "nym-node-default".to_owned(), daemon: "nym-node".to_owned() }
}

fn folder(site: &Site) -> PathBuf {
    site.path(".nym/nymvisors/instances/nym-node-default/data/journal")
}

/// How long before its record it began to happen.
fn lasted(event: &Event) -> TimeDelta {
    match event.name() {
        "binary-fetched" => ms(42_000),
        "home-copied" => ms(3_500),
        "came-due" => ms(550_000),
        "copy-refreshed" => ms(120),
        "daemon-ended" => ms(40),
        "backup-sealed" => ms(12),
        "swap-committed" => ms(6),
        "daemon-spawned" => ms(2),
        "startup-passed" => ms(120_000),
        "delay-elapsed" => ms(10_000),
        "session-started" => ms(60_000),
        _ => TimeDelta::microseconds(300),
    }
}

/// An announcement of `u1` with these notes, as it lies beside the binary, and as it is queued.
pub(super) fn announced(site: &Site, notes: &str) -> Upgrade {
    let info = json!({
        "manual": false, "name": "u1", "notes": notes, "publishDate": null, "version": "1.1.0",
        "platforms": {}, "upgradeTime": "2026-01-01T00:10:00Z",
    });
    let folder = site.data("upgrades/u1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("upgrade-info.json"), info.to_string()).unwrap();
    let info = UpgradeInfo::parse(info.to_string().as_bytes()).unwrap();
    Upgrade { digest: info.digest(), ..upgrade("u1", "1.1.0", 10) }
}
