//! The `liftgate` command.

use std::process::ExitCode;

use clap::Parser;
use liftgate::cli::{self, Cli};

/// Events are many small allocations that one thread makes and another frees, at which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One provider for the whole process, installed before anything opens a connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("liftgate: a TLS provider was installed before main");
        return ExitCode::from(1);
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => {
            eprintln!("liftgate: the asynchronous runtime cannot start: {error}");
            ExitCode::from(1)
        }
    }
}
