//! Which different values a window holds.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::rules::Observed;

/// Different values that are told apart; further ones are not added.
pub(super) const DISTINCT_MAX: usize = 10_000;
/// Bytes of a value's SHA-256 that are kept, without a salt.
const HASH_BYTES: usize = 8;

/// A hash of each different value with the slot of its latest occurrence.
///
/// Kept as text for each slot: its hashes in Base64, so that 10,000 values take about 110 kB.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DistinctValues(BTreeMap<u64, i64>);

impl DistinctValues {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this value is among them.
    pub(super) fn has(&self, value: &Observed) -> bool {
        hash(value).is_some_and(|hash| self.0.contains_key(&hash))
    }

    /// Takes a value; one that is new beyond [`DISTINCT_MAX`] is not taken, nor is a mere event.
    pub(super) fn add(&mut self, value: &Observed, slot: i64) {
        let Some(hash) = hash(value) else { return };
        if let Some(latest) = self.0.get_mut(&hash) {
            *latest = slot.max(*latest);
        } else if self.0.len() < DISTINCT_MAX {
            self.0.insert(hash, slot);
        }
    }

    /// Forgets what was not seen in `oldest` or later. Looks at every value, but is called only when a bucket leaves:
    /// at most 60 times in a window's length.
    pub(super) fn forget(&mut self, oldest: i64) {
        self.0.retain(|_, slot| *slot >= oldest);
    }
}

/// The same number is the same value however it is written; a text is never a number.
fn hash(value: &Observed) -> Option<u64> {
    let hasher = Sha256::new();
    let digest = match value {
        Observed::Number(number) => {
            hasher.chain_update("n").chain_update(number.normalize().to_string())
        }
        Observed::Text(text) => hasher.chain_update("t").chain_update(text),
        Observed::Event => return None,
    }
    .finalize();
    digest.first_chunk::<HASH_BYTES>().map(|bytes| u64::from_be_bytes(*bytes))
}

impl Serialize for DistinctValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slots = BTreeMap::<i64, Vec<u8>>::new();
        for (hash, slot) in &self.0 {
            slots.entry(*slot).or_default().extend(hash.to_be_bytes());
        }
        serializer.collect_seq(slots.iter().map(|(slot, hashes)| (slot, BASE64.encode(hashes))))
    }
}

impl<'de> Deserialize<'de> for DistinctValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut seen = BTreeMap::new();
        for (slot, text) in Vec::<(i64, String)>::deserialize(deserializer)? {
            let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
            let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
            if !rest.is_empty() {
                return Err(de::Error::custom("hashes of another length"));
            }
            seen.extend(hashes.iter().map(|hash| (u64::from_be_bytes(*hash), slot)));
        }
        Ok(Self(seen))
    }
}
