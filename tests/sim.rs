//! The real shell, journal and file code on a simulated machine and a strict medium.
//!
//! The machine is that of [`crate::model`], as far as processes, timers and locks go; all that is
//! on disk is on a [`disk::SimDisk`], which loses at a power cut what was never synced, a name as
//! well as bytes. After each session the [`witness`] reads the journal and holds it against what
//! was done, with the model's oracle.

mod chooser;
mod disk;
mod host;
pub(crate) mod install;
mod kept;
mod mended;
mod random;
mod stories;
mod story;
mod strict;
mod sweep;
mod witness;
