//! Why the demo could not go on, always with the next step. What merely came out wrong is an expectation, not an error.

use std::{io, net::SocketAddr, path::PathBuf};

/// What ends a demo before its summary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data folder or a file in it cannot be read or written.
    #[error("`{}` cannot be used: {source}; choose another folder with `--data-dir`", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The demo's own journal does not read back.
    #[error("`{}` does not read back: {reason}; start over with `--fresh`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No port could be had.
    #[error("address `{address}` cannot be listened on: {source}; give another with `--listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server's process could not be started at all.
    #[error("the server `{}` could not be started: {source}; check that it may be executed", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server does not stay up.
    #[error("the server does not stay up: {reason}; the end of its log `{}` says:\n{tail}", log.display())]
    Server {
        /// What was seen.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The server did not answer a request.
    #[error("`{path}` got no answer: {reason}; the server's log in the data folder may say why")]
    NoAnswer {
        /// The path asked for.
        path: String,
        /// What happened.
        reason: String,
    },
    /// The server refused a request.
    #[error("`{path}` was refused with {status}: {detail}")]
    Refused {
        /// The path asked for.
        path: String,
        /// The status code.
        status: u16,
        /// The problem's own sentence and next step.
        detail: String,
    },
    /// The server's answer has another form than the API's.
    #[error("the answer of `{path}` is not understood: {reason}; is another program listening there?")]
    Answer {
        /// The path asked for.
        path: String,
        /// What did not fit.
        reason: String,
    },
    /// A declaration that is built into the program does not read.
    #[error("the built-in `demo/{file}` does not read: {reason}; this build is broken")]
    Declaration {
        /// The file.
        file: &'static str,
        /// What did not fit.
        reason: String,
    },
    /// The terminal cannot be drawn on.
    #[error("the terminal cannot be drawn on: {0}; pipe the output through `cat` for plain lines")]
    Terminal(#[from] io::Error),
}

impl Error {
    /// Whether asking again may help: the server was not there or was too busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}
