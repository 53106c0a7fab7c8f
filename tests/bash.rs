//! What `policy::values::shell` says of a text, against the real bash: thousands of short texts from the characters that mean something to it.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use proptest::prelude::*;
use spark_admission::policy::values::connect_arguments::ConnectArguments;
use spark_admission::policy::values::shell::{fault, quoted};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The words that a command gets with a text between others; nothing where bash does not even run it.
fn words(text: &str) -> Option<Vec<String>> {
    // No file to match, no program to run: what a text begs bash to do comes to nothing.
    let empty = TempDir::new().unwrap();
    let script = format!("printf '%s\\0' before {text} after");
    let mut bash = Command::new("/bin/bash");
    bash.args(["-c", &script]).env_clear().env("PATH", "/nowhere").current_dir(empty.path());
    let ran = bash.stdin(Stdio::null()).stderr(Stdio::null()).process_group(0).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    ran.status.success().then(|| said.split_terminator('\0').map(str::to_owned).collect())
}

/// A key and a value of what bash has a use for. No slash: nothing outside of the folder is to be named.
fn texts() -> impl Strategy<Value = String> {
    let pieces =
        ["k", "z", "1", ".", ",", "=", " ", "\t", "\n", ";", "&", "|", "<", ">", "(", ")", "'", "\"", "`", "$"];
    let more =
        ["{", "}", "*", "?", "[", "]", "#", "~", "!", "\\", ":", "%", "^", "${k}", "$(z)", "{k,z}", "'k z'", "ü"];
    let piece = proptest::sample::select([&pieces[..], &more[..]].concat());
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| format!("spark.k={}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn says_of_a_text_what_bash_does_with_it(text in texts()) {
        let words = words(&text);
        let arrives = |text: &str| words.as_ref().is_some_and(|words| *words == ["before", text, "after"]);
        match fault(&text) {
            None => {
                // Without its quotes, as they are read where the arguments of a server are.
                let value = ConnectArguments::parse(&format!("s --conf {text}")).conf("spark.k").unwrap_or_default().to_owned();
                let is_ansi = text.contains("$'") || text.contains("$\"");
                let is_one_word = words.as_ref().is_some_and(|words| words.len() == 3 && words[2] == "after");
                prop_assert!(arrives(&format!("spark.k={value}")) || is_ansi && is_one_word, "{text:?} became {words:?}");
            }
            Some(fault) if fault.is_certain() => prop_assert!(!arrives(text.trim_end_matches([' ', '\t'])), "{text:?} arrives: {fault:?}"),
            Some(_) => {}
        }
    }

    #[test]
    fn quotes_what_then_arrives(text in texts()) {
        prop_assert_eq!(words(&quoted(&text)), Some(vec!["before".to_owned(), text, "after".to_owned()]));
    }
}
