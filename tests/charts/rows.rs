//! Tables of values: what each of them changes in what a chart renders.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread,
};

use serde_json::Value;

use crate::{documented::Documented, helm::find};

/// A value, what else must be set for it to matter, and where it shows.
pub struct Row {
    pub path: &'static str,
    value: Value,
    with: &'static str,
    object: &'static str,
    pointer: String,
    /// Null: the object is not there.
    shows: Value,
}

pub fn row(path: &'static str, value: Value, object: &'static str, pointer: &str, shows: Value) -> Row {
    Row { path, value, with: "", object, pointer: pointer.to_owned(), shows }
}

/// A value that stands in the object as it is.
pub fn same(path: &'static str, value: Value, object: &'static str, pointer: &str) -> Row {
    row(path, value.clone(), object, pointer, value)
}

impl Row {
    pub fn with(mut self, values: &'static str) -> Self {
        self.with = values;
        self
    }

    /// What must be set besides, as flags of Helm; and the value behind it.
    fn flags(&self) -> [Vec<String>; 2] {
        let pairs = self.with.split(',').filter_map(|pair| pair.split_once('='));
        let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let with = pairs.map(|(path, text)| format!("{path}={}", json(text)));
        let value = format!("{}={}", self.path, self.value);
        [with.clone().collect::<Vec<_>>(), with.chain([value]).collect()]
            .map(|values| values.into_iter().flat_map(|value| ["--set-json".to_owned(), value]).collect())
    }

    fn shown(&self, objects: &[Value]) -> Value {
        find(objects, self.object).and_then(|object| object.pointer(&self.pointer)).cloned().unwrap_or_default()
    }
}

/// What rows say that is not so: each is rendered without its value, and with it.
pub fn wrong(rows: &[Row], rendered: impl Fn(&[&str]) -> Vec<Value> + Sync) -> Vec<String> {
    let all: BTreeSet<_> = rows.iter().flat_map(Row::flags).collect();
    let (left, done) = (Mutex::new(all.into_iter()), Mutex::new(BTreeMap::new()));
    let render = || {
        while let Some(flags) = { left.lock().unwrap().next() } {
            let objects = rendered(&flags.iter().map(String::as_str).collect::<Vec<_>>());
            done.lock().unwrap().insert(flags, objects);
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(render);
        }
    });
    let done = done.into_inner().unwrap();
    let wrong = rows.iter().filter_map(|row| {
        let [before, after] = row.flags().map(|flags| row.shown(&done[&flags]));
        let place = format!("{}{}", row.object, row.pointer);
        let is_right = after == row.shows && before != row.shows;
        (!is_right).then(|| format!("{}: {place} is {after}, was {before}, expected {}", row.path, row.shows))
    });
    wrong.collect()
}

/// The values that no row shows; fails where a row is about none of them.
pub fn silent(rows: &[Row], values: &[Documented]) -> Vec<String> {
    let values: BTreeSet<_> = values.iter().map(|value| value.path.as_str()).collect();
    let value_of =
        |path: &str| values.iter().find(|value| path == **value || path.starts_with(&format!("{value}."))).copied();
    let shown =
        rows.iter().map(|row| value_of(row.path).unwrap_or_else(|| panic!("values.yaml does not have {}", row.path)));
    values.difference(&shown.collect()).map(ToString::to_string).collect()
}
