//! Homes to copy. Half of what is in them is random and half is text.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::process::MIB;

/// The files of a MiB in a home of large files; their changes are told by MiB.
pub(crate) const CHANGING: usize = 10;
/// The others.
const FILE_MIB: usize = 8;
const SMALL_FILE_BYTES: usize = 1000;
/// Of the small files, so many are changed.
pub(crate) const CHANGED_FILES: usize = 100;

/// What a home consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Home {
    /// Large files of so many MiB in all, [`CHANGING`] of them of one MiB.
    Large(usize),
    /// One file of so many MiB.
    One(usize),
    /// So many files of 1 kB, a thousand in a folder.
    Small(usize),
}

impl Home {
    /// Makes it, all of it on the medium.
    pub(crate) fn make(self, home: &Path) {
        match self {
            Self::Large(mib) => large(home, mib),
            Self::One(mib) => {
                fs::create_dir_all(home).unwrap();
                let mut file = File::create(home.join("one")).unwrap();
                (0..mib).for_each(|n| file.write_all(&content(n as u64, MIB)).unwrap());
            }
            Self::Small(count) => {
                for n in 0..count {
                    let path = small(home, n);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text(n as u64, SMALL_FILE_BYTES)).unwrap();
                }
            }
        }
        nix::unistd::sync();
    }

    /// Changes 10 MiB, or one page of the one file, or 100 small files.
    pub(crate) fn change(self, home: &Path, seed: u64) {
        match self {
            Self::Large(_) => {
                for n in 0..CHANGING {
                    fs::write(home.join(format!("changing-{n}")), noise(seed, MIB)).unwrap();
                }
            }
            Self::One(mib) => {
                let file = File::options().write(true).open(home.join("one")).unwrap();
                file.write_all_at(&noise(seed, 4096), (mib * MIB / 2) as u64).unwrap();
            }
            Self::Small(count) => {
                for n in 0..CHANGED_FILES {
                    let path = small(home, n * count / CHANGED_FILES);
                    fs::write(path, noise(seed + n as u64, SMALL_FILE_BYTES)).unwrap();
                }
            }
        }
    }
}

fn large(home: &Path, mib: usize) {
    fs::create_dir_all(home).unwrap();
    for n in 0..CHANGING {
        let path = home.join(format!("changing-{n}"));
        fs::write(path, content(n as u64, MIB)).unwrap();
    }
    let mut left = mib - CHANGING;
    for n in 0.. {
        let size = left.min(FILE_MIB);
        if size == 0 {
            break;
        }
        fs::write(home.join(format!("{n:05}")), content(n, size * MIB)).unwrap();
        left -= size;
    }
}

fn small(home: &Path, n: usize) -> PathBuf {
    home.join(format!("{}/{n}", n / 1000))
}

fn content(seed: u64, bytes: usize) -> Vec<u8> {
    if seed.is_multiple_of(2) { noise(seed, bytes) } else { text(seed, bytes) }
}

/// Bytes that no compressor makes smaller.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Words of an alphabet of 16 letters, from a list of 4096.
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 8);
    for word in noise(seed, bytes).chunks_exact(2) {
        let number = u16::from_le_bytes([word[0], word[1] & 15]);
        for shift in [0, 4, 8, 3, 7].iter().take(3 + usize::from(number % 3)) {
            out.push(b"etaoinshrdlucmfw"[usize::from(number >> shift & 15)]);
        }
        out.push(b' ');
        if out.len() >= bytes {
            break;
        }
    }
    out.truncate(bytes);
    out
}
