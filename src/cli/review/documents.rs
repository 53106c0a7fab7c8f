//! A file's text to its documents, as kubectl reads them.
//!
//! The text is split at its separators before any of it is read, so that one broken document does not hide the others.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, MessageFormatter, UserMessageFormatter};

/// The most values of one YAML document: some 100,000 pods.
const MOST_NODES: usize = 50_000_000;

/// One document of a file.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Document {
    /// Its number in the file, from 1; documents that hold nothing have none.
    pub(in crate::cli) number: usize,
    /// The line that it begins on, from 1.
    pub(in crate::cli) line: usize,
    /// What it holds, or why that cannot be read.
    pub(in crate::cli) content: Result<Value, Broken>,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Broken {
    /// The line of the file, from 1.
    pub(in crate::cli) line: usize,
    /// What is wrong there.
    pub(in crate::cli) message: String,
}

/// The documents of a YAML or JSON text that hold anything.
pub(in crate::cli) fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents = chunks(text).into_iter().flat_map(Chunk::read);
    let held = documents.filter(|(_, content)| !matches!(content, Ok(Value::Null)));
    held.enumerate().map(|(index, (line, content))| Document { number: index + 1, line, content }).collect()
}

/// What stands between two separators.
#[derive(Debug, Clone, Copy)]
struct Chunk<'a> {
    /// The line that it begins on, from 1.
    line: usize,
    text: &'a str,
}

/// The parts of the text between its separators, those without content left out.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut offset, mut line) = (0, 0, 1);
    for (index, content) in text.split_inclusive('\n').enumerate() {
        let end = offset + content.len();
        if let Some(next) = separator(content, offset, end) {
            chunks.push(Chunk { line, text: &text[start..offset] });
            line = if next == end { index + 2 } else { index + 1 };
            start = next;
        }
        offset = end;
    }
    chunks.push(Chunk { line, text: &text[start..] });
    chunks.into_iter().filter_map(Chunk::trimmed).collect()
}

/// Where the next document begins, if this line (from `offset` to `end`) ends the one before.
fn separator(line: &str, offset: usize, end: usize) -> Option<usize> {
    if line.trim_end() == "..." {
        return Some(end);
    }
    let rest = line.strip_prefix("---")?;
    if is_blank(rest) {
        return Some(end);
    }
    // `--- {a: b}`: the document begins on the line of its separator.
    rest.starts_with([' ', '\t']).then_some(offset)
}

/// Whether a line holds nothing but a comment.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

impl Chunk<'_> {
    /// Without the comments and directives before its content; nothing where there is no content.
    fn trimmed(self) -> Option<Self> {
        let mut offset = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if !is_blank(line) && !line.starts_with('%') {
                return Some(Self { line: self.line + index, text: &self.text[offset..] });
            }
            offset += line.len();
        }
        None
    }

    /// Its documents, each with its line: one of YAML, or any number of JSON one after another.
    fn read(self) -> Vec<(usize, Result<Value, Broken>)> {
        if !self.text.trim_start().starts_with('{') {
            return vec![(self.line, self.yaml())];
        }
        let mut documents = self.json();
        // What JSON's parser refuses at once may still be YAML's flow style, `{a: b}`.
        if let [(_, Err(of_json))] = documents.as_slice() {
            let content = self.yaml().map_err(|of_yaml| if self.looks_like_json() { of_json.clone() } else { of_yaml });
            documents = vec![(self.line, content)];
        }
        documents
    }

    fn looks_like_json(self) -> bool {
        let inside = self.text.trim_start().trim_start_matches('{').trim_start();
        inside.starts_with(['"', '}'])
    }

    fn json(self) -> Vec<(usize, Result<Value, Broken>)> {
        let mut documents = Vec::new();
        let mut stream = serde_json::Deserializer::from_str(self.text).into_iter::<Value>();
        loop {
            let rest = &self.text[stream.byte_offset()..];
            let start = self.text.len() - rest.trim_start().len();
            let line = self.line + self.text[..start].matches('\n').count();
            match stream.next() {
                None => return documents,
                Some(Ok(value)) => documents.push((line, Ok(value))),
                Some(Err(error)) => {
                    documents.push((line, Err(self.broken_json(&error))));
                    return documents;
                }
            }
        }
    }

    fn broken_json(self, error: &serde_json::Error) -> Broken {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Broken { line: self.line + error.line().saturating_sub(1), message: format!("no JSON: {message}") }
    }

    fn yaml(self) -> Result<Value, Broken> {
        // As kubectl: 0644 is octal, of two equal keys the last counts. As YAML 1.2: `on` is a text.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            legacy_octal_numbers: true,
            duplicate_keys: DuplicateKeyPolicy::LastWins,
            with_snippet: false,
            // Whole clusters are saved as one list, and one anchor may serve them all; what aliases expand to stays limited, and so is the depth, by the
            // parser's default.
            budget: serde_saphyr::budget! {
                max_events: MOST_NODES,
                max_nodes: MOST_NODES,
                max_total_scalar_bytes: usize::MAX,
                enforce_alias_anchor_ratio: false,
            },
        };
        serde_saphyr::from_str_with_options(self.text, options).map_err(|error| {
            let line = error.location().and_then(|place| usize::try_from(place.line()).ok()).unwrap_or(1);
            let mut message = format!("no YAML: {}", UserMessageFormatter.format_message(&error));
            if self.text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains("{{")) {
                message += "; {{ marks a template, which must be rendered first, as `helm template` does";
            }
            Broken { line: self.line + line.saturating_sub(1), message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each document as `line: content`, broken ones with an exclamation mark at the line of their fault.
    fn read(text: &str) -> Vec<String> {
        let documents = documents(text).into_iter().enumerate().map(|(index, document)| {
            assert_eq!(document.number, index + 1, "documents are numbered one after another");
            match document.content {
                Ok(value) => format!("{}: {value}", document.line),
                Err(broken) => format!("{}!", broken.line),
            }
        });
        documents.collect()
    }

    #[test]
    fn splits_like_kubectl() {
        for (case, text, expected) in [
            ("one", "a: 1\n", vec![r#"1: {"a":1}"#]),
            ("two", "a: 1\n---\na: 2\n", vec![r#"1: {"a":1}"#, r#"3: {"a":2}"#]),
            ("nothing at all", "", vec![]),
            ("only separators and comments", "---\n# a comment\n\n---\n---\n", vec![]),
            ("a separator first", "---\na: 1\n", vec![r#"2: {"a":1}"#]),
            ("comments around separators", "--- # one\na: 1\n---# two\na: 2", vec![r#"2: {"a":1}"#, r#"4: {"a":2}"#]),
            ("a document beside its separator", "--- {a: 1}\n--- {a: 2}\n", vec![r#"1: {"a":1}"#, r#"2: {"a":2}"#]),
            ("the end of a document", "a: 1\n...\n---\na: 2\n", vec![r#"1: {"a":1}"#, r#"4: {"a":2}"#]),
            ("line ends of Windows", "a: 1\r\n---\r\na: 2\r\n", vec![r#"1: {"a":1}"#, r#"3: {"a":2}"#]),
            ("a byte order mark and a directive", "\u{feff}%YAML 1.2\n---\na: 1\n", vec![r#"3: {"a":1}"#]),
            ("null is nothing", "null\n---\n~\n", vec![]),
            ("dashes in a text", "a: |\n  ---\n  b\n", vec![r#"1: {"a":"---\nb\n"}"#]),
            ("a key that begins with dashes", "---a: 1\n", vec![r#"1: {"---a":1}"#]),
            (
                "JSON, one after another",
                "{\"a\":1}\n\n{\"a\":2}{\"a\":3}",
                vec![r#"1: {"a":1}"#, r#"3: {"a":2}"#, r#"3: {"a":3}"#],
            ),
            ("YAML that begins like JSON", "{a: 1}\n", vec![r#"1: {"a":1}"#]),
        ] {
            assert_eq!(read(text), expected, "{case}");
        }
    }

    #[test]
    fn a_broken_document_does_not_hide_the_others() {
        for (case, text, expected) in [
            ("in the middle", "a: 1\n---\n# c\na: b: c\n---\na: 2\n", vec![r#"1: {"a":1}"#, "4!", r#"6: {"a":2}"#]),
            ("a warning in front", "W: x is: y\n---\na: 2\n", vec!["1!", r#"3: {"a":2}"#]),
            ("a tab", "a:\n\t- b\n", vec!["2!"]),
            ("broken JSON", "{\"a\": 1,\n \"b\": ]\n", vec!["2!"]),
            ("the second JSON is broken", "{\"a\":1}\n{\"a\":]\n", vec![r#"1: {"a":1}"#, "2!"]),
            ("no end of a text", "a: 1\nb: \"x\n", vec!["2!"]),
            ("infinity is no JSON", "a: 1\nb: .inf\n", vec!["2!"]),
        ] {
            assert_eq!(read(text), expected, "{case}");
        }
    }

    #[test]
    fn reads_a_whole_cluster_in_one_list() {
        let read = documents(&format!("items:\n{}", "- 1\n".repeat(300_000)));
        assert_eq!(read[0].content.as_ref().unwrap()["items"].as_array().unwrap().len(), 300_000);
        let aliases = format!("items:\n- &one {{name: a}}\n{}", "- *one\n".repeat(1_000));
        assert!(documents(&aliases)[0].content.is_ok());
    }

    #[test]
    fn templates_that_were_not_rendered_are_told_from_broken_yaml() {
        for text in ["a: {{ .Values.a }}\n", "{{- if .Values.a }}\na: 1\n{{- end }}\n"] {
            let broken = documents(text)[0].content.clone().unwrap_err();
            assert!(broken.message.contains("must be rendered first"), "{broken:?}");
        }
    }

    #[test]
    fn reads_scalars_like_kubectl() {
        for (text, expected) in [
            ("512m", json!("512m")),
            ("1.6Gi", json!("1.6Gi")),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("1_000", json!(1000)),
            ("1.10", json!(1.1)),
            ("1e3", json!(1000.0)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("2024-01-01", json!("2024-01-01")),
            ("12:30:45", json!("12:30:45")),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("true", json!(true)),
            ("~", json!(null)),
            ("\"0644\"", json!("0644")),
            ("!!str 5", json!("5")),
            ("|\n  x\n  y\nb: 1", json!("x\ny\n")),
            (">-\n  x\n  y", json!("x y")),
            ("\"x\\\n  y\"", json!("xy")),
            ("[&a {b: 1}, *a]", json!([{"b": 1}, {"b": 1}])),
            ("{<<: {b: 1}, c: 2}", json!({"c": 2, "b": 1})),
            ("1\na: 2", json!(2)),
            ("{3.10: x, true: y}", json!({"3.10": "x", "true": "y"})),
        ] {
            let documents = documents(&format!("a: {text}\n"));
            let value = documents[0].content.as_ref().unwrap();
            assert_eq!(value["a"], expected, "{text}");
        }
    }
}
