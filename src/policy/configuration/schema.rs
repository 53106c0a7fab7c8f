//! The JSON Schema of the policy file, derived from the settings: their types, their documentation, their defaults.
//!
//! The parser checks files against this very schema, so editors offer the fields and words that the server knows, and no others.

use super::settings::{Mutations, Policy};
use crate::policy::mutation::Mutation;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The `apiVersion` of a policy file.
pub const API_VERSION: &str = "spark-admission.io/v1alpha1";

/// The `kind` of a policy file.
pub const KIND: &str = "Policy";

static SCHEMA: LazyLock<Value> = LazyLock::new(build);
static DEFAULTS: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(Policy::default()).unwrap_or_default());

/// The JSON Schema (draft 2020-12) of the policy file.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// The default policy as a tree, for files to be laid over.
pub(super) fn defaults() -> &'static Value {
    &DEFAULTS
}

fn build() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Policy>();
    RecursiveTransform(simplify_enum).transform(&mut schema);
    RecursiveTransform(close_object).transform(&mut schema);
    RecursiveTransform(simplify_number).transform(&mut schema);
    RecursiveTransform(require_in_items).transform(&mut schema);
    let mut schema = schema.to_value();
    limit_roles(&mut schema);
    add_defaults(&mut schema, defaults());
    file_of(&schema)
}

/// An enum is one list of words: editors complete it, and errors can name it.
fn simplify_enum(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.get("oneOf") else { return };
    let words: Vec<Value> = variants.iter().filter_map(|variant| variant.get("const")).cloned().collect();
    if words.len() == variants.len() {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), json!("string"));
        schema.insert("enum".to_owned(), Value::Array(words));
    }
}

/// How a number is kept in memory is nobody's business.
fn simplify_number(schema: &mut Schema) {
    if schema.get("type").is_some_and(|kind| kind == "integer") {
        schema.remove("format");
    }
}

/// Unknown fields are refused, and none is required.
fn close_object(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.remove("required");
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// But an element of a list, which has no default to fill it up, must name all of its fields.
fn require_in_items(schema: &mut Schema) {
    let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) else { return };
    if let Some(Value::Object(properties)) = items.get("properties") {
        let names: Vec<_> = properties.keys().cloned().collect();
        items.insert("required".to_owned(), json!(names));
    }
}

/// A mutation may only be given roles where it means something, and at least one: `mode: off` is how it is switched off.
fn limit_roles(schema: &mut Value) {
    for mutation in Mutation::ALL {
        let roles = &mut schema["properties"]["mutations"]["properties"][mutation.name()]["properties"]["roles"];
        roles["items"] = json!({"type": "string", "enum": Mutations::possible_roles(mutation)});
        roles["minItems"] = json!(1);
    }
}

/// Every field that holds no further fields says what it is when it is not written.
fn add_defaults(schema: &mut Value, defaults: &Value) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties {
            add_defaults(property, &defaults[name.as_str()]);
        }
    } else {
        schema["default"] = defaults.clone();
    }
}

/// The schema of a file: of `apiVersion` and `kind`, the two fields that it must have, and of the settings. In the order of a reader.
fn file_of(settings: &Value) -> Value {
    let mut properties = Map::new();
    for (name, description, only) in
        [("apiVersion", "The version of this format.", API_VERSION), ("kind", "What this file is.", KIND)]
    {
        properties.insert(name.to_owned(), json!({"description": description, "type": "string", "enum": [only]}));
    }
    properties.extend(settings["properties"].as_object().cloned().unwrap_or_default());
    json!({
        "$schema": settings["$schema"],
        "title": "The policy of spark-admission",
        "description": settings["description"],
        "type": "object",
        "required": ["apiVersion", "kind"],
        "additionalProperties": false,
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field of the default policy, with its path.
    fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
        if let Value::Object(map) = value {
            for (name, value) in map {
                let path = format!("{path}/properties/{name}");
                found.push(path.clone());
                fields(value, &path, found);
            }
        }
    }

    #[test]
    fn knows_every_field_with_a_description() {
        let mut found = Vec::new();
        fields(defaults(), "", &mut found);
        assert!(found.len() > 40, "{found:?}");
        for field in found {
            let schema = schema().pointer(&field).unwrap_or_else(|| panic!("{field} is not in the schema"));
            assert!(schema["description"].as_str().is_some_and(|text| text.len() > 10), "{field} has no description");
        }
    }

    #[test]
    fn says_what_a_field_is_when_it_is_not_written() {
        let ivy_cache = &schema()["properties"]["mutations"]["properties"]["ivy-cache"]["properties"];
        assert_eq!(ivy_cache["sizeLimit"]["default"], "512Mi");
        assert_eq!(ivy_cache["medium"]["enum"], json!(["Memory", "Disk"]));
        assert_eq!(ivy_cache["roles"]["default"], json!(["driver", "connect-server", "notebook"]));
    }

    #[test]
    fn offers_only_possible_roles() {
        let roles = &schema()["properties"]["mutations"]["properties"]["spark-user"]["properties"]["roles"];
        assert_eq!(roles["items"]["enum"], json!(["driver", "executor", "connect-server"]));
    }

    #[test]
    fn names_only_formats_that_are_tested() {
        fn visit(value: &Value) {
            if let Some(Value::String(format)) = value.get("format") {
                assert!(super::super::formats::test_of(format).is_some(), "{format}");
            }
            match value {
                Value::Object(map) => map.values().for_each(visit),
                Value::Array(items) => items.iter().for_each(visit),
                _ => {}
            }
        }
        visit(schema());
    }
}
