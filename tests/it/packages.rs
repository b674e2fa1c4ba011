//! What people install: the Debian package and the image, made of this binary, installed and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::telnyx::Signer;
use crate::support::tools::tool;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// This binary without its debug information, which is most of it.
fn stripped(folder: &Path) -> PathBuf {
    let path = folder.join("tollbell");
    let mut strip = Command::new("strip");
    strip.args(["-o", path.to_str().unwrap(), env!("CARGO_BIN_EXE_tollbell")]);
    assert!(strip.status().unwrap().success());
    path
}

/// What a script says; panics when it fails.
fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn the_debian_package_is_installed_started_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let binary = stripped(dir.path());
    tool("cargo-deb");
    let mut deb = Command::new("scripts/deb.sh");
    deb.args(["--fast", "--binary"]).arg(&binary).arg("--output").arg(dir.path());
    run(&mut deb);
    let mut entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let package = entries.find(|path| path.extension().is_some_and(|it| it == "deb")).unwrap();
    let mut install = Command::new("bash");
    install.arg("tests/it/support/package.sh").arg(dir.path()).arg(&package);
    let said = run(install.arg(Signer::new().public_key_base64()));
    for part in ["is ready", "stopped with 0", "package.sh: removed"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn the_image_is_made_of_this_binary_and_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (binary, archive) = (stripped(dir.path()), dir.path().join("image.tar"));
    tool("buildah");
    let mut image = Command::new("scripts/image.sh");
    if std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) != 0)
    {
        image = Command::new("buildah");
        image.args(["unshare", "scripts/image.sh"]);
    }
    image.arg("--binary").arg(&binary).arg("--output").arg(&archive);
    let said = run(&mut image);
    assert!(said.contains(concat!("tollbell:", env!("CARGO_PKG_VERSION"), ", ")), "{said}");
    let manifest = run(Command::new("tar").arg("-xOf").arg(&archive).arg("manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let config = run(Command::new("tar")
        .arg("-xOf")
        .arg(&archive)
        .arg(manifest[0]["Config"].as_str().unwrap()));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let config = &config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Cmd"], serde_json::json!(["serve"]));
    assert!(
        config["Env"]
            .as_array()
            .unwrap()
            .contains(&"TOLLBELL_CONFIG=/etc/tollbell/tollbell.yaml".into()),
        "{config}"
    );
    assert!(
        config["Healthcheck"]["Test"].as_array().unwrap().contains(&"healthcheck".into()),
        "{config}"
    );
}

#[test]
fn the_bill_of_materials_has_each_part_once_with_its_checksum() {
    let document = run(&mut Command::new("scripts/sbom.py"));
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (&document["bomFormat"], &document["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    let parts = document["components"].as_array().unwrap();
    let mut names: Vec<&str> = parts.iter().map(|part| part["purl"].as_str().unwrap()).collect();
    assert!(names.len() > 100, "{}", names.len());
    assert!(names.iter().any(|name| name.starts_with("pkg:cargo/actix-web@")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("pkg:cargo/proptest@")), "{names:?}");
    assert!(
        parts
            .iter()
            .all(|part| part["hashes"][0]["content"].as_str().is_some_and(|it| it.len() == 64))
    );
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
