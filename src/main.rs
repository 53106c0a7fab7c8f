//! The binary: allocator, crypto provider, arguments, exit status.

use std::process::ExitCode;

use spark_admission::args::Arguments;
use spark_admission::run::run;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and then that one is used.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    run(Arguments::of_process().command)
}
