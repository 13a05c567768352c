//! Words that are not to stand in the tree.

use super::tree::{code, files, root, sources};

/// Written so that this file does not hold them itself.
fn forbidden(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_to_do() {
    let words = [
        forbidden(&["#[", "ignore"]),
        forbidden(&["todo", "!("]),
        forbidden(&["unimplemented", "!("]),
        forbidden(&["FIX", "ME"]),
        forbidden(&["TO", "DO:"]),
    ];
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for word in &words {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// A glob hides who uses whom. The prelude of a foreign crate is meant to be used so.
#[test]
fn our_own_modules_are_not_imported_by_glob() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        for line in code(&text).lines().map(str::trim) {
            let own = ["use super::", "use self::", "use crate::", "use nymvisor::"];
            let globs = line.ends_with("::*;") || line.contains("::*,") || line.contains("::*}");
            let ours = own.iter().any(|own| line.contains(own));
            assert!(!(ours && globs), "{}: {line}", path.display());
        }
    }
}

#[test]
fn no_path_or_host_of_a_machine_that_built_it() {
    let words = [
        forbidden(&["/wo", "rk/"]),
        forbidden(&["/ro", "ot/"]),
        forbidden(&[".cargo", "/registry"]),
        forbidden(&["index.crates", ".io"]),
        forbidden(&["static.crates", ".io"]),
        forbidden(&["sparse", "+http"]),
    ];
    for path in files(".") {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for word in &words {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// An exception from a lint says why.
#[test]
fn every_exception_has_its_reason() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let text = code(&text);
        for kind in ["allow(", "expect("] {
            for start in ["#[", "#!["] {
                for part in text.split(&format!("{start}{kind}")).skip(1) {
                    let attribute = part.split(")]").next().unwrap();
                    assert!(attribute.contains("reason = \""), "{}: {attribute}", path.display());
                }
            }
        }
    }
}

/// What is allowed in the tests' crate is allowed nowhere else.
#[test]
fn only_the_tests_allow_something_for_a_whole_crate() {
    for (path, text) in sources("src") {
        assert!(!text.contains(&forbidden(&["#![", "allow("])), "{}", path.display());
    }
}
