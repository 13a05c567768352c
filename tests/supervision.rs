//! `run` with real processes: the daemon is kept up, ended and counted as it should.

mod smoke;
