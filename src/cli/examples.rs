//! What the help of each command ends with. A test sees to it that all of it can be typed.

pub(super) const OVERVIEW: &str = "\
Examples:
  nymvisor init --daemon-home ~/.nym/nym-nodes/my-node ./nym-node
  nymvisor systemd-unit run --id my-node
  nymvisor add-upgrade ./nym-node --upgrade-name v1.2.0 --now
  nymvisor journal show -n 20";

pub(super) const INIT: &str = "\
Examples:
  nymvisor init --daemon-home ~/.nym/nym-nodes/my-node ./nym-node
  nymvisor init --id second --daemon-home /srv/second ./nym-node";

pub(super) const RUN: &str = "\
Examples:
  nymvisor run run --id my-node        # the daemon gets: run --id my-node
  nymvisor -c node.env run run         # with variables from a file
  nymvisor run -- --help               # the daemon's own help";

pub(super) const ADD_UPGRADE: &str = "\
Examples:
  nymvisor add-upgrade ./nym-node --upgrade-name v1.2.0    # in 15 minutes
  nymvisor add-upgrade ./nym-node --upgrade-name v1.2.0 --now
  nymvisor add-upgrade ./nym-node --upgrade-name v1.2.0 --add-binary";

pub(super) const CHECK: &str = "\
Examples:
  nymvisor check                       # the next one that is queued
  nymvisor check v1.2.0 --fetch        # with its whole binary
  nymvisor check --url https://example.org/upgrade-info.json";

pub(super) const STATUS: &str = "\
Examples:
  nymvisor status
  nymvisor status --watch              # until Ctrl-C
  nymvisor status --output json";

pub(super) const RETRY: &str = "\
Examples:
  nymvisor retry v1.2.0";

pub(super) const UPGRADES: &str = "\
Examples:
  nymvisor upgrades list
  nymvisor upgrades hold --until 12h
  nymvisor upgrades reschedule v1.2.0 --at 2026-01-31T04:00:00Z
  nymvisor upgrades reschedule v1.2.0 --now --ignore-windows
  nymvisor upgrades cancel v1.2.0";

pub(super) const HOLD: &str = "\
Examples:
  nymvisor upgrades hold               # until `nymvisor upgrades release`
  nymvisor upgrades hold --until 12h
  nymvisor upgrades hold --until 2099-01-31T04:00:00Z";

pub(super) const RESCHEDULE: &str = "\
Examples:
  nymvisor upgrades reschedule v1.2.0 --at 2026-01-31T04:00:00Z
  nymvisor upgrades reschedule v1.2.0 --delay 2h
  nymvisor upgrades reschedule v1.2.0 --now --ignore-windows";

pub(super) const ROLLBACK: &str = "\
Examples:
  nymvisor rollback                    # version and data
  nymvisor rollback --keep-data        # the version alone";

pub(super) const BACKUPS: &str = "\
Examples:
  nymvisor backups list
  nymvisor backups verify v1.2.0
  nymvisor backups restore v1.2.0 --to /tmp/before-v1.2.0
  nymvisor backups prune --dry-run";

pub(super) const RESTORE: &str = "\
Examples:
  nymvisor backups restore v1.2.0      # the home; run must be down
  nymvisor backups restore v1.2.0 --to /tmp/before-v1.2.0";

pub(super) const PRUNE: &str = "\
Examples:
  nymvisor prune --dry-run
  nymvisor prune --output json | jq .freed_bytes";

pub(super) const JOURNAL: &str = "\
Examples:
  nymvisor journal show -n 20
  nymvisor journal show --output json | jq -r .to
  nymvisor journal verify --backups";

pub(super) const SHOW: &str = "\
Examples:
  nymvisor journal show -n 20
  nymvisor journal show --failures --since 7d
  nymvisor journal show --upgrade v1.2.0 --phase draining
  nymvisor journal show --follow";

pub(super) const TIMELINE: &str = "\
Examples:
  nymvisor journal timeline            # the last upgrade
  nymvisor journal timeline --upgrade v1.2.0";

pub(super) const EXPORT: &str = "\
Examples:
  nymvisor journal export --output csv --since 90d > journal.csv
  nymvisor journal export | jq .head.hash";

pub(super) const REPORT: &str = "\
Examples:
  nymvisor journal report --html upgrades.html
  nymvisor journal report --upgrade v1.2.0 --html v1.2.0.html";

pub(super) const VERIFY: &str = "\
Examples:
  nymvisor journal verify --backups
  nymvisor journal verify --output json | jq .faults";

pub(super) const METRICS: &str = "\
Examples:
  nymvisor metrics show
  nymvisor metrics alerts | sudo tee /etc/prometheus/nymvisor.rules.yml
  nymvisor metrics dashboard > nymvisor.json       # import it in Grafana";

pub(super) const SYSTEMD_UNIT: &str = "\
Examples:
  nymvisor systemd-unit run --id my-node
  nymvisor systemd-unit run | sudo tee /etc/systemd/system/nym-node.service";

pub(super) const COMPLETIONS: &str = "\
Examples:
  nymvisor completions bash | sudo tee /etc/bash_completion.d/nymvisor
  nymvisor completions zsh > ~/.zfunc/_nymvisor";

pub(super) const MAN: &str = "\
Examples:
  nymvisor man | man -l -
  nymvisor man --dir ~/.local/share/man/man1";

pub(super) const DEMO: &str = "\
Examples:
  nymvisor demo
  nymvisor demo --fail verifying
  nymvisor demo --keep                 # leaves something to look around in";
