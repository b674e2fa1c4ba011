#!/usr/bin/env bash
# lettre 0.11.23, MultiPart::related().
#
# RFC 2387, 3.1, requires the parameter `type` of multipart/related: the media type of the root part. lettre writes the
# header without it, also where it is given beforehand as a Content-Type of one's own and the boundary is set after it: what
# `boundary` writes holds the subtype and the boundary alone. A header that already has `type` and `boundary` stays as it is.
#
# Exits 1 if that is no longer so.
set -euo pipefail
version=0.11.23
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<TOML
[package]
name = "related"
version = "0.0.0"
edition = "2021"
[dependencies]
lettre = { version = "=$version", default-features = false, features = ["builder"] }
TOML
cat >src/main.rs <<'RUST'
use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart, MultiPartBuilder, SinglePart};

/// The Content-Type of a page with a picture, on one line.
fn content_type(builder: MultiPartBuilder) -> String {
    let picture = Attachment::new_inline("chart".to_owned());
    let picture = picture.body(vec![0_u8], "image/png".parse().expect("a type"));
    let part = builder.singlepart(SinglePart::html("<img src='cid:chart'>".to_owned()));
    let text = String::from_utf8(part.singlepart(picture).formatted()).expect("text");
    let header = text.split("\r\n\r\n").next().expect("a head").replace("\r\n", "");
    header.to_ascii_lowercase()
}

fn main() {
    let with_type = |more: &str| {
        let value = format!("multipart/related; type=\"text/html\"{more}");
        MultiPart::builder().header(ContentType::parse(&value).expect("a type"))
    };
    let cases = [
        ("MultiPart::related()", MultiPart::related().boundary("b"), false),
        ("a header with type, then boundary()", with_type("").boundary("b"), false),
        ("a header with type and boundary", with_type("; boundary=\"b\""), true),
    ];
    let mut changed = false;
    for (name, builder, want) in cases {
        let header = content_type(builder);
        println!("{name}: {header}");
        let has_type = header.contains("type=\"text/html\"") || header.contains("type=text/html");
        if has_type != want {
            println!("  type was {}: the behaviour has changed", if want { "there" } else { "missing" });
            changed = true;
        }
    }
    std::process::exit(i32::from(changed));
}
RUST
echo "lettre $version"
cargo run --quiet
