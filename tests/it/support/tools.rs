//! Where the tests find programs that are not Rust's: installed by `scripts/tools.sh`, never by a test.

use std::path::{Path, PathBuf};

/// The path of a program, from `.tools/bin` or else from `PATH`.
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let ours = tools_dir().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(ours).chain(std::env::split_paths(&path));
    let found = places.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| panic!("{name} is missing: run scripts/tools.sh"))
}

/// The Python that has the packages of `scripts/requirements.txt`.
#[track_caller]
pub fn python() -> PathBuf {
    let python = tools_dir().join("venv/bin/python");
    assert!(python.is_file(), "the Python environment is missing: run scripts/tools.sh");
    python
}

/// A file of this folder, such as a Python helper.
pub fn support_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support").join(name)
}

fn tools_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools")
}
