//! `run` with real processes: the daemon is kept up, ended and counted as it should.

mod attempts;
mod crashes;
mod endings;
mod refusals;
mod signals;
mod surface;
mod survival;
