//! Label sets, and what identifies them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Label or annotation names and values; sorted, so that everything made from them is stable.
pub type Labels = BTreeMap<String, String>;

/// How many label sets are remembered. They come from the network.
const REMEMBERED_MAX: usize = 4096;
/// Bytes of a hash that a fingerprint shows.
const FINGERPRINT_BYTES: usize = 8;

/// Identity of an alert or a series: a hash of its labels. Annotations never identify. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// The fingerprint of a label set: 16 hexadecimal digits of a SHA-256 over length-prefixed names and values.
    pub fn of(labels: &Labels) -> Self {
        let mut hash = Sha256::new();
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Self(hex(&hash.finalize(), FINGERPRINT_BYTES).into())
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first `bytes` bytes of a hash in hexadecimal.
pub(crate) fn hex(hash: &[u8], bytes: usize) -> String {
    hash.iter().take(bytes).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

impl From<String> for Fingerprint {
    fn from(digits: String) -> Self {
        Self(digits.into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels with their fingerprint, shared. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet(Arc<(Labels, Fingerprint)>);

impl LabelSet {
    /// Their fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.0.1
    }
}

impl From<Labels> for LabelSet {
    fn from(labels: Labels) -> Self {
        let fingerprint = Fingerprint::of(&labels);
        Self(Arc::new((labels, fingerprint)))
    }
}

impl Deref for LabelSet {
    type Target = Labels;

    fn deref(&self) -> &Labels {
        &self.0.0
    }
}

/// Label sets by what they are made from: events of a kind make the same few again and again.
#[derive(Debug, Default)]
pub(super) struct LabelSets(Mutex<HashMap<Vec<u8>, LabelSet>>);

impl LabelSets {
    /// The set that is made from `parts`, the same each time.
    pub(super) fn get(&self, parts: &Parts, make: impl FnOnce() -> Labels) -> LabelSet {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sets.get(parts.0.as_slice()) {
            return known.clone();
        }
        let set = LabelSet::from(make());
        if sets.len() >= REMEMBERED_MAX {
            sets.clear();
        }
        sets.insert(parts.0.clone(), set.clone());
        set
    }
}

/// Texts in their order, as one key.
#[derive(Debug)]
pub(super) struct Parts(Vec<u8>);

impl Parts {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(128))
    }

    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) {
        self.0.extend_from_slice(&text.len().to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        Labels::from([("a".to_owned(), value.to_owned())])
    }

    fn parts(texts: &[&str]) -> Parts {
        let mut parts = Parts::new();
        for text in texts {
            parts.push(text);
        }
        parts
    }

    #[test]
    fn a_set_is_made_once_and_has_the_fingerprint_of_its_labels() {
        let sets = LabelSets::default();
        let first = sets.get(&parts(&["r", "x"]), || labels("x"));
        let again = sets.get(&parts(&["r", "x"]), || panic!("is there"));
        assert_eq!((&*again, again.fingerprint()), (&labels("x"), first.fingerprint()));
        assert_eq!(first.fingerprint(), &Fingerprint::of(&labels("x")));
        assert_eq!(first.fingerprint().as_str().len(), 16);
        // Where one text ends and the next begins makes a difference.
        let other = sets.get(&parts(&["rx", ""]), || labels("y"));
        assert_ne!(other, first);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let sets = LabelSets::default();
        for number in 0..=REMEMBERED_MAX {
            sets.get(&parts(&[&number.to_string()]), || labels("x"));
        }
        assert_eq!(sets.0.lock().expect("sound").len(), 1);
    }
}
