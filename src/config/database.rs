//! Where the database of `store.url` is.

use std::path::{Path, PathBuf};

use super::words::StoreWords;
use crate::diagnostic::Diagnostic;

/// The path of a database that the file gives as `path`: beside the file, as all other paths. Before, it was relative to the
/// working directory: a database that is there and not here is used where it is, with a warning.
pub(super) fn place(section: &StoreWords<'_>, path: &str, folder: &Path) -> PathBuf {
    let (here, before) = (folder.join(path), PathBuf::from(path));
    if here == before || here.exists() || !before.is_file() {
        return here;
    }
    let message = format!(
        "the database is used where versions before had it, at {} in the working directory; it belongs at {}",
        before.display(),
        here.display(),
    );
    let diagnostic = Diagnostic::warning(section.place("url"), section.at("url"), message);
    section.push(
        diagnostic
            .hint("stop tollbell and move it, with its -wal and -shm, or write the whole path"),
    );
    before
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::parse;
    use super::super::tests::{ACCOUNT, env};

    const REST: &str = "rule_files: []\nroute: {receiver: ops}\nreceivers: [{name: ops}]\n";

    /// Where a configuration in this folder has its database, and what is said of it.
    fn place(folder: &std::path::Path, path: &str) -> (std::path::PathBuf, Vec<String>) {
        let text = format!("{ACCOUNT}store: {{url: 'sqlite:{path}'}}\n{REST}");
        let loaded = parse("t.yaml", &text, folder, &env);
        let said = loaded.diagnostics.iter().filter(|it| it.key == "store.url");
        let said = said.map(ToString::to_string).collect();
        (loaded.config.expect("sound").store.place.path().expect("a file").to_owned(), said)
    }

    #[test]
    fn it_is_beside_the_file_unless_only_the_old_place_has_one() {
        // The working directory of this test is that of the package, and nothing is written there.
        let dir = tempfile::tempdir_in(".").expect("directory");
        let folder = dir.path().join("etc");
        fs::create_dir(&folder).expect("folder");
        let name = dir.path().file_name().expect("name").to_string_lossy().into_owned();
        let path = format!("{name}/t.db");
        assert_eq!(place(&folder, "/var/t.db"), ("/var/t.db".into(), vec![]));
        assert_eq!(place(&folder, &path), (folder.join(&path), vec![]));
        fs::write(dir.path().join("t.db"), "").expect("old");
        let (old, said) = place(&folder, &path);
        assert_eq!(old, std::path::Path::new(&path));
        assert!(
            said[0].contains("warning: store.url: the database is used where versions before"),
            "{said:?}"
        );
        fs::create_dir(folder.join(&name)).expect("folder");
        fs::write(folder.join(&path), "").expect("new");
        assert_eq!(place(&folder, &path), (folder.join(&path), vec![]));
    }
}
