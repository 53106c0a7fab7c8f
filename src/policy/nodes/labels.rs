//! The labels of a node, in little room: clusters have thousands of nodes with dozens of labels each.

use std::fmt;

use super::objects::Texts;

/// Labels by key, in one text and one list of places in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Keys and values in turn, in the order of the keys.
    text: Box<str>,
    /// Where in `text` each key and each value ends.
    ends: Box<[u32]>,
}

impl Labels {
    /// Packs labels. What would not fit a `u32` is left out: the API server takes no object of that size.
    #[must_use]
    pub fn of(labels: &Texts) -> Self {
        let mut text = String::with_capacity(labels.iter().map(|(key, value)| key.len() + value.len()).sum());
        let mut ends = Vec::with_capacity(labels.len() * 2);
        for part in labels.iter().flat_map(|(key, value)| [key, value]) {
            text.push_str(part);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self { text: text.into(), ends: ends.into() }
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.ends.len() / 2);
        while low < high {
            let middle = low.midpoint(high);
            match self.part(middle * 2).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.part(middle * 2 + 1)),
            }
        }
        None
    }

    /// Keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.ends.len() / 2).map(|index| (self.part(index * 2), self.part(index * 2 + 1)))
    }

    fn part(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let start = if index == 0 { 0 } else { end(index - 1) };
        self.text.get(start..end(index)).unwrap_or_default()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holds_what_was_put_in(texts in prop::collection::btree_map("[a-c]{0,3}", "[a-cä]{0,3}", 0..12), other in "[a-c]{0,3}") {
            let labels = Labels::of(&texts);
            for (key, value) in &texts {
                prop_assert_eq!(labels.get(key), Some(value.as_str()));
            }
            prop_assert_eq!(labels.get(&other), texts.get(&other).map(String::as_str));
            let again: Texts = labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(again, texts);
        }
    }
}
