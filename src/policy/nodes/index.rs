//! Which of the nodes that are not flagged have a label: so that where a pod is pinned, few of thousands of nodes are looked at.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::labels::Labels;

/// Places of nodes by the labels that they have. By the hashes of the labels: whoever asks looks at the node itself as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index(HashMap<u64, Vec<u32>>);

impl Index {
    /// The places of nodes by their labels.
    pub(super) fn of<'n>(nodes: impl Iterator<Item = (usize, &'n Labels)>) -> Self {
        let mut index: HashMap<u64, Vec<u32>> = HashMap::new();
        for (place, labels) in nodes {
            for (key, value) in labels.iter() {
                index.entry(hash(key, value)).or_default().push(u32::try_from(place).unwrap_or(u32::MAX));
            }
        }
        Self(index)
    }

    /// The places of all nodes that have the label, and perhaps of others.
    pub(super) fn places(&self, key: &str, value: &str) -> &[u32] {
        self.0.get(&hash(key, value)).map_or(&[], Vec::as_slice)
    }
}

fn hash(key: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}
