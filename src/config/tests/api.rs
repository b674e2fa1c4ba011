//! What `check` says of API keys and of where they are sent.

use super::*;

/// An account to which a key can be added, indented by four.
const KEYLESS: &str =
    "accounts:\n  - name: default\n    public_keys: [\"${KEY}\"]\n    backfill: {enabled: false}\n";

#[test]
fn a_key_that_cannot_be_sent_and_an_address_with_more_than_a_path_are_refused_and_not_shown() {
    let mut said = String::new();
    for keys in [
        "api_key: planted two",
        r#"api_key: "planted\ntwo""#,
        "api_key: plantedé",
        "api_key: planted\n    api_url: https://user@example.com/v2",
        "api_key: planted\n    api_url: https://user:planted@example.com/v2",
        "api_key: planted\n    api_url: https://example.com/v2?planted=1",
        "api_key: planted\n    api_url: https://example.com/v2#planted",
    ] {
        said += &check(&format!("{KEYLESS}    {keys}\n{REST}"));
        said += "\n";
    }
    assert!(!said.contains("planted"), "{said}");
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("rule_files")).collect();
    let key = "accounts[0].api_key: no API key: expected one word of ASCII letters, digits and signs, without white space in it";
    let user = "accounts[0].api_url: the URL must hold no user and no password: the API key is all that is sent";
    let path = "accounts[0].api_url: the URL must end with its path: no ? and no #";
    let without_place: Vec<&str> =
        said.iter().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
    assert_eq!(without_place, [key, key, key, user, user, path, path], "{said:#?}");
}

#[test]
fn a_key_file_that_holds_more_than_a_key_is_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("key");
    for (bytes, expected) in [
        (&b" planted\n"[..], None),
        (b"planted\nplanted\n", Some("accounts[0].api_key_file: no API key: expected one word")),
        (b"planted\xff", Some("accounts[0].api_key_file: secret file cannot be used: ")),
    ] {
        std::fs::write(&path, bytes).expect("write");
        let said = check(&format!("{KEYLESS}    api_key_file: {}\n{REST}", path.display()));
        match expected {
            Some(expected) => assert!(said.contains(expected), "{said}"),
            None => assert!(!said.contains("api_key_file"), "{said}"),
        }
        assert!(!said.contains("planted"), "{said}");
    }
}
