//! The book of the documents (`scripts/book.sh`): its table of contents, and its links, as far as they need no mdbook.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use super::{files, read, root};

/// Every document that the book has, by its path from the root.
fn documents() -> Vec<String> {
    let is_document = |file: &String| {
        Path::new(file).extension().is_some_and(|it| it == "md") && file != "docs/SUMMARY.md"
    };
    let found: Vec<String> = files("docs").into_iter().filter(is_document).collect();
    assert!(found.len() > 30, "{found:?}");
    found
}

#[test]
fn the_book_lists_each_document_once_under_its_heading() {
    let entry = Regex::new(r"\[(.+)\]\((\S+)\)").unwrap();
    let summary = read("docs/SUMMARY.md");
    let mut listed = Vec::new();
    for found in entry.captures_iter(&summary) {
        let (title, file) = (&found[1], format!("docs/{}", &found[2]));
        assert!(root().join(&file).is_file(), "docs/SUMMARY.md: {file} is not there");
        assert_eq!(read(&file).lines().next(), Some(format!("# {title}").as_str()), "{file}");
        listed.push(file);
    }
    listed.sort();
    assert_eq!(listed, documents(), "what docs/SUMMARY.md lists, and what there is");
}

/// The book as `scripts/book.py` makes it from what mdbook hands to it: path and text of each page.
fn pages() -> Vec<(String, String)> {
    let chapter = |file: &String| {
        let path = file.strip_prefix("docs/").unwrap();
        json!({"Chapter": {
            "name": path, "content": read(file), "number": null, "sub_items": [], "path": path,
            "source_path": path, "parent_names": [],
        }})
    };
    let chapters: Vec<Value> = documents().iter().map(chapter).collect();
    let book = json!([{"root": root()}, {"items": chapters}]).to_string();
    let mut script = Command::new("python3");
    script.arg("scripts/book.py").current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().unwrap();
    // All of it is read before anything is written.
    script.stdin.take().unwrap().write_all(book.as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success(), "scripts/book.py: {}", output.status);
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let chapters = made["items"].as_array().unwrap().iter().filter_map(|it| it.get("Chapter"));
    let text = |of: &Value, key: &str| of[key].as_str().unwrap().to_owned();
    chapters.map(|chapter| (text(chapter, "path"), text(chapter, "content"))).collect()
}

/// The path that a link of a page leads to.
fn target(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn no_link_leads_out_of_the_book() {
    let link = Regex::new(r"\]\(([^)\s#]+)").unwrap();
    let pages = pages();
    let paths: BTreeSet<&str> = pages.iter().map(|(path, _)| path.as_str()).collect();
    assert!(paths.contains("sources/config/rules/spend.yaml.md"), "{paths:?}");
    // A page of a file that is no document shows it in code, where nothing is a link.
    for (page, text) in pages.iter().filter(|(_, text)| !text.contains("\n~~~~")) {
        let prose: String = text.split("```").step_by(2).collect();
        for link in link.captures_iter(&prose).map(|found| found.get(1).unwrap().as_str()) {
            let to = target(page, link);
            let is_inside = paths.contains(to.as_str()) || root().join("docs").join(&to).is_file();
            assert!(is_inside || link.contains("://"), "{page} leads to {link}");
        }
    }
}
