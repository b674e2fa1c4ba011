use super::rules::{SHIPPED, files};
use super::*;

#[test]
fn every_file_of_the_starter_pack_is_shipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules");
    let mut found: Vec<String> = ["", "tests/", "usual/"]
        .iter()
        .flat_map(|folder| {
            let entries = std::fs::read_dir(root.join(folder)).expect("folder");
            let names =
                entries.map(|entry| entry.expect("entry").file_name().into_string().expect("name"));
            names
                .filter(|name| Path::new(name).extension().is_some_and(|it| it == "yaml"))
                .map(|name| format!("{folder}{name}"))
                .collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, shipped);
}

#[test]
fn thresholds_are_put_into_the_shipped_rules() {
    let answers = Answers {
        low_balance: Some("20".parse().expect("amount")),
        daily_budget: Some("40.5".parse().expect("amount")),
        monthly_budget: Some("160".parse().expect("amount")),
        home_countries: vec!["DE".to_owned(), "AT".to_owned()],
        ..Answers::default()
    };
    let files = files(&answers).expect("files");
    let text = |name: &str| files.iter().find(|(found, _)| found == name).expect("file").1.as_str();
    for (name, part) in [
        ("balance.yaml", "fire: value < 20.0\n        clear: value >= 30.0"),
        ("spend.yaml", "fire: value >= 20.25\n        clear: value < 18.225\n"),
        ("spend.yaml", "fire: value >= 40.5\n        clear: value < 36.45\n"),
        (
            "spend.yaml",
            "fire: value >= 80.0\n        clear: value < 72.0\n        labels: {severity: info",
        ),
        ("spend.yaml", "fire: value >= 160.0\n        clear: value < 144.0\n"),
        ("fraud.yaml", "call.country in [\"DE\", \"AT\"]"),
    ] {
        assert!(text(name).contains(part), "{name} has no {part:?}");
    }
    assert!(!text("fraud.yaml").contains("[\"US\""));
}

#[test]
fn a_mistake_is_one_line() {
    let answers = |change: fn(&mut Answers)| {
        let mut answers = Answers::default();
        change(&mut answers);
        answers.check().err().unwrap_or_default()
    };
    assert_eq!(answers(|_| {}), "");
    for (change, said) in [
        (
            (|it| it.mail_to = vec!["a@example.com".to_owned()]) as fn(&mut Answers),
            "mail needs a sender",
        ),
        (|it| it.home_countries = vec!["usa".to_owned()], "is no country code"),
        (|it| it.low_balance = Some(rust_decimal::Decimal::ZERO), "above zero"),
        (|it| it.mail_user = Some("u".to_owned()), "belong together"),
    ] {
        assert!(answers(change).contains(said), "{said}");
    }
}
