//! Labels as a series keeps them: one text instead of a tree of small ones, for there may be a hundred thousand.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Labels;

/// Labels, packed: their JSON. A tree of them takes some ten times as much.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedLabels(Box<str>);

impl PackedLabels {
    /// The labels.
    pub fn unpack(&self) -> Labels {
        // Made from labels, so it can be read.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Bytes that they take.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether they take none, which is never.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&Labels> for PackedLabels {
    fn from(labels: &Labels) -> Self {
        // A map of texts can always be written.
        Self(serde_json::to_string(labels).unwrap_or_default().into())
    }
}

impl fmt::Debug for PackedLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PackedLabels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PackedLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Labels::deserialize(deserializer).map(|labels| Self::from(&labels))
    }
}
