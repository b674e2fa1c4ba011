//! The Helm chart: rendered by helm, promises checked by `scripts/chart.sh`, its config and rules by the binary.

use std::process::Command;

use crate::support::tools::tool;

#[test]
fn the_chart_renders_what_it_promises_and_the_binary_takes_its_config() {
    let mut command = Command::new("bash");
    command.arg("scripts/chart.sh").current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("HELM", tool("helm")).env("TOLLBELL", env!("CARGO_BIN_EXE_tollbell"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // It looked at both sets of values and at all that must be refused.
    for values in ["done default", "done full"] {
        assert!(said.contains(values), "{said}");
    }
    let refused =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/helm/tollbell/ci/refused"));
    assert_eq!(said.matches("ok   refused: ").count(), refused.unwrap().count(), "{said}");
}
