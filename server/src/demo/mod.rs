//! `liftgate demo`: a shop with three rollouts and an experiment, played against a real server process over HTTP alone,
//! and checked in the end against the truth that the shop was built with.
//!
//! [`world`] is the truth; [`traffic`], [`shopper`] and [`courier`] act on it and [`journal`] counts; [`child`] keeps
//! the server up; [`watch`] follows; [`report`], [`check`] and [`summary`] tell what came of it.

mod api;
mod args;
mod check;
mod child;
mod courier;
mod error;
mod evidence;
mod journal;
mod line;
mod plain;
mod reading;
mod readout;
mod receiver;
mod report;
mod setup;
mod shopper;
mod state;
mod summary;
mod traffic;
mod view;
mod watch;
mod world;

pub use args::DemoArgs;
pub use error::Error;

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use liftgate_domain::{Clock, Entropy};
use reqwest::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use api::Api;
use child::Server;
use journal::{Journal, Totals};
use reading::Lane;
use receiver::Receiver;
use report::Facts;
use setup::Hook;
use state::{Folder, State};
use summary::Places;
use traffic::Traffic;
use watch::{End, Watch};

const READY_PAUSE: Duration = Duration::from_millis(100);
const READY_MAX_MS: i64 = 60_000;
/// What a shell calls a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Plays the demo. The exit code is 0 when everything came out as it should (or without `--exit`, when the demo was
/// left after its summary), 1 when an expectation failed, 130 when it was interrupted before its summary.
///
/// # Errors
/// When the demo cannot be played at all; the message says what to do.
pub async fn run(args: DemoArgs, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<ExitCode, Error> {
    let leave = leave_on_signals()?;
    let folder = Folder::open(&args.data_dir, args.fresh)?;
    let state = folder.load(&*entropy)?;
    let token = folder.token(&*entropy)?;
    let closing = CancellationToken::new();
    let receiver = Receiver::start(&state.webhook_secret, clock.clone(), closing.clone()).await?;
    let listen = child::choose_address(args.listen)?;
    if args.listen.port() != 0 && listen != args.listen {
        plain::say([format!("{} is taken; the server listens on {listen} instead.", args.listen)])?;
    }
    let client = api::client()?;
    let plan = child::Plan {
        program: std::env::current_exe().map_err(|source| Error::Start { program: "liftgate".into(), source })?,
        listen,
        data_dir: folder.server(),
        admin_token: token.clone(),
        webhooks_allow: receiver.allow(),
        log: folder.log(),
    };
    let server = Server::start(plan, clock.clone())?;
    let api = Api::new(client.clone(), format!("http://{listen}"), token);
    let demo = Demo { args, clock, folder, client, api, receiver, server, leave };
    let played = demo.play(state).await;
    demo.server.stop().await;
    closing.cancel();
    played
}

/// One play with all that it needs.
struct Demo {
    args: DemoArgs,
    clock: Arc<dyn Clock>,
    folder: Folder,
    client: Client,
    api: Api,
    receiver: Receiver,
    server: Server,
    leave: CancellationToken,
}

impl Demo {
    /// From an empty or earlier state to the summary.
    async fn play(&self, state: State) -> Result<ExitCode, Error> {
        if !self.wait_until_ready().await? {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let delivered_before = self.delivered().await?;
        let (mut state, client_key) = self.set_up(state).await?;
        let lanes = report::lanes(&self.api).await?;
        let journal = Arc::new(Journal::resume(state.totals));
        let has_traffic = lanes.iter().any(Lane::is_active);
        if has_traffic {
            let (next, end) = self.trade(state, &client_key, &journal, lanes).await?;
            state = next;
            if end == End::Interrupted {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            if end == End::TimeUp {
                plain::say([format!("{} s are up before every rollout was over.", self.args.max_seconds)])?;
            }
        } else {
            plain::say(["Every rollout was over before this run; `--fresh` plays it again."])?;
        }
        let facts = Facts {
            totals: journal.totals(),
            stored_before: state.stored_before,
            delivered_before,
            standing: self.server.standing(),
            kills_asked: if has_traffic { self.args.kill_server } else { 0 },
            client_key,
        };
        self.sum_up(facts).await
    }

    /// Waits for the server; `false` when somebody left meanwhile.
    async fn wait_until_ready(&self) -> Result<bool, Error> {
        plain::say([format!("Starting the server on {} ...", self.api.base())])?;
        let start = self.clock.now();
        while !self.api.is_ready().await {
            self.server.check()?;
            if self.clock.now().micros_since(start) > READY_MAX_MS * 1_000 {
                return Err(self.server.failure("it is not ready after a minute"));
            }
            tokio::select! {
                () = self.leave.cancelled() => return Ok(false),
                () = sleep(READY_PAUSE) => {}
            }
        }
        Ok(true)
    }

    /// What earlier runs were told by webhook: nothing before the project is there.
    async fn delivered(&self) -> Result<BTreeSet<String>, Error> {
        match report::deliveries(&self.api).await {
            Ok(deliveries) => Ok(deliveries.delivered),
            Err(Error::Refused { status: 404, .. }) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Declares the shop, makes its key, and settles what an earlier run left open.
    async fn set_up(&self, mut state: State) -> Result<(State, String), Error> {
        let hook = Hook { url: self.receiver.url(), secret: state.webhook_secret.clone() };
        let applied = setup::apply(&self.api, &hook).await?;
        plain::say([format!(
            "Declared the shop: {} new, {} changed, {} as before.",
            applied.made, applied.updated, applied.unchanged
        )])?;
        let key = match state.client_key.clone() {
            Some(key) => key,
            None => setup::make_client_key(&self.api).await?,
        };
        state.client_key = Some(key.clone());
        if !state.settled {
            state.stored_before = report::stored(&self.api).await?.metrics;
            state.totals = Totals::default();
            state.settled = true;
            plain::say([format!(
                "The last run was cut short; the journal begins anew after its {} stored events.",
                line::count(state.stored_before)
            )])?;
        }
        self.folder.save(&state).await?;
        Ok((state, key))
    }

    /// Opens the shop until the rollouts are over, then waits for the last events and saves the journal.
    async fn trade(
        &self,
        state: State,
        client_key: &str,
        journal: &Arc<Journal>,
        lanes: Vec<Lane>,
    ) -> Result<(State, End), Error> {
        let plan = traffic::Plan {
            client: self.client.clone(),
            base: self.api.base().to_owned(),
            key: client_key.to_owned(),
            seed: self.args.seed,
            users_per_second: self.args.users_per_second,
            clock: self.clock.clone(),
            journal: journal.clone(),
        };
        let traffic = Traffic::start(plan, self.folder.clone(), state);
        let watch = Watch {
            args: &self.args,
            api: &self.api,
            server: &self.server,
            receiver: &self.receiver,
            journal,
            traffic: &traffic,
            clock: &self.clock,
            leave: &self.leave,
        };
        let end = watch.follow(lanes).await;
        let mut state = if end.is_ok() {
            plain::say(["Closing the shop; the last events are on their way ..."])?;
            traffic.finish().await?
        } else {
            traffic.abandon().await?
        };
        state.totals = journal.totals();
        state.settled = state.totals.is_settled();
        self.folder.save(&state).await?;
        Ok((state, end?))
    }

    /// Gathers, prints and judges; without `--exit` stays until somebody leaves.
    async fn sum_up(&self, facts: Facts) -> Result<ExitCode, Error> {
        let report = report::gather(&self.api, &self.client, &self.receiver, facts).await?;
        let expectations = check::check(&report);
        let places = Places {
            base: self.api.base().to_owned(),
            token_file: self.folder.token_file().display().to_string(),
            log: self.folder.log().display().to_string(),
        };
        plain::say(summary::summary(&report, &expectations, &places))?;
        plain::say([summary::verdict(&expectations)])?;
        if !self.args.exit {
            plain::say(["Ctrl-C stops the server and leaves."])?;
            while !self.leave.is_cancelled() {
                self.server.check()?;
                tokio::select! {
                    () = self.leave.cancelled() => {}
                    () = sleep(Duration::from_secs(1)) => {}
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        let met = expectations.iter().all(|expectation| expectation.held);
        Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A token that Ctrl-C, a polite kill or a closed terminal cancels.
fn leave_on_signals() -> Result<CancellationToken, Error> {
    let leave = CancellationToken::new();
    let told = leave.clone();
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut hang_up = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    tokio::spawn(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        told.cancel();
    });
    Ok(leave)
}
