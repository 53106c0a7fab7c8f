//! `shell-characters`: a `SparkConnect`'s configuration that bash makes something else of.
//!
//! The operator joins the server's arguments with blanks and gives them to `bash -c`; keys, values and image stand in them as they are
//! (internal/controller/sparkconnect/options.go and reconciler.go, 2.4.0 to 2.5.2). What surely becomes another command is denied: a
//! blank, and all behind it is thrown away without a word; a line break, `;` or `&`, and every argument behind it is lost; a bracket or
//! an open quote, and bash refuses it all. What may be meant, or depends on the files and variables in the server's pod, is only warned about.
//! Quotes that are closed are their author's care for all this.

use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::names::EXECUTOR_CONTAINER;
use crate::policy::plan::shortened;
use crate::policy::subject::{Container, Resource};
use crate::policy::values::coordinates::entries;
use crate::policy::values::shell::{ShellFault, fault, quoted};

/// The version of the operator that quotes what it joins (kubeflow/spark-operator#3051, on its way as of 2.5.2).
const QUOTING: (u32, u32) = (2, 6);
/// What the operator names itself and leaves out here.
const DROPPED: &str = "spark.kubernetes.driver.pod.name";
/// Lists, in which Spark wants no blanks either: in quotes they would arrive and fail.
const LISTS: [&str; 9] = [
    "spark.archives",
    "spark.extraListeners",
    "spark.files",
    "spark.jars",
    "spark.jars.excludes",
    "spark.jars.packages",
    "spark.jars.repositories",
    "spark.plugins",
    "spark.submit.pyFiles",
];
/// The longest value that is repeated to its author.
const LONGEST: usize = 60;

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if case.operator_is_at_least(QUOTING) {
        return;
    }
    for (section, prefix) in [("sparkConf", ""), ("hadoopConf", "spark.hadoop.")] {
        for (key, value) in resource.spec().get(section).members() {
            let Some(value) = value.as_str().filter(|_| key != DROPPED) else { continue };
            let place = resource.spec_path().then([section]).then([key.to_owned()]);
            let is_list = LISTS.contains(&key);
            tell(place, &format!("{prefix}{key}="), value, is_list, findings);
        }
    }
    for (place, image) in images(resource) {
        tell(place, "spark.kubernetes.container.image=", image, false, findings);
    }
}

/// The executors' image: that of the resource, or of the template's container that the operator takes for Spark's.
fn images<'a>(resource: &Resource<'a>) -> impl Iterator<Item = (FieldPath, &'a str)> {
    let spec = resource.spec().get("executor").get("template").get("spec");
    let containers: Vec<_> = Container::all(spec, "containers").collect();
    let of_spark = containers.iter().find(|container| container.name() == EXECUTOR_CONTAINER).or(containers.first());
    let at = resource.spec_path().then(["executor", "template", "spec"]);
    let of_template = of_spark.and_then(|spark| Some((spark.path_in(at).then(["image"]), spark.image()?)));
    let of_resource = || Some((resource.spec_path().then(["image"]), resource.spec().get("image").as_str()?));
    of_template.or_else(of_resource).into_iter()
}

/// Tells what bash makes of a value behind its key.
fn tell(place: FieldPath, key: &str, value: &str, is_list: bool, findings: &mut Findings) {
    let Some(found) = fault(&format!("{key}{value}")) else { return };
    let name = key.trim_end_matches('=');
    let is_of_key = fault(key).is_some_and(|of_key| of_key == found) || fault(&format!("{key}x")) == Some(found);
    let cure = if is_of_key { format!("correct the key {name:?}") } else { cure(value, is_list) };
    let problem = problem(found, if is_of_key { name } else { value });
    if found.is_certain() {
        findings.add(place, problem, cure);
    } else {
        findings.add_likely(place, problem, cure);
    }
}

/// What the operator's shell does with a text.
fn problem(found: ShellFault, text: &str) -> String {
    let text = shortened(text, LONGEST);
    match found {
        ShellFault::Ends(character) => {
            format!("the operator passes {text:?} through bash unquoted, where the value ends at {}", named(character))
        }
        ShellFault::Open(opening) => {
            format!("the operator passes {text:?} through bash unquoted, where {opening} is never closed")
        }
        ShellFault::Comment => format!("to bash {text:?} begins a comment, which hides all that follows"),
        ShellFault::Expansion => format!("bash in the server's pod replaces what begins with $ or ` in {text:?}"),
        ShellFault::Backslash => format!("bash takes a backslash out of {text:?}"),
        ShellFault::Braces => format!("bash makes several words of the braces in {text:?}"),
        ShellFault::Pattern => format!("bash replaces {text:?} by names of files, if any match"),
    }
}

fn named(character: char) -> String {
    match character {
        ' ' | '\t' => "the blank".to_owned(),
        '\n' => "the line break".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What to write instead.
fn cure(value: &str, is_list: bool) -> String {
    let list = entries(value).collect::<Vec<_>>().join(",");
    if is_list && fault(&list).is_none() {
        return if list.len() > LONGEST {
            "write the list without blanks and line breaks".to_owned()
        } else {
            format!("write {list}")
        };
    }
    if value.ends_with('\n') && fault(value.trim_end()).is_none() {
        return "leave the line break at the end out (in YAML, write >- in place of | or >)".to_owned();
    }
    if value.len() > LONGEST {
        "put single quotes around the value, within the YAML's".to_owned()
    } else {
        format!("write {:?}", quoted(value))
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, spark_connect};
    use serde_json::{Value, json};

    fn conf(key: &str, value: &str) -> Sample {
        spark_connect().with("/spec/sparkConf", json!({key: value}))
    }

    fn told(resource: &Sample) -> String {
        resource.found(Check::ShellCharacters).join("\n")
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_bash_does_and_what_to_write() {
        let options = "spark.driver.extraJavaOptions";
        for (case, key, value, expected) in [
            ("a blank", options, "-Da=1 -Db=2", r#"spec.sparkConf[spark.driver.extraJavaOptions]: the operator passes "-Da=1 -Db=2" through bash unquoted, where the value ends at the blank; write "'-Da=1 -Db=2'""#),
            ("an operator", "spark.a", "x;y", r#"spec.sparkConf[spark.a]: the operator passes "x;y" through bash unquoted, where the value ends at ';'; write "'x;y'""#),
            ("a quote", "spark.app.name", "it's", r#"spec.sparkConf[spark.app.name]: the operator passes "it's" through bash unquoted, where ' is never closed; write "'it'\"'\"'s'""#),
            ("a list with blanks", "spark.jars.packages", "a:b:1, c:d:2", r#"spec.sparkConf[spark.jars.packages]: the operator passes "a:b:1, c:d:2" through bash unquoted, where the value ends at the blank; write a:b:1,c:d:2"#),
            ("a list over lines", "spark.jars.packages", "a:b:1,\nc:d:2\n", r#"spec.sparkConf[spark.jars.packages]: the operator passes "a:b:1,\nc:d:2\n" through bash unquoted, where the value ends at the line break; write a:b:1,c:d:2"#),
            ("a block of YAML", "spark.a", "x\n", r#"spec.sparkConf[spark.a]: the operator passes "x\n" through bash unquoted, where the value ends at the line break; leave the line break at the end out (in YAML, write >- in place of | or >)"#),
            ("a blank in the key", "spark.a b", "x", r#"spec.sparkConf.spark.a b: the operator passes "spark.a b" through bash unquoted, where the value ends at the blank; correct the key "spark.a b""#),
            ("a key that is commented out", "#spark.a", "x", r##"spec.sparkConf[#spark.a]: to bash "#spark.a" begins a comment, which hides all that follows; correct the key "#spark.a""##),
            ("a variable", "spark.a", "$X", r#"spec.sparkConf[spark.a]: bash in the server's pod replaces what begins with $ or ` in "$X"; write "'$X'" (at most a warning)"#),
            ("a backslash", "spark.a", r"x\.y", r#"spec.sparkConf[spark.a]: bash takes a backslash out of "x\\.y"; write "'x\\.y'" (at most a warning)"#),
            ("a pattern", "spark.a", "/x/*", r#"spec.sparkConf[spark.a]: bash replaces "/x/*" by names of files, if any match; write "'/x/*'" (at most a warning)"#),
            ("braces", "spark.a", "{x,y}", r#"spec.sparkConf[spark.a]: bash makes several words of the braces in "{x,y}"; write "'{x,y}'" (at most a warning)"#),
            ("closed quotes", options, "'-Da=1 -Db=2'", ""),
            ("closed quotes within", options, "\"-Da=1 -Db=2\"", ""),
            ("an address", "spark.a", "s3a://bucket/path?x", r#"spec.sparkConf[spark.a]: bash replaces "s3a://bucket/path?x" by names of files, if any match; write "'s3a://bucket/path?x'" (at most a warning)"#),
            ("what is left out", "spark.kubernetes.driver.pod.name", "a b", ""),
            ("a blank around", "spark.a", "x ", ""),
            ("a usual value", "spark.a", "org.x:y_2.12:1,~/a#b!c=%d{HH:mm}", ""),
        ] {
            assert_eq!(told(&conf(key, value)).replace("spec.sparkConf[spark.a b]", "spec.sparkConf.spark.a b"), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn looks_where_the_operator_takes_its_arguments() {
        let image = |image: &str| json!([{"name": "log", "image": "a b"}, {"name": "spark-kubernetes-executor", "image": image}]);
        for (case, resource, expected) in [
            ("Hadoop's configuration", spark_connect().with("/spec/hadoopConf", json!({"fs.a": "x y"})), "spec.hadoopConf[fs.a]: "),
            ("the image", spark_connect().with("/spec/image", "a b"), "spec.image: "),
            ("the image of executors", spark_connect().with("/spec/executor/template/spec/containers", image("a;b")), "spec.executor.template.spec.containers[1].image: "),
            ("the server's environment, which is none of it", spark_connect().with("/spec/server/template/spec/containers", json!([{"env": [{"name": "A", "value": "x y"}]}])), ""),
            ("labels, which can hold none", spark_connect().with("/metadata/labels/team", "a.b-c_d"), ""),
            ("nothing at all", spark_connect().with("/spec/sparkConf", Value::Null), ""),
            ("an operator that quotes", conf("spark.a", "x y").beside_operator("2.6.0"), ""),
            ("one that does not", conf("spark.a", "x y").beside_operator("2.5.2"), "spec.sparkConf[spark.a]: "),
            ("what is no text", spark_connect().with("/spec/sparkConf", json!({"spark.a": 1, "spark.b": null})), ""),
        ] {
            let told = told(&resource);
            assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{case}: {told}");
        }
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        let told = told(&conf("spark.a", &"x ".repeat(100)));
        assert!(
            told.chars().count() < 250 && told.ends_with("put single quotes around the value, within the YAML's"),
            "{told}"
        );
    }
}
