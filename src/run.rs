//! From a command line to an exit status: each command is handed its streams, and says itself what went wrong.

use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Arguments, Command};
use crate::serve;

/// Does what was asked.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(arguments) => serve::serve(&arguments).unwrap_or_else(|error| {
            eprintln!("spark-admission: {error}");
            error.exit_code()
        }),
        Command::Review(review) => printed(|input, output, errors| review.run(input, output, errors)),
        Command::Policy(policy) => printed(|input, output, errors| policy.run(input, output, errors)),
        Command::Nodes(nodes) => printed(|_, output, errors| nodes.run(output, errors)),
        Command::Doctor(doctor) => printed(|_, output, errors| doctor.run(output, errors)),
        Command::Probe(probe) => printed(|_, output, errors| probe.run(output, errors)),
        Command::IvyClean(clean) => printed(|_, output, errors| clean.run(output, errors)),
        Command::Certs(certs) => printed(|_, output, errors| certs.run(output, errors)),
        Command::Completions { shell } => printed(|_, output, _| completions(shell, output)),
    }
}

/// Runs a command that reads standard input and prints; a reader that has seen enough ends it quietly.
fn printed(run: impl FnOnce(&mut dyn Read, &mut dyn Write, &mut dyn Write) -> io::Result<u8>) -> ExitCode {
    let mut output = BufWriter::new(io::stdout().lock());
    let ran = run(&mut io::stdin().lock(), &mut output, &mut io::stderr());
    match ran.and_then(|status| output.flush().map(|()| status)) {
        Ok(status) => ExitCode::from(status),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spark-admission: cannot print: {error}");
            ExitCode::FAILURE
        }
    }
}

fn completions(shell: clap_complete::Shell, output: &mut dyn Write) -> io::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "spark-admission", &mut script);
    output.write_all(&script).map(|()| 0)
}
