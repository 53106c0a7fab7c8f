//! The documentation's examples are read by the parsers of the server, its tables name every field and every reason, and its
//! links lead somewhere.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use serde_json::{Value, json};
use spark_admission::cli::review::{Output, ReviewCommand};
use spark_admission::doctor::Symptom;
use spark_admission::policy::configuration::schema;
use spark_admission::policy::outcome::{Skip, Untouched};
use spark_admission::policy::{Check, Mutation, Policy, names};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The page of this path from the repository's root.
fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages in the repository's root, and those of administrators.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<_> = ["", "docs", "certs", "manifests/helm/spark-admission", "manifests/helm/spark"]
        .map(|folder| root().join(folder))
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect();
    pages.sort();
    pages
}

/// The page without what stands between fences, where `#` begins no heading and brackets no link.
fn prose(page: &str) -> String {
    let mut inside = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What follows a heading of the second level, up to the next.
fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n"))?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

/// The YAML blocks of a page, each with the line that it begins on.
fn yaml_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (i, line) in page.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```yaml" => block = Some((i + 2, String::new())),
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some((_, text)) => text.extend([line, "\n"]),
            None => {}
        }
    }
    blocks
}

/// `spark-admission review FILE` for whoever has no policy and no cluster.
fn review(file: &str, output: Output) -> ReviewCommand {
    ReviewCommand {
        files: vec![file.to_owned()],
        kubeconfig: None,
        context: None,
        output,
        policy: None,
        namespace: "default".to_owned(),
        namespace_labels: Vec::new(),
        openshift: false,
        nodes: None,
        events: None,
        colour: false,
    }
}

#[test]
fn every_policy_in_the_documentation_is_right() {
    let mut read = 0;
    for path in pages() {
        for (line, block) in yaml_blocks(&fs::read_to_string(&path).unwrap()) {
            if block.lines().any(|line| line == "kind: Policy") {
                Policy::parse(&block).unwrap_or_else(|error| panic!("{}:{line}: {error}", path.display()));
                read += 1;
            }
        }
    }
    assert!(read >= 8, "only {read} policies found: are the blocks still marked as yaml?");
}

#[test]
fn the_page_on_the_policy_names_every_field_and_word() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.push(name.clone());
            let words = property["enum"].as_array().or(property["items"]["enum"].as_array());
            found.extend(words.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned));
            names(property, found);
        }
    }
    let page = page("docs/policy.md");
    let mut found = Vec::new();
    names(schema(), &mut found);
    for name in found {
        let named = [format!("`{name}`"), format!("{name}:"), format!("`{name}."), format!(".{name}`")]
            .iter()
            .any(|form| page.contains(form));
        assert!(named, "docs/policy.md does not name {name}");
    }
}

#[test]
fn the_error_in_the_page_on_the_policy_is_what_the_parser_says() {
    let page = page("docs/policy.md");
    let file = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmutations: {ivy-cahce: {}, ivy-dir: {submission: never}}";
    let error = Policy::parse(file).unwrap_err();
    assert!(page.contains(&format!("policy.yaml: {error}\n")), "{error}");
}

#[test]
fn every_mutation_has_its_section() {
    let page = page("docs/mutations.md");
    for mutation in Mutation::ALL {
        let name = mutation.name();
        let section = section(&page, name).unwrap_or_else(|| panic!("docs/mutations.md has no section ## {name}"));
        for part in ["**Without it.**", "**What it does**", "**Settings**", "**Opting out**", "**What it costs.**"] {
            assert!(section.contains(part), "docs/mutations.md, {name}: {part} is missing");
        }
        assert!(section.contains(&format!("mutations:\n  {name}:\n")), "docs/mutations.md, {name}: no example policy");
        assert!(
            section.contains(&format!("spark-admission.io/skip: {name}`")),
            "docs/mutations.md, {name}: no opt-out"
        );
    }
}

#[test]
fn every_check_has_its_row_and_its_section() {
    let page = page("docs/checks.md");
    for check in Check::ALL {
        let (name, level) = (check.name(), format!("{:?}", check.default_level()).to_lowercase());
        let row = format!("| [`{name}`](#{name}) | {} | {level} |\n", check.meaning());
        assert!(page.contains(&row), "docs/checks.md lacks the row {row}");
        let section = section(&page, name).unwrap_or_else(|| panic!("docs/checks.md has no section ## {name}"));
        for part in [
            format!("**Means**: {}.", check.meaning()),
            format!("**Known by**: {}.", check.known_by()),
            format!("**What to do**: {}.", check.cure()),
        ] {
            assert!(section.contains(&part), "docs/checks.md, {name}: \"{part}\" is missing");
        }
    }
}

#[test]
fn what_the_page_on_checks_shows_cures_what_they_find() {
    let page = page("docs/checks.md");
    let application =
        json!({"type": "Scala", "mode": "cluster", "sparkVersion": "4.0.0", "driver": {}, "executor": {}});
    let server = json!({"sparkVersion": "4.0.0", "server": {}, "executor": {}});
    let [applications, servers] = ["v1beta2", "v1alpha1"].map(|version| format!("sparkoperator.k8s.io/{version}"));
    let examples = [
        (
            "read-only-root",
            &applications,
            "SparkApplication",
            &application,
            json!({"driver": {"securityContext": {"readOnlyRootFilesystem": true}}}),
        ),
        ("executor-template", &servers, "SparkConnect", &server, json!({})),
        (
            "shell-characters",
            &servers,
            "SparkConnect",
            &server,
            json!({"sparkConf": {"spark.driver.extraJavaOptions": "-Da=1 -Db=2"}}),
        ),
    ];
    assert_eq!(yaml_blocks(&page).len(), examples.len(), "an example that is not tried");
    for (check, api_version, kind, spec, fault) in examples {
        let said = |cure: &Value| {
            let declined = json!({"spark-admission.io/skip": "executor-template"});
            let mut manifest = json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {"name": "report", "annotations": declined}, "spec": spec
            });
            json_patch::merge(&mut manifest["spec"], &fault);
            json_patch::merge(&mut manifest, cure);
            let mut printed = Vec::new();
            let manifest = manifest.to_string();
            review("-", Output::Explain).run(&mut manifest.as_bytes(), &mut printed, &mut std::io::sink()).unwrap();
            String::from_utf8(printed).unwrap()
        };
        let (_, cure) = yaml_blocks(section(&page, check).unwrap()).swap_remove(0);
        let (without, with) = (said(&json!({})), said(&serde_saphyr::from_str(&cure).unwrap()));
        // Not only the check, a mutation too may have the name.
        let finding = format!("{check}: spec.");
        assert!(without.contains(&finding), "{check}: {without}");
        assert!(!with.contains(&finding), "{check}: {with}");
    }
}

#[test]
fn every_reason_is_explained_by_its_name_and_sentence() {
    let page = page("docs/mutations.md");
    let skips = Skip::ALL.iter().map(|skip| (skip.name(), skip.sentence()));
    let untouched = Untouched::ALL.iter().map(|why| (why.name(), why.sentence()));
    for (name, sentence) in skips.chain(untouched) {
        let row = format!("| `{name}` | {sentence} | ");
        assert!(page.contains(&row), "docs/mutations.md lacks a row that begins with {row}");
    }
}

#[test]
fn every_row_of_reasons_is_true() {
    let known: HashMap<_, _> = Skip::ALL
        .iter()
        .map(|skip| (skip.name(), skip.sentence()))
        .chain(Untouched::ALL.iter().map(|why| (why.name(), why.sentence())))
        .collect();
    let page = page("docs/mutations.md");
    for (heading, rows) in page.split("\n\n").filter_map(|part| part.split_once("\n|---|---|---|\n")) {
        if heading != "| reason | sentence | |" {
            continue;
        }
        for row in rows.lines() {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let (name, sentence) = (cells[1].trim_matches('`'), cells[2]);
            assert_eq!(known.get(name), Some(&sentence), "docs/mutations.md: {row}");
        }
    }
}

#[test]
fn every_label_and_annotation_of_ours_is_explained() {
    let page = page("docs/mutations.md");
    for key in
        [names::ENABLED, names::SKIP, names::MUTATED, names::IVY_DIR, names::IVY_CACHE_MEDIUM, names::IVY_CACHE_SIZE]
    {
        assert!(page.contains(&format!("\n| `{key}")), "docs/mutations.md has no row for {key}");
    }
}

#[test]
fn every_finding_of_the_doctor_has_its_section_and_every_section_a_finding() {
    let page = page("docs/troubleshooting.md");
    let platform = section(&page, "The platform").unwrap();
    let work = section(&page, "Single applications, servers and pods").unwrap();
    let sections = |part: &str| {
        let headings = part.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned);
        headings.collect::<std::collections::BTreeSet<_>>()
    };
    let findings = |of_platform: bool| {
        let all = Symptom::ALL.iter().filter(|symptom| symptom.is_of_platform() == of_platform);
        all.map(|symptom| symptom.name().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(sections(platform), findings(true), "docs/troubleshooting.md, the platform");
    assert_eq!(sections(work), findings(false), "docs/troubleshooting.md, single applications");
}

#[test]
fn every_flag_of_the_doctor_has_its_row() {
    let page = page("docs/troubleshooting.md");
    let arguments = <spark_admission::args::Arguments as clap::CommandFactory>::command();
    let flags = arguments.find_subcommand("doctor").unwrap().get_arguments().filter_map(|it| it.get_long());
    for flag in flags.filter(|flag| *flag != "output") {
        assert!(
            page.contains(&format!("`--{flag}`")) || page.contains(&format!("`--{flag} ")),
            "docs/troubleshooting.md: --{flag}"
        );
    }
}

/// Where the links of a page lead.
fn links(page: &str) -> Vec<String> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The names by which headings can be linked to, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_between_files_leads_somewhere() {
    let mut followed = 0;
    for path in pages() {
        let text = prose(&fs::read_to_string(&path).unwrap());
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} does not exist", path.display());
            if !anchor.is_empty() {
                let anchors = anchors(&prose(&fs::read_to_string(&target).unwrap()));
                assert!(anchors.iter().any(|it| it == anchor), "{}: {link}: no such heading", path.display());
            }
            followed += 1;
        }
    }
    assert!(followed >= 20, "only {followed} links followed: are they still written as [text](target)?");
}

#[test]
fn every_target_of_make_that_a_page_names_exists() {
    let makefile = page("Makefile");
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let named = text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ', '\n']).next());
        for target in named {
            assert!(makefile.contains(&format!("\n{target}: ")), "{}: there is no make {target}", path.display());
        }
    }
}

#[test]
fn readme_and_changelog_name_every_mutation() {
    let (readme, changelog) = (page("README.md"), page("CHANGELOG.md"));
    for mutation in Mutation::ALL {
        let name = mutation.name();
        assert!(readme.contains(&format!("| [`{name}`](docs/mutations.md#{name}) | ")), "README.md: {name}");
        assert!(changelog.contains(&format!("`{name}`")), "CHANGELOG.md: {name}");
    }
}

#[test]
fn readme_names_the_versions_of_the_manifest() {
    let readme = page("README.md");
    assert!(readme.contains(&format!("Rust {} or later", env!("CARGO_PKG_RUST_VERSION"))), "README.md: rust-version");
    assert!(readme.contains(&format!("Version {} ", env!("CARGO_PKG_VERSION"))), "README.md: version");
}

#[test]
fn readme_says_what_the_proof_says() {
    let (proof, readme) = (page("docs/proof.md"), page("README.md").replace('\n', " "));
    let (_, result) = proof.lines().find_map(|line| line.strip_prefix("Run on ")?.split_once(". Of ")).unwrap();
    assert!(readme.contains(&format!("of {}", result.trim_end_matches('.'))), "README.md does not say: of {result}");
}

#[test]
fn the_driver_in_the_readme_is_changed_as_it_is_said_there() {
    let command = review("tests/fixtures/captured/3.5.9/packages--driver.json", Output::Diff);
    let mut printed = Vec::new();
    command.run(&mut std::io::empty(), &mut printed, &mut std::io::sink()).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    assert!(page("README.md").contains(&format!("```diff\n{printed}```\n")), "README.md does not show\n{printed}");
}

#[test]
fn every_flag_of_serve_has_its_row() {
    let page = page("docs/operations.md");
    let arguments = <spark_admission::args::Arguments as clap::CommandFactory>::command();
    for argument in arguments.find_subcommand("serve").unwrap().get_arguments() {
        let (flag, variable) = (argument.get_long().unwrap(), argument.get_env().unwrap().to_str().unwrap());
        let row = format!("| `--{flag}` | `{variable}` | ");
        assert!(page.contains(&row), "docs/operations.md lacks a row that begins with {row}");
        for default in argument.get_default_values() {
            let row = format!("{row}`{}` | ", default.to_str().unwrap());
            assert!(page.contains(&row), "docs/operations.md lacks a row that begins with {row}");
        }
    }
}

#[test]
fn every_metric_has_its_row() {
    let (page, source) = (page("docs/operations.md"), page("src/metrics.rs"));
    let names: Vec<_> = source.split("all.register(").skip(1).map(|rest| rest.split('"').nth(1).unwrap()).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let rows = ["", "_total", "_info"].map(|suffix| format!("\n| `spark_admission_{name}{suffix}` | "));
        let is_there = rows.iter().any(|row| page.contains(row));
        assert!(is_there, "docs/operations.md lacks a row for spark_admission_{name}");
    }
}
