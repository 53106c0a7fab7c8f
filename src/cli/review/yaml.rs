//! Objects as YAML that people read and every parser takes back: block style, the keys in their order, and quotes around texts that
//! YAML 1.1 or 1.2 would take for something else.

use serde_json::Value;

/// The value as a YAML document, with a line break at its end.
///
/// # Errors
/// None in practice: a JSON value holds nothing that YAML cannot.
pub(super) fn yaml(value: &Value) -> Result<String, serde_saphyr::SerializeError> {
    // Long lines stay lines: arguments of Spark are long, and a folded one cannot be searched for.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = serde_saphyr::to_string_with_options(value, options)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::documents::documents;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(value: &Value) -> String {
        yaml(value).unwrap()
    }

    #[test]
    fn is_readable() {
        let object = json!({
            "metadata": {"name": "pi", "labels": {"version": "3.5"}},
            "spec": {"args": ["driver", "512m"], "script": "a\nb\n", "on": "yes", "mode": "0644", "day": "2024-01-01",
                     "empty": {}, "none": [], "nothing": null, "long": "x ".repeat(60) + "x"},
        });
        let expected = "metadata:\n  name: pi\n  labels:\n    version: \"3.5\"\nspec:\n  args:\n  - driver\n  - 512m\n  \
                        script: |\n    a\n    b\n  \"on\": \"yes\"\n  mode: \"0644\"\n  day: \"2024-01-01\"\n  empty: {}\n  none: []\n  \
                        nothing: null\n  long: "
            .to_owned()
            + &"x ".repeat(60)
            + "x\n";
        assert_eq!(written(&object), expected);
    }

    /// What YAML might take for something else than a text, or for none at all.
    fn odd_text() -> impl Strategy<Value = String> {
        static ODD: &[&str] = &[
            "",
            " ",
            "\n",
            "\n\n",
            "yes",
            "no",
            "on",
            "off",
            "y",
            "n",
            "true",
            "null",
            "~",
            "0644",
            "0o644",
            "0x1F",
            "1_000",
            "1.10",
            "1e3",
            ".inf",
            "-.inf",
            ".nan",
            "12:30:45",
            "2024-01-01",
            "2024-01-01T00:00:00Z",
            "+5",
            "-0",
            "-",
            "- x",
            "a: b",
            "a #b",
            "#x",
            "*x",
            "&x",
            "!x",
            "%x",
            "@x",
            "`x`",
            "{x",
            "[x",
            "x]",
            "|",
            ">",
            "?",
            "? x",
            "=",
            "<<",
            "---",
            "...",
            "it's",
            "say \"x\"",
            "a\\b",
            "a\tb",
            "\ta",
            "x \ny ",
            "  x\ny",
            "x\n  y\n\n\n",
            "a\r\nb",
            "\r",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{0}",
            "\u{7f}",
            "${FOO}",
            "$(x)",
            "x:",
            ":x",
            ",",
            "a, b",
            "--conf a=b",
            "…",
        ];
        prop_oneof![proptest::sample::select(ODD).prop_map(str::to_owned), "[ -~\n\t]{0,40}", any::<String>()]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no infinity", |it| it.is_finite()).prop_map(Value::from),
            odd_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((odd_text(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(value in any_value()) {
            let value = json!({"spec": value});
            let text = written(&value);
            let documents = documents(&text);
            prop_assert_eq!(documents.len(), 1, "{}", text);
            let back = documents[0].content.as_ref().map_err(|broken| TestCaseError::fail(format!("{broken:?}\n{text}")))?;
            prop_assert_eq!(back.to_string(), value.to_string(), "{}", text);
        }
    }
}
