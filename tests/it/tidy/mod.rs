//! What a reviewer would have to look for again and again: who knows whom, sizes, and texts that must agree with code.

mod arrows;
mod book;
mod limits;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrows::{Crate, circles};
use regex::Regex;
use serde_json::Value;
use tables::{CIRCLES, FLOORS, KNOWS, ONLY_IN};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository that is not made by tools, by its path from the root.
fn files(below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let made = [".git", ".tools", "target", "data"].contains(&name.as_str());
            if path.is_dir() && !made {
                folders.push(path);
            } else if path.is_file() && !made {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn is_rust(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == "rs")
}

fn sources() -> Vec<String> {
    let found: Vec<String> = files("src").into_iter().filter(|file| is_rust(file)).collect();
    assert!(found.len() > 60, "{found:?}");
    found
}

/// Whether a file under `src/` holds tests and nothing else.
fn is_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// A file before its tests, which stand at its foot.
fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}

/// A source file as far as it is compiled for users: without its tests and without comments.
fn code(file: &str) -> String {
    let text = read(file);
    let without_comment = |line: &str| {
        let comment = line.match_indices("//").find(|(at, _)| {
            line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(' '))
        });
        line.get(..comment.map_or(line.len(), |(at, _)| at)).unwrap().to_owned() + "\n"
    };
    before_tests(&text).lines().map(without_comment).collect()
}

/// The module of the crate that a source file belongs to.
fn module(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

#[test]
fn every_module_knows_whom_it_may_know_and_nobody_else() {
    let named = Regex::new(r"\bcrate::(?:\{([^}]*)\}|(\w+))").unwrap();
    let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources().iter().filter(|file| !is_tests(file)) {
        let module = module(file);
        let known = knows.entry(module.to_owned()).or_default();
        for names in named.captures_iter(&code(file)) {
            let names = names.get(1).or(names.get(2)).unwrap().as_str();
            let names = names.split(',').map(|name| name.trim().split("::").next().unwrap());
            known.extend(
                names.filter(|name| !name.is_empty() && *name != module).map(str::to_owned),
            );
        }
    }
    assert!(knows.remove("lib").is_some_and(|known| known.is_empty()));
    assert!(knows.remove("main").is_some_and(|known| known.is_empty()));
    let allowed: BTreeMap<String, BTreeSet<String>> = KNOWS
        .iter()
        .map(|(module, known)| {
            ((*module).to_owned(), known.iter().map(|it| (*it).to_owned()).collect())
        })
        .collect();
    for (module, known) in &knows {
        assert_eq!(
            Some(known),
            allowed.get(module),
            "{module}: what it names, and what KNOWS says"
        );
    }
    assert_eq!(knows.len(), allowed.len(), "a module of KNOWS is gone");
}

/// The files as the modules they are, with whom each uses.
fn arrows() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files = sources().into_iter().filter(|file| !is_tests(file) && file != "src/main.rs");
    let files = files.map(|file| (file.strip_prefix("src/").unwrap().to_owned(), code(&file)));
    Crate::new(files).arrows()
}

#[test]
fn no_module_knows_one_of_a_higher_floor() {
    let floor = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut upward = Vec::new();
    for (from, known) in arrows().iter().filter(|(from, _)| !from.is_empty()) {
        let here = floor(&from[0]).unwrap_or_else(|| panic!("{} has no floor", from[0]));
        let other = |to: &&Vec<String>| to.first().is_some_and(|to| *to != from[0]);
        let up = known.iter().filter(other).filter(|to| floor(&to[0]).is_none_or(|to| to >= here));
        upward.extend(up.map(|to| format!("{} -> {}", from.join("::"), to.join("::"))));
    }
    assert_eq!(upward, Vec::<String>::new());
}

#[test]
fn no_files_know_each_other_in_a_circle_but_those_that_are_listed() {
    let found = circles(&arrows());
    let found: BTreeSet<(String, usize)> =
        found.iter().map(|circle| (circle.first().unwrap().join("::"), circle.len())).collect();
    let listed = CIRCLES.iter().map(|(first, count)| ((*first).to_owned(), *count)).collect();
    assert_eq!(found, listed, "what there is, and what CIRCLES has: it may only shrink");
}

#[test]
fn what_only_some_may_use_is_used_by_nobody_else() {
    let sources = sources().into_iter().filter(|file| !is_tests(file));
    let sources: Vec<(String, String)> = sources.map(|file| (code(&file), file)).collect();
    for (pattern, places) in ONLY_IN {
        let pattern = Regex::new(pattern).unwrap();
        let mut used = 0;
        for (code, file) in &sources {
            let Some(found) = pattern.find(code) else { continue };
            used += 1;
            let inside = file.strip_prefix("src/").unwrap();
            let may = places
                .iter()
                .any(|place| inside == *place || inside.starts_with(&format!("{place}/")));
            assert!(may, "{file} says {:?}; only {places:?} may", found.as_str());
        }
        assert!(used > 0, "nobody says {pattern}: the rule is out of date");
    }
}

#[test]
fn lib_lists_every_module_in_code_and_in_words() {
    let lib = read("src/lib.rs");
    let modules: BTreeSet<String> = sources().iter().map(|file| module(file).to_owned()).collect();
    for module in modules.iter().filter(|module| !["lib", "main"].contains(&module.as_str())) {
        assert!(lib.contains(&format!("\npub mod {module};\n")), "lib.rs does not have {module}");
        assert!(lib.contains(&format!("[`{module}`]")), "lib.rs does not describe {module}");
    }
    // A test file that main.rs does not name would never run.
    let main = read("tests/it/main.rs");
    for file in files("tests/it").iter().filter(|file| is_rust(file)) {
        let inside = file.strip_prefix("tests/it/").unwrap();
        let module = inside.split('/').next().unwrap().trim_end_matches(".rs");
        assert!(
            module == "main" || main.contains(&format!("\nmod {module};\n")),
            "{file} is never run"
        );
    }
}

#[test]
fn nothing_is_left_to_do_or_skipped() {
    // In two parts, so that this file does not find itself.
    let words = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("#[ig", "nore"),
        ("todo", "!("),
        ("unimpl", "emented!("),
    ];
    for file in files("") {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (one, two) in words {
            let word = format!("{one}{two}");
            // Cargo.lock and made-up samples may hold any letters.
            let found = file != "Cargo.lock" && text.contains(&word);
            assert!(!found, "{file} holds {word}");
        }
    }
}

#[test]
fn files_stay_readable() {
    // Longer than 400 lines for a reason; none at present.
    const LONG: &[&str] = &[];
    const LINES_MAX: usize = 400;
    for file in files("src").into_iter().chain(files("tests")).filter(|file| is_rust(file)) {
        // Tests beside the code are tables and may be long.
        if is_tests(&file) || LONG.contains(&file.as_str()) {
            continue;
        }
        let text = read(&file);
        let lines = before_tests(&text).lines().count();
        assert!(lines <= LINES_MAX, "{file} has {lines} lines before its tests");
    }
}

#[test]
fn each_kept_seed_belongs_to_a_file_that_is_there() {
    // A seed whose file has moved is never tried again.
    let seeds = files("proptest-regressions");
    assert!(!seeds.is_empty());
    for seed in seeds {
        let source = seed.replacen("proptest-regressions", "src", 1).replace(".txt", ".rs");
        assert!(root().join(&source).exists(), "{seed}: {source} is not there");
    }
}

#[test]
fn the_reference_lists_every_series_with_its_help() {
    let metrics = read("src/metrics/mod.rs");
    let declared =
        Regex::new(r#"(?m)^    /// (.+)\n    \w+: \w+ = "(\w+)"(?: \[([^\]]*)\])?.*;$"#).unwrap();
    let label = Regex::new(r#""(\w+)""#).unwrap();
    let rows: Vec<String> = declared
        .captures_iter(&metrics)
        .map(|series| {
            let labels = series.get(3).map_or("", |labels| labels.as_str());
            let labels: Vec<&str> =
                label.captures_iter(labels).map(|it| it.get(1).unwrap().as_str()).collect();
            let by = if labels.is_empty() {
                String::new()
            } else {
                format!(" by `{}`", labels.join("`, `"))
            };
            format!("| `{}`{by} | {} |", &series[2], &series[1])
        })
        .collect();
    let fields = Regex::new(r#"(?m)^    \w+: (Int|Gauge|Histogram|Total)\w* = ""#).unwrap();
    assert_eq!(rows.len(), fields.find_iter(&metrics).count(), "a declaration looks different");
    let reference = read("docs/reference/metrics.md");
    let table = reference
        .split("| series | meaning |\n| --- | --- |\n")
        .nth(1)
        .expect("the table of metrics");
    let table: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table, rows);
}

#[test]
fn the_shipped_configuration_and_the_schema_have_the_same_words() {
    let printed = Command::new(env!("CARGO_BIN_EXE_tollbell")).arg("schema").output().unwrap();
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let mut config_words = words_of(&schema);
    let mut rule_words = BTreeSet::new();
    for (name, shape) in schema["$defs"].as_object().unwrap() {
        let words = words_of(shape);
        let of_rules = ["rules", "group", "rule", "resolve_on"].contains(&name.as_str());
        if of_rules { rule_words.extend(words) } else { config_words.extend(words) }
    }
    // Keys at the start of a line, with or without the mark of a comment.
    let key = Regex::new(r"(?m)^\s*(?:# )?\s*(?:- )?([a-z_]+):(?:\s|$)").unwrap();
    let sample = read("config/tollbell.yaml");
    let sample = sample.split_once("\nserver:\n").expect("a heading, then the server").1.to_owned();
    for found in key.captures_iter(&sample) {
        assert!(config_words.contains(&found[1]), "config/tollbell.yaml: {} is unknown", &found[1]);
    }
    let is_rules = |file: &&String| {
        Path::new(file).extension().is_some_and(|it| it == "yaml") && !file.contains("/tests/")
    };
    let rules: String =
        files("config/rules").iter().filter(is_rules).map(|file| read(file)).collect();
    for found in key.captures_iter(&rules) {
        let free = ["summary", "description", "action", "runbook"].contains(&&found[1]);
        assert!(free || rule_words.contains(&found[1]), "config/rules: {} is unknown", &found[1]);
    }
    let shows = |text: &str, word: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|shown| shown == word)
    };
    let (sample, rules) = (format!("server: {sample}"), rules + &read("docs/rules.md"));
    for word in &config_words {
        assert!(shows(&sample, word), "config/tollbell.yaml does not show {word}");
    }
    for word in &rule_words {
        assert!(shows(&rules, word), "neither config/rules nor docs/rules.md shows {word}");
    }
}

fn words_of(shape: &Value) -> BTreeSet<String> {
    shape["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_changelog_has_room_for_what_comes() {
    let changelog = read("CHANGELOG.md");
    let unreleased = changelog.split("\n## [Unreleased]\n").nth(1).expect("a section Unreleased");
    assert!(unreleased.contains("### Added\n\n- "), "nothing is listed as new");
}

#[test]
fn nothing_names_a_developers_machine() {
    let places =
        [("/ho", "me/"), ("/Us", "ers/"), ("/ro", "ot/"), ("/wo", "rk/"), ("C:", "\\Users")];
    for file in files("") {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (one, two) in places {
            let place = format!("{one}{two}");
            assert!(!text.contains(&place), "{file} names {place}");
        }
    }
}

#[test]
fn the_architecture_names_what_is_there() {
    let text = read("ARCHITECTURE.md");
    let path = Regex::new(r"`((?:src|tests|config|helm|deploy|scripts)/[\w./-]*)`").unwrap();
    for found in path.captures_iter(&text) {
        assert!(root().join(&found[1]).exists(), "{} is not there", &found[1]);
    }
    let map = text.split("## Code map").nth(1).and_then(|it| it.split("\n## ").next()).unwrap();
    let modules: BTreeSet<String> = sources().iter().map(|file| module(file).to_owned()).collect();
    for module in modules.iter().filter(|module| *module != "lib") {
        let named =
            Regex::new(&format!(r"`src/(\{{[^}}]*\b{module}\b[^}}]*\}}\.rs|{module}(\.rs|/))`"))
                .unwrap();
        assert!(named.is_match(map), "the code map does not have {module}");
    }
    // An entry point that is named is there.
    for row in map.lines().filter(|line| line.starts_with("| `src/")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let place = cells[1].trim_matches('`').trim_end_matches('/');
        for name in cells[3].split(", ").filter(|name| !name.is_empty()) {
            let name = name.trim_matches('`').rsplit("::").next().unwrap();
            let item = Regex::new(&format!(r"\b(fn|struct|enum|mod|trait|type) {name}\b")).unwrap();
            let below: Vec<String> =
                sources().into_iter().filter(|file| file.starts_with(place)).collect();
            assert!(below.iter().any(|file| item.is_match(&read(file))), "{place} has no {name}");
        }
    }
}
