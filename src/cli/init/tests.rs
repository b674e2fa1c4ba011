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
        (|it| it.low_balance = Some(rust_decimal::Decimal::MAX), "at most"),
        (|it| it.smarthost = Some("mx:25".to_owned()), "--smarthost is about mail"),
        (
            |it| {
                it.mail_to = vec!["a@example.com".to_owned()];
                it.mail_from = Some("b@example.com".to_owned());
                it.smarthost = Some("mx:25".to_owned());
                it.mail_user = Some("u".to_owned());
            },
            "belong together",
        ),
    ] {
        assert!(answers(change).contains(said), "{said}");
    }
}

fn answers(change: impl FnOnce(&mut Answers)) -> Answers {
    let mut answers = Answers::default();
    change(&mut answers);
    answers.check().expect("answers that are fine");
    answers
}

#[test]
fn the_cases_about_thresholds_of_ones_own_hold() {
    let amount = |text: &str| Some(text.parse().expect("amount"));
    for (balance, daily, monthly) in [
        (Some("0.000001"), Some("0.000001"), Some("0.000001")),
        (None, Some("1000"), None),
        (None, Some("2500"), Some("2000")),
        (None, Some("1"), Some("1000000")),
        (None, None, Some("1")),
        (Some("1000000000"), Some("1000000000"), Some("1000000000")),
    ] {
        let given = answers(|it| {
            it.low_balance = balance.and_then(amount);
            it.daily_budget = daily.and_then(amount);
            it.monthly_budget = monthly.and_then(amount);
        });
        let folder = tempfile::tempdir().expect("temp dir");
        write(folder.path(), &given).expect("writes");
        for file in rules::test_files(folder.path()) {
            if file.ends_with(rules::OWN_TESTS) {
                let failing = test::failures(&file).expect("cases that can be run");
                assert_eq!(failing, [""; 0], "{balance:?} {daily:?} {monthly:?}");
            }
        }
    }
}

#[test]
fn of_what_does_not_hold_nothing_stays() {
    let parent = tempfile::tempdir().expect("temp dir");
    let folder = parent.path().join("new");
    let answers = answers(|it| it.public_url = Some("no URL".to_owned()));
    let args = Args { folder: folder.clone(), yes: true, answers };
    let refused = run(args).err().expect("an address that is none").to_string();
    assert!(refused.ends_with("would have errors: nothing is written"), "{refused}");
    assert!(!folder.exists());
}
