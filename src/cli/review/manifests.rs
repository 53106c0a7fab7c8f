//! Documents to reviews: what the API server would send the webhook if the manifest were applied to an empty cluster.

use std::fmt;

use serde_json::{Value, json};

use super::documents::{Broken, Document, documents};

/// Where an object stands: what a user must find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file as the user named it; `-` is standard input.
    pub(super) file: String,
    /// The document in the file, from 1.
    pub(super) document: usize,
    /// The items of lists, from 1, outermost first; none where the object is no item.
    pub(super) items: Vec<usize>,
    /// The line that the document begins on, from 1.
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, document {}", title(&self.file), self.document)?;
        self.items.iter().try_for_each(|item| write!(formatter, ", item {item}"))
    }
}

/// A file as messages name it.
pub(super) fn title(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

/// An object and the AdmissionReview that carries it.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Where it stands.
    pub(super) place: Place,
    /// The AdmissionReview, made up or as it was found.
    pub(super) review: Value,
}

/// A document, or an item of a list, that holds no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, line {line}: {message}")]
pub(super) struct Unreadable {
    place: Place,
    line: usize,
    message: String,
}

impl Unreadable {
    /// Says what is wrong with the object that stands at `place`.
    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { line: place.line, place, message: message.into() }
    }
}

/// The reviews of a file's objects. Objects that name no namespace are in `namespace`.
pub(super) fn manifests(file: &str, text: &str, namespace: &str) -> Vec<Result<Manifest, Unreadable>> {
    let review = |(place, object)| {
        let review = if is_review(&object) { object } else { creation(object, namespace, &place) };
        Manifest { place, review }
    };
    objects(file, text).into_iter().map(|object| object.map(review)).collect()
}

/// The objects of a file; lists are unrolled.
pub(super) fn objects(file: &str, text: &str) -> Vec<Result<(Place, Value), Unreadable>> {
    let mut objects = Vec::new();
    for Document { number, line, content } in documents(text) {
        let place = Place { file: file.to_owned(), document: number, items: Vec::new(), line };
        match content {
            Ok(object) => unroll(place, object, &mut objects),
            Err(Broken { line, message }) => objects.push(Err(Unreadable { place, line, message })),
        }
    }
    objects
}

fn unroll(place: Place, mut object: Value, objects: &mut Vec<Result<(Place, Value), Unreadable>>) {
    if let Some(items) = items(&mut object) {
        for (index, mut item) in items.into_iter().enumerate() {
            let mut place = place.clone();
            place.items.push(index + 1);
            complete(&mut item, &object);
            unroll(place, item, objects);
        }
    } else {
        objects.push(match fault(&object) {
            Some(message) => Err(Unreadable::at(place, message)),
            None => Ok((place, object)),
        });
    }
}

/// The items of a list (`List`, or one of a type such as `SparkApplicationList`), taken out of it.
fn items(object: &mut Value) -> Option<Vec<Value>> {
    text(object, "kind").ends_with("List").then_some(())?;
    match object.get_mut("items")?.take() {
        Value::Array(items) => Some(items),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

/// Items of a list with a type need not say what they are.
fn complete(item: &mut Value, list: &Value) {
    let Some(members) = item.as_object_mut() else { return };
    let kind = text(list, "kind").trim_end_matches("List");
    if kind.is_empty() {
        return;
    }
    for (index, (key, value)) in [("apiVersion", text(list, "apiVersion")), ("kind", kind)].into_iter().enumerate() {
        if !members.contains_key(key) {
            members.shift_insert(index.min(members.len()), key.to_owned(), value.into());
        }
    }
}

/// Why a value is no object that could be sent to an API server.
fn fault(object: &Value) -> Option<String> {
    let found = match object {
        Value::Object(_) => {
            let missing = ["apiVersion", "kind"].into_iter().find(|key| text(object, key).is_empty())?;
            return Some(format!("{missing} is missing; every Kubernetes object has an apiVersion and a kind"));
        }
        Value::Array(_) => "a list; put its elements under items: of an object with apiVersion: v1 and kind: List",
        Value::String(_) => "a text; a Kubernetes object with apiVersion and kind must stand here",
        _ => "a single value; a Kubernetes object with apiVersion and kind must stand here",
    };
    Some(format!("this is {found}"))
}

fn is_review(object: &Value) -> bool {
    text(object, "kind") == "AdmissionReview" && text(object, "apiVersion").starts_with("admission.k8s.io/")
}

/// The review of the object's creation.
fn creation(object: Value, namespace: &str, place: &Place) -> Value {
    let api_version = text(&object, "apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = text(&object, "kind");
    let metadata = &object["metadata"];
    let namespace = Some(text(metadata, "namespace")).filter(|own| !own.is_empty()).unwrap_or(namespace);
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid(place),
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": kind.to_lowercase() + "s"},
            "name": text(metadata, "name"),
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "review"},
            "object": null,
            "oldObject": null,
            "dryRun": true,
        },
    });
    review["request"]["object"] = object;
    review
}

/// Distinct in a file and the same every time: directories of nameless objects are made of it.
fn uid(place: &Place) -> String {
    place.items.iter().fold(format!("offline-{}", place.document), |uid, item| format!("{uid}-{item}"))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each object as `place: kind namespace/name`, or why there is none.
    fn read(text: &str) -> Vec<String> {
        let manifests = manifests("f.yaml", text, "team").into_iter().map(|manifest| match manifest {
            Ok(Manifest { place, review }) => {
                let request = &review["request"];
                let kind = &request["kind"];
                let [group, version, kind] = ["group", "version", "kind"].map(|key| super::text(kind, key).to_owned());
                let [namespace, name] = ["namespace", "name"].map(|key| super::text(request, key).to_owned());
                format!("{place}: {group}/{version} {kind} {namespace}/{name}")
            }
            Err(unreadable) => unreadable.to_string(),
        });
        manifests.collect()
    }

    #[test]
    fn makes_reviews() {
        let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
        for (case, text, expected) in [
            ("a core kind", pod("a"), vec!["f.yaml, document 1: /v1 Pod team/a"]),
            (
                "a kind of a group, with a namespace",
                "apiVersion: g.io/v2\nkind: K\nmetadata: {name: a, namespace: n}".to_owned(),
                vec!["f.yaml, document 1: g.io/v2 K n/a"],
            ),
            (
                "a list of anything",
                "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- 3\n"
                    .to_owned(),
                vec![
                    "f.yaml, document 1, item 1: /v1 Pod team/a",
                    "f.yaml, document 1, item 2, line 1: this is a single value; a Kubernetes object with apiVersion \
                     and kind must stand here",
                ],
            ),
            (
                "items of a list with a type need not say what they are",
                "apiVersion: g.io/v2\nkind: KList\nitems: [{metadata: {name: a}}]".to_owned(),
                vec!["f.yaml, document 1, item 1: g.io/v2 K team/a"],
            ),
            ("an empty list", "apiVersion: v1\nkind: List\nitems:\n".to_owned(), vec![]),
            (
                "a kind that is called a list and holds none",
                "apiVersion: g.io/v1\nkind: AllowList\nmetadata: {name: a}".to_owned(),
                vec!["f.yaml, document 1: g.io/v1 AllowList team/a"],
            ),
            (
                "no object among others",
                pod("a") + "---\nkind: Pod\n---\n" + &pod("b"),
                vec![
                    "f.yaml, document 1: /v1 Pod team/a",
                    "f.yaml, document 2, line 5: apiVersion is missing; every Kubernetes object has an apiVersion \
                     and a kind",
                    "f.yaml, document 3: /v1 Pod team/b",
                ],
            ),
            (
                "a review as it is",
                r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"namespace":"n"}}"#
                    .to_owned(),
                vec!["f.yaml, document 1: /  n/"],
            ),
        ] {
            assert_eq!(read(&text), expected, "{case}");
        }
    }

    #[test]
    fn the_kind_of_an_item_is_written_before_its_other_members() {
        let text = "apiVersion: g.io/v2\nkind: KList\nitems: [{metadata: {name: a}}]";
        let manifest = manifests("f", text, "n").remove(0).unwrap();
        let object = manifest.review["request"]["object"].to_string();
        assert_eq!(object, r#"{"apiVersion":"g.io/v2","kind":"K","metadata":{"name":"a"}}"#);
    }
}
