//! The journal: what it keeps, what it notices, and what it never does.

mod book;
mod by_hand;
mod damage;
mod faults;
mod memory;
mod rotation;
mod round_trip;
mod text;
mod torn;
