//! The rules that are shipped, their test cases, and the rules that the documents show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;

/// Public key of RFC 8032, section 7.1, test 1.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files of a folder of `config/rules`, sorted.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let folder = root().join("config/rules").join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    paths.sort();
    paths
}

fn tollbell(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
    command.args(args).current_dir(root()).env("TELNYX_PUBLIC_KEY", PUBLIC_KEY).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Says what `check` says of one file of rules, with `more` in the configuration.
fn check(dir: &Path, rules: &Path, more: &str, strict: bool) -> Output {
    let config = dir.join("config.yaml");
    let text = format!(
        "accounts: [{{name: default, public_keys: [\"{PUBLIC_KEY}\"]}}]\n\
         route: {{receiver: ops}}\n\
         receivers: [{{name: ops, webhook_configs: [{{url: 'http://127.0.0.1:9/'}}]}}]\nrule_files: ['{}']\n{more}",
        rules.display()
    );
    fs::write(&config, text).unwrap();
    let mut args = vec!["check", "--config", config.to_str().unwrap()];
    args.extend(strict.then_some("--strict"));
    tollbell(&args)
}

/// Each rule of a file: its name, and its text up to the next.
fn rules_of(text: &str) -> Vec<(String, &str)> {
    let rest = text.split("- alert: ").skip(1);
    rest.map(|rule| (rule.lines().next().unwrap().trim().to_owned(), rule)).collect()
}

#[test]
fn the_shipped_configuration_has_nothing_to_warn_of() {
    let output = tollbell(&["check", "--strict", "--config", "config/tollbell.yaml"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_rule_says_what_it_is_about_and_what_to_do() {
    let labels = Regex::new(r"labels: \{severity: (info|warning|critical), team: [a-z]+").unwrap();
    for file in yaml_files("").into_iter().chain(yaml_files("usual")) {
        let text = fs::read_to_string(&file).unwrap();
        for (name, rule) in rules_of(&text) {
            assert!(labels.is_match(rule), "{name} has no severity and team");
            // An alias stands for all of them, written with an earlier rule.
            if rule.contains("annotations: *") {
                continue;
            }
            let annotation = |name| rule.split(&format!("\n          {name}: ")).nth(1);
            assert!(annotation("summary").is_some(), "{name}: no summary");
            assert!(annotation("description").is_some(), "{name}: no description");
            let action = annotation("action").unwrap_or_else(|| panic!("{name}: no action"));
            let has_steps = action.contains("1. ") || action.starts_with('*');
            assert!(has_steps, "{name}: the steps of its action have no numbers");
        }
    }
}

#[test]
fn the_cases_of_the_pack_hold() {
    let files = yaml_files("tests");
    let mut args = vec!["test"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = tollbell(&args);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_rule_of_the_pack_fires_in_some_case() {
    let tell = Regex::new(r"alertname: (\w+)").unwrap();
    let mut told = BTreeSet::new();
    for file in yaml_files("tests") {
        let text = fs::read_to_string(&file).unwrap();
        // What is expected to be kept quiet is expected to fire, too.
        told.extend(tell.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let mut rules = BTreeSet::new();
    for file in yaml_files("").into_iter().chain(yaml_files("usual")) {
        let text = fs::read_to_string(&file).unwrap();
        rules.extend(rules_of(&text).into_iter().map(|(name, _)| name));
    }
    assert!(rules.len() > 30, "{rules:?}");
    assert_eq!(rules, told);
}

#[test]
fn the_rules_in_the_document_pass_the_strict_check() {
    let dir = tempfile::tempdir().unwrap();
    let (none, file) = (dir.path().join("none.yaml"), dir.path().join("rules.yaml"));
    let rule = "groups: [{name: g, rules: [{alert: A, on: [call.cost]}]}]";
    fs::write(&none, rule).unwrap();
    let document = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let blocks: Vec<&str> = document.split("```yaml").skip(1).collect();
    assert!(blocks.len() > 5);
    for block in blocks {
        let (info, rest) = block.split_once('\n').unwrap();
        let text = rest.split("```").next().unwrap();
        let output = if info == " metrics" {
            check(dir.path(), &none, text, true)
        } else {
            fs::write(&file, text).unwrap();
            check(dir.path(), &file, "", true)
        };
        assert!(output.status.success(), "{text}\n{}", said(&output));
    }
}

/// The commands of tollbell that annotations tell people to run: each with its options.
#[test]
fn what_the_rules_tell_people_to_run_can_be_run() {
    let command =
        Regex::new(r"tollbell ([a-z]+(?: (?:list|show|retry|test|add))?)((?: --[a-z-]+)*)")
            .unwrap();
    let help = said(&tollbell(&["--help"]));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: BTreeSet<&str> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut seen = BTreeSet::new();
    for path in yaml_files("").into_iter().chain(yaml_files("usual")) {
        for found in command.captures_iter(&fs::read_to_string(&path).unwrap()) {
            let mut args: Vec<&str> = found[1].split(' ').collect();
            if !commands.contains(args[0]) {
                continue;
            }
            args.push("--help");
            let output = tollbell(&args);
            let help = said(&output);
            assert!(output.status.success(), "{}: {}: {help}", path.display(), &found[0]);
            // A command of commands needs one of them, but for those that list by themselves.
            let is_whole = !help.contains(&format!("Usage: tollbell {} <COMMAND>", &found[1]));
            assert!(is_whole, "{}: {} is not whole", path.display(), &found[0]);
            for option in found[2].split_whitespace() {
                assert!(help.contains(option), "{}: {} has no {option}", path.display(), &found[1]);
            }
            seen.insert(found[0].to_owned());
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
}
