//! Who may import whom. The table stands in the crate's documentation too.

use std::collections::BTreeSet;
use std::path::Path;

use super::tree::{code, root, sources};

/// Each module of the crate, and those that it may use.
const LAYERS: [(&str, &[&str]); 25] = [
    ("cli", &["*"]),
    ("session", &["config", "disk", "host", "journal", "machine", "release"]),
    ("shell", &["host", "journal", "machine", "narrate"]),
    (
        "host",
        &[
            "bars", "config", "digest", "disk", "journal", "machine", "metrics", "proc", "release",
            "requests", "units",
        ],
    ),
    ("metrics", &["config", "health", "machine", "proc", "spans"]),
    ("requests", &["disk", "machine"]),
    ("logs", &["bars", "disk", "retention"]),
    ("narrate", &["journal", "machine", "units"]),
    ("journal", &["digest", "disk", "machine", "retention"]),
    ("config", &["disk", "machine", "release", "retention"]),
    ("release", &["digest", "disk", "machine"]),
    ("health", &["machine"]),
    ("spans", &["machine"]),
    ("machine", &[]),
    ("bars", &[]),
    ("digest", &[]),
    ("disk", &[]),
    ("unit", &["exit"]),
    ("exit", &[]),
    ("proc", &[]),
    ("retention", &[]),
    ("units", &[]),
    ("main", &["*"]),
    ("lib", &[]),
    ("build", &[]),
];

/// Beside its siblings a module of `host` may use these: clients that several share.
const SHARED_IN_HOST: [&str; 2] = ["backup", "http"];

/// Everything that could differ between two machines, or do anything at all.
const IMPURE: [&str; 24] = [
    "tokio",
    "async",
    "await",
    "std::fs",
    "std::process",
    "std::env",
    "std::net",
    "std::thread",
    "std::time",
    "std::os",
    "std::io",
    "SystemTime",
    "Instant",
    "Utc::now",
    "Local::now",
    "rand",
    "tracing",
    "HashMap",
    "HashSet",
    "RefCell",
    "Mutex",
    "static",
    "f32",
    "f64",
];

/// The module that a file belongs to, from the crate's root.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").unwrap().with_extension("");
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// Every path of ours that the text names, from the crate's root.
fn uses(module: &[String], text: &str) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let text = code(text);
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            // Of `super::super::` and `other_crate::` the first word tells.
            if before == ':' || before.is_alphanumeric() || before == '_' {
                continue;
            }
            let mut rest = &text[at..];
            let mut base = if start == "crate::" { Vec::new() } else { module.to_vec() };
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            rest = rest.strip_prefix("crate::").unwrap_or(rest);
            for path in heads(rest) {
                found.insert([base.clone(), path].concat());
            }
        }
    }
    found
}

/// The first two names of a path, or of each path in braces: `a::b::C` or `{a::B, c}`.
fn heads(rest: &str) -> Vec<Vec<String>> {
    let Some(inner) = rest.strip_prefix('{') else {
        return vec![names(rest).into_iter().take(2).collect()];
    };
    let mut depth = 0;
    let end = inner.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let mut parts = vec![String::new()];
    depth = 0;
    for c in inner[..end.unwrap_or(inner.len())].chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    parts.iter().map(|part| names(part.trim()).into_iter().take(2).collect()).collect()
}

fn names(path: &str) -> Vec<String> {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let path = &path[..end.unwrap_or(path.len())];
    path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_module_uses_only_what_is_below_it() {
    for (path, text) in sources("src") {
        let module = module_of(&path);
        let allowed = LAYERS.iter().find(|(name, _)| *name == module[0]);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{} is in no layer", path.display()));
        for used in uses(&module, &text) {
            let Some(top) = used.first().filter(|top| is_module(top)) else { continue };
            let fine = *top == module[0] || allowed.contains(&top.as_str()) || allowed == &["*"];
            assert!(fine, "{} uses {top}", path.display());
        }
    }
}

fn is_module(name: &str) -> bool {
    LAYERS.iter().any(|(module, _)| *module == name)
}

/// What the host's modules have in common is at its top; only `local` knows them all.
#[test]
fn the_hosts_modules_do_not_know_one_another() {
    for (path, text) in sources("src") {
        let module = module_of(&path);
        if module[0] != "host" || module.len() < 2 || module[1] == "local" {
            continue;
        }
        for used in uses(&module, &text) {
            let [top, sibling, ..] = &used[..] else { continue };
            let is_sibling = root().join("src/host").join(format!("{sibling}.rs")).exists();
            let fine = *sibling == module[1] || SHARED_IN_HOST.contains(&sibling.as_str());
            assert!(top != "host" || !is_sibling || fine, "{} uses {sibling}", path.display());
        }
    }
}

#[test]
fn the_machine_is_pure() {
    let mut files = 0;
    for (path, text) in sources("src") {
        if module_of(&path)[0] != "machine" {
            continue;
        }
        files += 1;
        let text = code(&text);
        let words: BTreeSet<&str> =
            text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        for impure in IMPURE {
            let found =
                if impure.contains("::") { text.contains(impure) } else { words.contains(impure) };
            assert!(!found || is_static_str(impure, &text), "{} has {impure}", path.display());
        }
    }
    assert!(files > 10, "the machine's files are not where they are looked for");
}

/// `&'static str` is no state.
fn is_static_str(word: &str, text: &str) -> bool {
    word == "static" && text.matches("static").count() == text.matches("&'static str").count()
}

/// The table in the crate's documentation is the one that is enforced.
#[test]
fn the_documented_layers_are_these() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (module, allowed) in LAYERS {
        if ["main", "lib", "build"].contains(&module) {
            continue;
        }
        let allowed = match allowed {
            ["*"] => "everything below".to_owned(),
            [] => "nothing".to_owned(),
            allowed => allowed.join(", "),
        };
        let rows = rows(module, &allowed);
        assert!(text.contains(&rows), "src/lib.rs lacks:\n{rows}");
    }
}

/// A row of the table; what doesn't fit on its line is the next row, without the name.
fn rows(module: &str, allowed: &str) -> String {
    const COLUMNS: usize = 100;
    let mut rows = format!("//! | `{module}` | ");
    let mut used = rows.len();
    for (number, word) in allowed.split(", ").enumerate() {
        // With the comma before it and the bar behind it.
        if number > 0 && used + word.len() + 4 > COLUMNS {
            rows += " |\n//! | | ";
            used = "//! | | ".len();
        } else if number > 0 {
            rows += ", ";
            used += 2;
        }
        rows += word;
        used += word.len();
    }
    rows + " |\n"
}
