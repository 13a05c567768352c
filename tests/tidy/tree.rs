//! The project's files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder`, by their paths from the project's root; what is built is left out.
pub(super) fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "target" || name == ".git" || name.ends_with(".pending-snap") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The Rust files below `src` and `tests`, with their text.
pub(super) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let rust = files(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (path.clone(), fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// The text without comments: whole lines that are one, and what follows ` // `.
pub(super) fn code(text: &str) -> String {
    let kept = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    kept.map(|line| line.split(" // ").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// `mod name;` at the beginning of a line: within braces it stands for a file elsewhere.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// A file that no `mod` names is never compiled, and its tests never run.
#[test]
fn no_file_is_forgotten() {
    for (folder, crates) in
        [("tests", vec!["tests/lib.rs", "tests/bench/main.rs"]), ("src", vec!["src/lib.rs"])]
    {
        let mut reached: BTreeSet<PathBuf> = BTreeSet::new();
        let mut open: Vec<PathBuf> = crates.iter().map(PathBuf::from).collect();
        while let Some(path) = open.pop() {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            let is_root = path.file_stem().is_some_and(|stem| stem == "lib" || stem == "main");
            let folder =
                if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
            open.extend(modules(&text).map(|name| folder.join(format!("{name}.rs"))));
            reached.insert(path);
        }
        let roots = ["src/main.rs", "src/build.rs"];
        let forgotten: Vec<_> = sources(folder)
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| {
                !reached.contains(path) && !roots.iter().any(|root| path == Path::new(root))
            })
            .collect();
        assert!(forgotten.is_empty(), "no `mod` names {forgotten:?}");
    }
}

#[test]
fn the_top_level_holds_nothing_else() {
    const KNOWN: [&str; 7] = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "state-machine.md",
        "tests",
        "proptest-regressions",
        "README.md",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = name.starts_with('.') || name == "target" || KNOWN.contains(&name.as_str());
        assert!(known, "{name} does not belong at the top level");
    }
}
