//! Names that were probably meant.

use serde_json::Value;
use strsim::damerau_levenshtein;

/// The known name nearest to a wrong one, if it is near enough to be a slip. How words are joined and capitals do not count.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = plain(wrong);
    let slips = (wrong.chars().count() / 3).max(1);
    known
        .map(|name| (damerau_levenshtein(&wrong, &plain(name)), name))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The one place in the schema where a field has this name: for a field that was written at the wrong level.
pub(super) fn elsewhere(name: &str, schema: &Value) -> Option<String> {
    let mut places = Vec::new();
    collect(&plain(name), schema, "", &mut places);
    if places.len() == 1 { places.pop() } else { None }
}

fn collect(name: &str, schema: &Value, path: &str, places: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (field, schema) in properties {
        let path = super::check::child(path, field);
        if plain(field) == name {
            places.push(path.clone());
        }
        collect(name, schema, &path, places);
    }
}

/// `ivyCache`, `ivy_cache` and `Ivy-Cache` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::schema;
    use super::*;
    use crate::policy::mutation::Mutation;

    #[test]
    fn finds_what_was_meant() {
        for (case, wrong, expected) in [
            ("two letters changed places", "ivy-cahce", Some("ivy-cache")),
            ("a letter is missing", "ivy-dr", Some("ivy-dir")),
            ("the other way to join words", "sparkUser", Some("spark-user")),
            ("underscores", "memory_quantity", Some("memory-quantity")),
            ("a plural", "connect-packages", Some("connect-package")),
            ("nothing near", "quota-keeping", None),
            ("nothing at all", "", None),
        ] {
            assert_eq!(nearest(wrong, Mutation::ALL.iter().map(|mutation| mutation.name())), expected, "{case}");
        }
    }

    #[test]
    fn finds_a_field_at_another_level() {
        for (case, name, expected) in [
            ("a mutation without its parent", "ivy-cache", Some("mutations.ivy-cache")),
            ("a field without its mutation", "sizeLimit", Some("mutations.ivy-cache.sizeLimit")),
            ("a field of many mutations", "roles", None),
            ("a field of none", "replicas", None),
        ] {
            assert_eq!(elsewhere(name, schema()).as_deref(), expected, "{case}");
        }
    }
}
