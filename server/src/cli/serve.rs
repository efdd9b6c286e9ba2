//! `liftgate serve`: the server until it is told to stop.

use std::{io::IsTerminal, sync::Arc};

use liftgate_domain::{Clock, Entropy};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{ConfigArgs, Error};
use crate::serve;

pub async fn run(args: &ConfigArgs, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<(), Error> {
    let config = args.config()?;
    log_to_stderr();
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    serve::run(config, clock, entropy, stop).await?;
    Ok(())
}

/// Text on a terminal, JSON elsewhere; `RUST_LOG` filters.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,datafusion=warn,tokio_cron_scheduler=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
}

/// The first SIGTERM or Ctrl-C asks for a graceful stop.
async fn stop_on_signal(stop: CancellationToken) {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be listened for; use Ctrl-C to stop.");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("The server was asked to stop.");
    stop.cancel();
}
