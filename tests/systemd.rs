//! `run` as a service of systemd, and the unit that makes it one.

mod journald;
mod notify;
mod standing;
mod unit;
mod within;
