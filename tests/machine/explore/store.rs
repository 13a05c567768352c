//! All engines that were met: each part of one is kept once, however many engines share it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

use crate::model::engine::Engine;
use crate::model::files::Files;
use crate::model::host::World;
use crate::model::oracle::Oracle;
use crate::model::parts::{Parts, Rest};

/// Which parts an engine is made of.
pub(super) type Key = [u32; 5];

/// The parts of all engines.
#[derive(Default)]
pub(super) struct Store {
    states: Table<nymvisor::machine::State>,
    files: Table<Files>,
    worlds: Table<World>,
    oracles: Table<Oracle>,
    rests: Table<Rest>,
}

impl Store {
    pub(super) fn put(&mut self, engine: Engine) -> Key {
        let (state, files, world, oracle, rest) = engine.into_parts();
        [
            self.states.put(state),
            self.files.put(files),
            self.worlds.put(world),
            self.oracles.put(oracle),
            self.rests.put(rest),
        ]
    }

    pub(super) fn parts(&self, [state, files, world, oracle, rest]: Key) -> Parts {
        Parts {
            state: self.states.get(state),
            files: self.files.get(files),
            world: self.worlds.get(world),
            oracle: self.oracles.get(oracle),
            rest: self.rests.get(rest),
        }
    }
}

/// Each value once, and its number.
struct Table<T> {
    known: DigestMap<u32>,
    all: Vec<Rc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { known: DigestMap::default(), all: Vec::new() }
    }
}

impl<T: Hash> Table<T> {
    fn put(&mut self, value: T) -> u32 {
        let next = u32::try_from(self.all.len()).unwrap();
        let at = *self.known.entry(digest(&value)).or_insert(next);
        if at == next {
            self.all.push(Rc::new(value));
        }
        at
    }

    fn get(&self, at: u32) -> Rc<T> {
        Rc::clone(&self.all[at as usize])
    }
}

/// 128 bits of SHA-256: among millions of values no two share them.
pub(super) fn digest(value: &impl Hash) -> u128 {
    use sha2::Digest;
    let mut bytes = Bytes(Vec::with_capacity(2048));
    value.hash(&mut bytes);
    let digest = sha2::Sha256::digest(&bytes.0);
    u128::from_be_bytes(digest[..16].try_into().unwrap())
}

/// Collects what is to be hashed.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes are digested")
    }
}

/// A map by what is random already.
pub(super) type DigestMap<V> = HashMap<u128, V, BuildHasherDefault<Low>>;

/// The low half of a digest.
#[derive(Default)]
pub(super) struct Low(u64);

impl Hasher for Low {
    fn write(&mut self, _: &[u8]) {
        unreachable!("digests are numbers")
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = u64::try_from(digest & u128::from(u64::MAX)).unwrap();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
