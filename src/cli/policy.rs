//! `policy`: the policy file from an administrator's desk. The default, the schema, and the server's own check.

use crate::policy::Policy;
use crate::policy::configuration::{DEFAULT_FILE, schema};
use clap::Subcommand;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Shows and checks policy files.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum PolicyCommand {
    /// Prints the default policy, with a comment on every field: a policy file to start from
    Default,
    /// Prints the JSON Schema of policy files, for editors and pipelines
    Schema,
    /// Checks a policy file as the server does; exits with 0 if it is right, 1 if it is not, 2 if it cannot be read
    Check {
        /// The policy file, YAML or JSON; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// The exit status of a command that found nothing wrong.
const GOOD: u8 = 0;
/// The exit status of a check that found problems.
const WRONG: u8 = 1;
/// The exit status of a check that could not read its file.
const UNREADABLE: u8 = 2;

impl PolicyCommand {
    /// Runs the command and returns its exit status. Results go to `output`, complaints to `errors`.
    ///
    /// # Errors
    ///
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, input: &mut dyn Read, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        match self {
            Self::Default => output.write_all(DEFAULT_FILE.as_bytes())?,
            Self::Schema => writeln!(output, "{:#}", schema())?,
            Self::Check { file } => return check(file, input, output, errors),
        }
        Ok(GOOD)
    }
}

fn check(file: &Path, input: &mut dyn Read, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
    let name = file.display();
    let text = match read(file, input) {
        Ok(text) => text,
        Err(error) => {
            writeln!(
                errors,
                "{name}: cannot read the policy: {error}\nName a file that exists and is text, or - for standard input."
            )?;
            return Ok(UNREADABLE);
        }
    };
    match Policy::parse(&text) {
        Ok(_) => writeln!(output, "{name}: ok").map(|()| GOOD),
        Err(error) => writeln!(errors, "{name}: {error}").map(|()| WRONG),
    }
}

fn read(file: &Path, input: &mut dyn Read) -> io::Result<String> {
    if file == Path::new("-") { io::read_to_string(input) } else { fs::read_to_string(file) }
}

/// The policy that a flag of another command names.
pub(super) fn read_policy(file: &Path) -> Result<Policy, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        format!("{name}: cannot read the policy: {error}\nName a file that exists and is text with --policy.")
    })?;
    Policy::parse(&text).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exit status, output and errors of a command with this standard input.
    fn run(command: &PolicyCommand, input: &str) -> (u8, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = command.run(&mut input.as_bytes(), &mut output, &mut errors).unwrap();
        (status, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
    }

    fn check(input: &str) -> (u8, String, String) {
        run(&PolicyCommand::Check { file: "-".into() }, input)
    }

    #[test]
    fn what_default_prints_passes_the_check() {
        let (status, printed, errors) = run(&PolicyCommand::Default, "");
        assert_eq!((status, errors.as_str()), (0, ""));
        assert_eq!(check(&printed), (0, "-: ok\n".to_owned(), String::new()));
    }

    #[test]
    fn schema_prints_json() {
        let (status, printed, _) = run(&PolicyCommand::Schema, "");
        let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((status, &printed), (0, schema()));
    }

    #[test]
    fn a_wrong_policy_is_status_1_with_what_is_wrong() {
        let (status, output, errors) = check("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmod: observe\n");
        assert_eq!((status, output.as_str()), (1, ""));
        assert_eq!(
            errors,
            "-: 1 problem in the policy\n  mod: unknown field; did you mean mode?\n\
             Correct what is named above; `spark-admission policy default` shows every field and what it means.\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_status_2() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, bytes) = (folder.path().join("missing.yaml"), folder.path().join("bytes.yaml"));
        fs::write(&bytes, [0xff, 0xfe]).unwrap();
        for file in [missing, bytes, folder.path().to_owned()] {
            let (status, output, errors) = run(&PolicyCommand::Check { file: file.clone() }, "");
            assert_eq!((status, output.as_str()), (2, ""));
            assert!(errors.starts_with(&format!("{}: cannot read the policy: ", file.display())), "{errors}");
        }
    }

    #[test]
    fn a_right_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        fs::write(&file, DEFAULT_FILE).unwrap();
        assert_eq!(
            run(&PolicyCommand::Check { file: file.clone() }, ""),
            (0, format!("{}: ok\n", file.display()), String::new())
        );
    }
}
