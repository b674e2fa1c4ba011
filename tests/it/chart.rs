//! The Helm chart: rendered by helm, promises checked by `scripts/chart.sh`, its config and rules by the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::tools::{python, tool};

#[test]
fn the_chart_renders_what_it_promises_and_the_binary_takes_its_config() {
    let mut command = Command::new("bash");
    command.arg("scripts/chart.sh").current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("HELM", tool("helm")).env("PYTHON", python());
    command.env("TOLLBELL", env!("CARGO_BIN_EXE_tollbell"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // It looked at each set of values and at all that must be refused.
    for values in ["done default", "done full", "done postgres"] {
        assert!(said.contains(values), "{said}");
    }
    let refused = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/helm/tollbell/ci/refused"));
    assert_eq!(said.matches("ok   refused: ").count(), refused.unwrap().count(), "{said}");
}

/// The examples of the documents that are sections of a configuration or rules, as values of the chart.
fn examples() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md"), root.join("helm/tollbell/README.md")];
    files.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    files.sort();
    let mut examples = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "md")) {
        let text = fs::read_to_string(file).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let values = match block.split([':', ' ']).find(|word| !word.is_empty()).unwrap() {
                "groups" => format!("rules:\n  pasted.yaml:\n{}", indented(block, 4)),
                "-" => {
                    let group = "groups:\n  - name: pasted\n    rules:\n";
                    format!("rules:\n  pasted.yaml:\n{}", indented(&format!("{group}{block}"), 4))
                }
                "server" | "accounts" | "store" | "heartbeats" | "templates" | "metrics"
                | "route" => format!("config:\n{}", indented(block, 2)),
                "#" if block.contains("\nconfig:\n") => block.to_owned(),
                // Parts of a receiver, or files of cases.
                _ => continue,
            };
            examples.push((format!("{}: {}", file.display(), block), values));
        }
    }
    assert!(examples.len() > 12, "{}", examples.len());
    examples
}

fn indented(text: &str, by: usize) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        writeln!(out, "{:by$}{line}", "").unwrap();
        out
    })
}

/// The text under a key of a rendered `ConfigMap`.
fn text_of<'t>(rendered: &'t str, key: &str) -> Vec<&'t str> {
    let start = format!("  {key}: |");
    let lines = rendered.lines().skip_while(|line| *line != start && *line != format!("{start}-"));
    lines
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| line.get(4..).unwrap_or(line))
        .collect()
}

#[test]
fn what_the_documents_show_can_be_pasted_into_values() {
    for (name, values) in examples() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("values.yaml");
        fs::write(&file, &values).unwrap();
        let mut command = Command::new(tool("helm"));
        command.args(["template", "bell", "helm/tollbell", "-s", "templates/configmap.yaml", "-f"]);
        let output = command.arg(&file).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{name}{}", String::from_utf8_lossy(&output.stderr));
        let rendered = String::from_utf8(output.stdout).unwrap();
        let rules = text_of(&rendered, "pasted.yaml").join("\n");
        assert_eq!(rules.is_empty(), !values.contains("pasted.yaml"), "{name}");
        if !rules.is_empty() {
            let path = dir.path().join("pasted.yaml");
            fs::write(&path, rules).unwrap();
            let hours =
                "time_intervals: [{name: office-hours, time_intervals: [{years: ['2027']}]}]";
            let main = format!(
                "accounts: [{{name: a, public_keys: [jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=]}}]\n\
                 route: {{receiver: ops}}\nreceivers: [{{name: ops}}]\nrule_files: [pasted.yaml]\n{hours}\n"
            );
            let loaded = tollbell::config::parse("t", &main, dir.path(), &|_| None);
            assert!(loaded.config.is_some(), "{name}{:?}", loaded.diagnostics);
        }
    }
}
