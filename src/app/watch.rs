//! Whether the files of the configuration have changed. Pure: looks in, decision out.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::config::Sources;

/// How often the files are looked at.
pub(super) const PERIOD: Duration = Duration::from_secs(3);
/// How long a folder that lacks files has to look the same: it may be a copy that is not complete.
const COPIED: Duration = Duration::from_mins(1);

/// The files that were loaded, and what the last look found.
#[derive(Debug)]
pub(super) struct Watch {
    loaded: Sources,
    /// The last look, where it differed, and since when it is the same.
    seen: Option<(Sources, Timestamp)>,
    next: Timestamp,
}

impl Watch {
    pub(super) fn new(loaded: Sources, now: Timestamp) -> Self {
        Self { loaded, seen: None, next: clock::add(now, PERIOD) }
    }

    /// The files to look at.
    pub(super) fn sources(&self) -> &Sources {
        &self.loaded
    }

    /// When to look.
    pub(super) fn next(&self) -> Timestamp {
        self.next
    }

    /// Whether to load after this look: the files are others than those that were loaded, and two looks agree, so that
    /// nobody is writing them. What was loaded and found bad is not loaded again before it changes. Where a folder lacks
    /// files, they have to agree for [`COPIED`].
    pub(super) fn looked(&mut self, found: Sources, now: Timestamp) -> bool {
        self.next = clock::add(now, PERIOD);
        if found == self.loaded {
            self.seen = None;
            return false;
        }
        let wait = if found.lacks_files(&self.loaded) { COPIED } else { Duration::ZERO };
        let same = self.seen.take().filter(|(seen, _)| *seen == found);
        let agree = same.as_ref().is_some_and(|(_, since)| clock::add(*since, wait) <= now);
        self.seen = Some(same.unwrap_or((found, now)));
        agree
    }

    /// They were loaded, whoever asked for it and whatever came of it.
    pub(super) fn loaded(&mut self, sources: Sources) {
        self.loaded = sources;
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a load of the file finds; it need not be a configuration.
    fn load(path: &std::path::Path) -> Sources {
        crate::config::load(path, &|_name| None).sources
    }

    #[test]
    fn two_looks_must_agree_and_what_was_loaded_is_not_loaded_again() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("tollbell.yaml");
        fs::write(&path, "a").expect("write");
        let now = Timestamp::UNIX_EPOCH;
        let mut watch = Watch::new(load(&path), now);
        let look = |watch: &mut Watch, text: Option<&str>| {
            match text {
                Some(text) => fs::write(&path, text).expect("write"),
                None => fs::remove_file(&path).expect("remove"),
            }
            let found = watch.sources().look();
            watch.looked(found, now)
        };
        assert!(!look(&mut watch, Some("a")), "nothing changed");
        assert!(!look(&mut watch, Some("ab")), "being written");
        assert!(!look(&mut watch, Some("abc")), "still being written");
        assert!(look(&mut watch, Some("abc")));
        watch.loaded(load(&dir.path().join("tollbell.yaml")));
        assert!(!look(&mut watch, Some("abc")), "good or bad, it was loaded");
        assert!(!look(&mut watch, None), "between two names");
        assert!(!look(&mut watch, Some("abc")), "it is as before");
        assert!(!look(&mut watch, None));
        assert_eq!(watch.next(), clock::add(now, PERIOD));
    }

    #[test]
    fn a_folder_that_lacks_files_has_to_look_so_for_a_while() {
        let dir = tempfile::tempdir().expect("directory");
        let (path, rules) = (dir.path().join("tollbell.yaml"), dir.path().join("rules"));
        fs::create_dir(&rules).expect("folder");
        fs::write(&path, "rule_files: ['rules/*.yaml']\n").expect("write");
        for name in ["a.yaml", "b.yaml"] {
            fs::write(rules.join(name), "groups: []\n").expect("write");
        }
        let mut now = Timestamp::UNIX_EPOCH;
        let mut watch = Watch::new(load(&path), now);
        fs::remove_file(rules.join("b.yaml")).expect("remove");
        let mut looks = 0;
        while !watch.looked(watch.sources().look(), now) {
            looks += 1;
            now = clock::add(now, PERIOD);
        }
        assert_eq!(looks, COPIED.as_secs() / PERIOD.as_secs());
        // Nothing at all is left: that is refused, and at once.
        let mut watch = Watch::new(load(&path), now);
        fs::remove_dir_all(&rules).expect("remove");
        assert!(!watch.looked(watch.sources().look(), now));
        assert!(watch.looked(watch.sources().look(), now));
    }
}
