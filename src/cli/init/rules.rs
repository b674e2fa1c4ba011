//! The shipped rules and their tests, with the thresholds that were asked for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rust_decimal::Decimal;

use super::answers::Answers;

macro_rules! shipped {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../config/rules/", $name)))),*]
    };
}

/// Every file of the starter pack, below its folder.
pub(super) const SHIPPED: &[(&str, &str)] = shipped! {
    "10dlc.yaml"
    "account.yaml"
    "balance.yaml"
    "fax.yaml"
    "fraud.yaml"
    "health.yaml"
    "intake.yaml"
    "messaging.yaml"
    "numbers.yaml"
    "reload.yaml"
    "spend.yaml"
    "tests/10dlc.test.yaml"
    "tests/account.test.yaml"
    "tests/balance.test.yaml"
    "tests/config.test.yaml"
    "tests/fax.test.yaml"
    "tests/fraud.test.yaml"
    "tests/health.test.yaml"
    "tests/intake.test.yaml"
    "tests/messaging.test.yaml"
    "tests/numbers.test.yaml"
    "tests/reload.test.yaml"
    "tests/spend.test.yaml"
    "tests/usual.test.yaml"
    "usual/rules.yaml"
};

/// Cases about thresholds that were given.
pub(super) const OWN_TESTS: &str = "tests/own.test.yaml";

/// At which percent of a budget somebody is notified.
const STEPS: [i64; 3] = [50, 80, 100];

/// How cases begin in the shipped tests.
const CASE: &str = "\n  - name: ";

/// The files with the thresholds of the answers, and tests of these.
pub(super) fn files(answers: &Answers) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::with_capacity(SHIPPED.len() + 1);
    // Cases about the whole configuration are about the account of that name.
    let is_default = answers.accounts.iter().any(|name| name == "default");
    for (name, text) in SHIPPED.iter().filter(|it| is_default || it.0 != "tests/config.test.yaml") {
        let text = match *name {
            "balance.yaml" => balance(text, answers)?,
            "spend.yaml" => spend(text, answers)?,
            "fraud.yaml" => fraud(text, answers)?,
            _ => (*text).to_owned(),
        };
        files.push(((*name).to_owned(), text));
    }
    files.extend(own_tests(answers).map(|text| (OWN_TESTS.to_owned(), text)));
    Ok(files)
}

/// Puts a text in the place of another, which has to be there.
fn put(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    if !text.contains(from) {
        bail!("the shipped rules have no {from:?}: please report it");
    }
    Ok(text.replace(from, to))
}

/// As CEL writes a double.
fn double(amount: Decimal) -> String {
    let text = amount.normalize().to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn balance(text: &str, answers: &Answers) -> anyhow::Result<String> {
    let Some(low) = answers.low_balance else { return Ok(text.to_owned()) };
    let (low, clear) = (double(low), double(low * Decimal::new(15, 1)));
    let text = put(
        text,
        "fire: value < 50.0\n        clear: value >= 75.0",
        &format!("fire: value < {low}\n        clear: value >= {clear}"),
    )?;
    put(
        &text,
        "below 50 in the account's currency; over again from 75 on",
        &format!("below {low} in the account's currency; over again from {clear} on"),
    )
}

fn spend(text: &str, answers: &Answers) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    let budgets = [
        (answers.daily_budget, 100, "100 a day, notified at 50, 80 and 100", "day"),
        (answers.monthly(), 2000, "2000 a month, notified at 1000, 1600 and 2000", "month"),
    ];
    let line = |of: Decimal, percent: i64| {
        let at = of * Decimal::new(percent, 2);
        let clear = double(at * Decimal::new(9, 1));
        format!("fire: value >= {}\n        clear: value < {clear}\n", double(at))
    };
    let given = budgets.into_iter().filter_map(|(budget, shipped, about, span)| {
        Some((budget?, Decimal::from(shipped), about, span))
    });
    let given: Vec<_> = given.collect();
    // First marks, so that no step is taken for another.
    for (_, shipped, _, span) in &given {
        for percent in STEPS {
            text = put(&text, &line(*shipped, percent), &format!("<{span}:{percent}>"))?;
        }
    }
    for (budget, _, about, span) in given {
        for percent in STEPS {
            text = put(&text, &format!("<{span}:{percent}>"), &line(budget, percent))?;
        }
        let about_now =
            format!("{} a {span}, notified at 50 %, 80 % and 100 %", budget.normalize());
        text = put(&text, about, &about_now)?;
    }
    Ok(text)
}

fn fraud(text: &str, answers: &Answers) -> anyhow::Result<String> {
    if answers.home_countries.is_empty() {
        return Ok(text.to_owned());
    }
    let list: Vec<String> = answers.home_countries.iter().map(|code| format!("{code:?}")).collect();
    let text = put(text, "[\"US\", \"CA\"]", &format!("[{}]", list.join(", ")))?;
    put(
        &text,
        "At home are US and CA:",
        &format!("At home: {};", answers.home_countries.join(", ")),
    )
}

/// Tests of the thresholds that were asked for; none where all are the shipped ones.
fn own_tests(answers: &Answers) -> Option<String> {
    let mut text = String::from(
        "# Of the thresholds that were given to `tollbell init`.\nrule_files: [../balance.yaml, ../spend.yaml]\naccount: {name: default, currency: USD}\ntests:",
    );
    let begin = text.len();
    if let Some(low) = answers.low_balance {
        let below = low * Decimal::new(99, 2);
        let reading = |amount: Decimal| {
            format!(
                "{{kind: account.balance, source: poller, payload: {{available_credit: \"{amount}\", currency: USD}}}}"
            )
        };
        write!(text, "{CASE}LowBalance fires below {low} only\n    steps:\n      - at: 0s\n        event: {}\n        expect: {{alerts: []}}\n      \
             - at: 1m\n        event: {}\n        expect: {{alerts: [{{alertname: LowBalance}}]}}\n",
            reading(low),
            reading(below),
        )
        .expect("writing to text");
    }
    if let Some(budget) = answers.daily_budget {
        let charge = |n: u32, amount: Decimal| {
            format!(
                "{{kind: message.finalized, payload: {{id: m-{n}, direction: outbound, cost: {{amount: \"{amount}\", currency: USD}}}}}}"
            )
        };
        let (first, rest) = (budget * Decimal::new(60, 2), budget * Decimal::new(40, 2));
        let monthly = answers.monthly().unwrap_or_default();
        let fire = |spent: Decimal| {
            let of = |span: &'static str, budget: Decimal| {
                let reached =
                    STEPS.into_iter().filter(move |step| spent >= budget * Decimal::new(*step, 2));
                reached.map(move |step| format!("{{alertname: {span}Budget{step}}}"))
            };
            of("Daily", budget).chain(of("Monthly", monthly)).collect::<Vec<_>>().join(", ")
        };
        write!(text, "{CASE}the daily budget of {budget} is notified at its half and when it is used up\n    steps:\n      \
             - at: 0s\n        event: {}\n      - at: 1m\n        expect: {{alerts: [{}]}}\n      \
             - at: 2m\n        event: {}\n        expect: {{alerts: [{}]}}\n",
            charge(1, first),
            fire(first),
            charge(2, rest),
            fire(budget),
        )
        .expect("writing to text");
    }
    (text.len() > begin).then_some(text)
}

/// The files of cases in a folder that `init` wrote.
pub(super) fn test_files(folder: &Path) -> Vec<PathBuf> {
    let names = SHIPPED.iter().map(|(name, _)| *name).chain([OWN_TESTS]);
    let paths =
        names.filter(|name| name.starts_with("tests/")).map(|name| folder.join("rules").join(name));
    paths.filter(|path| path.is_file()).collect()
}

/// Leaves cases out of a file of tests, for they are about the shipped thresholds; gives which of the others fail.
pub(super) fn leave_out(
    path: &Path,
    cases: &[String],
    failures: impl Fn(&Path) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let Some(text) = without(&text, cases) else {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {shown}"))?;
        return Ok(Vec::new());
    };
    std::fs::write(path, text).with_context(|| format!("cannot write {shown}"))?;
    failures(path)
}

/// A file of cases without some of them; `None` when none is left.
fn without(text: &str, names: &[String]) -> Option<String> {
    let mut parts = text.split(CASE);
    let head = parts.next()?;
    let kept: Vec<&str> = parts
        .filter(|part| !names.iter().any(|name| part.lines().next() == Some(name.as_str())))
        .collect();
    let note = "# Cases about the shipped thresholds were left out: yours are others.\n";
    (!kept.is_empty()).then(|| format!("{note}{head}{CASE}{}", kept.join(CASE)))
}
