//! What a watch has brought: an object's name, and what is kept of it.
//!
//! Promised: while everything is listed anew, what was known stays, and then gives way at once; what is the same is not kept twice.

use std::{collections::HashMap, sync::Arc};

/// By `namespace/name`.
type Objects<T> = HashMap<Box<str>, Arc<T>>;

/// What is kept of the objects of one kind.
#[derive(Debug)]
pub(super) struct Store<T> {
    objects: Objects<T>,
    /// What a list has brought so far.
    listed: Option<Objects<T>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { objects: HashMap::new(), listed: None }
    }
}

impl<T: PartialEq> Store<T> {
    /// Everything is going to be listed anew.
    pub(super) fn begin(&mut self) {
        self.listed = Some(HashMap::new());
    }

    /// One of what is listed.
    pub(super) fn list(&mut self, key: Box<str>, kept: Option<T>) {
        let (Some(listed), Some(kept)) = (&mut self.listed, kept) else { return };
        let known = self.objects.get(&key).filter(|known| ***known == kept).cloned();
        listed.insert(key, known.unwrap_or_else(|| Arc::new(kept)));
    }

    /// Everything has been listed. Returns whether anything is now different.
    pub(super) fn end(&mut self) -> bool {
        let Some(listed) = self.listed.take() else { return false };
        let is_different = listed != self.objects;
        self.objects = listed;
        is_different
    }

    /// An object was made or changed, or is of no use any more. Returns whether that makes a difference.
    pub(super) fn put(&mut self, key: Box<str>, kept: Option<T>) -> bool {
        let Some(kept) = kept else { return self.remove(&key) };
        if self.objects.get(&key).is_some_and(|known| **known == kept) {
            return false;
        }
        self.objects.insert(key, Arc::new(kept));
        true
    }

    /// An object is gone. Returns whether that makes a difference.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.objects.remove(key).is_some()
    }

    /// All of it, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<T>)> {
        self.objects.iter().map(|(key, kept)| (&**key, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(store: &Store<u8>) -> Vec<(&str, u8)> {
        let mut all: Vec<_> = store.iter().map(|(key, kept)| (key, **kept)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_list_replaces_everything_and_only_at_its_end() {
        let mut store = Store::default();
        for listed in [&[("a", 1), ("b", 1)][..], &[("b", 2), ("c", 1)], &[]] {
            let before: Vec<_> = names(&store).iter().map(|(key, kept)| (key.to_string(), *kept)).collect();
            store.begin();
            for (key, kept) in listed {
                store.list((*key).into(), Some(*kept));
                let now: Vec<_> = names(&store).iter().map(|(key, kept)| (key.to_string(), *kept)).collect();
                assert_eq!(now, before, "while {listed:?} are listed");
            }
            assert!(store.end());
            assert_eq!(names(&store), listed);
        }
    }

    #[test]
    fn a_list_that_is_broken_off_changes_nothing() {
        let mut store = Store::default();
        store.put("a".into(), Some(1));
        store.begin();
        store.list("b".into(), Some(1));
        store.begin();
        store.list("a".into(), Some(1));
        assert!(!store.end());
        assert_eq!(names(&store), [("a", 1)]);
        assert!(!store.end(), "nothing was listed");
    }

    #[test]
    fn only_what_makes_a_difference_counts() {
        let mut store = Store::default();
        for (case, key, kept, expected) in [
            ("new", "a", Some(1), true),
            ("a heartbeat", "a", Some(1), false),
            ("changed", "a", Some(2), true),
            ("of no use any more", "a", None, true),
            ("of no use still", "a", None, false),
        ] {
            assert_eq!(store.put(key.into(), kept), expected, "{case}");
        }
        store.put("b".into(), Some(1));
        assert_eq!((store.remove("b"), store.remove("b")), (true, false));
    }

    #[test]
    fn what_is_the_same_is_not_kept_twice() {
        let mut store = Store::default();
        store.put("a".into(), Some(1));
        let before = Arc::clone(store.iter().next().unwrap().1);
        store.begin();
        store.list("a".into(), Some(1));
        store.end();
        assert!(Arc::ptr_eq(&before, store.iter().next().unwrap().1));
    }
}
