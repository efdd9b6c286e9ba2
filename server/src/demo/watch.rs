//! Follows a run until its rollouts are over: asks how they stand, shows it, kills the server when told to.

use std::{sync::Arc, time::Duration};

use liftgate_domain::{Clock, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    DemoArgs, Error,
    api::Api,
    child::Server,
    journal::Journal,
    plain,
    reading::Lane,
    receiver::Receiver,
    setup::ENVIRONMENT,
    traffic::Traffic,
    view::{self, Board, Screen},
};

const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks the rollouts are asked about, and plain output shows them: a question costs the server as much
/// as a look of its scheduler.
const ASK_EVERY: u64 = 2;
/// Kills are spread evenly over this time from the beginning of the traffic: within the shortest time that the
/// policy's bakes take, so that each of them hits a run under way.
const KILLS_WITHIN_MS: i64 = 45_000;

/// How following ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// Every rollout is over.
    Over,
    /// The time was up first.
    TimeUp,
    /// Somebody asked to leave.
    Interrupted,
}

/// What is followed.
pub struct Watch<'a> {
    /// How long, how fast, how many kills.
    pub args: &'a DemoArgs,
    /// The management API.
    pub api: &'a Api,
    /// The server's process.
    pub server: &'a Server,
    /// The webhooks.
    pub receiver: &'a Receiver,
    /// The counts.
    pub journal: &'a Arc<Journal>,
    /// The traffic.
    pub traffic: &'a Traffic,
    /// The time.
    pub clock: &'a Arc<dyn Clock>,
    /// Cancelled when somebody asks to leave.
    pub leave: &'a CancellationToken,
}

impl Watch<'_> {
    /// Follows until the rollouts are over and the kills are done, the time is up, or somebody leaves.
    pub async fn follow(&self, lanes: Vec<Lane>) -> Result<End, Error> {
        let mut screen = if plain::is_terminal() { Some(Screen::open()?) } else { None };
        let mut board =
            Board { base: self.api.base().to_owned(), target: self.args.users_per_second, lanes, ..Board::default() };
        let start = self.clock.now();
        let mut speed = Speed { at: start, visits: 0 };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        let end = loop {
            tokio::select! {
                () = self.leave.cancelled() => break End::Interrupted,
                _ = tick.tick() => {}
            }
            self.server.check()?;
            if self.traffic.has_failed() {
                break End::Interrupted;
            }
            let asks = ticks.is_multiple_of(ASK_EVERY);
            let asked = tokio::select! {
                asked = async { if asks { self.refresh(&mut board.lanes).await } else { Ok(()) } } => asked,
                () = self.leave.cancelled() => break End::Interrupted,
            };
            let now = self.clock.now();
            board.elapsed_ms = now.micros_since(start) / 1_000;
            board.visits = self.journal.visits();
            board.users_per_second = speed.measure(now, board.visits).unwrap_or(board.users_per_second);
            board.totals = self.journal.totals();
            board.standing = self.server.standing();
            board.heard = self.receiver.heard();
            board.trouble = asked.err().map(|error| error.to_string()).or_else(|| self.journal.last_trouble());
            match &mut screen {
                Some(screen) => screen.draw(&view::frame(&board))?,
                None if asks => plain::say(plain::lines(&board))?,
                None => {}
            }
            ticks += 1;
            let killed = board.standing.kills;
            if kills_due(self.args.kill_server, board.elapsed_ms) > killed {
                self.server.kill().await;
            }
            if killed >= self.args.kill_server && !board.lanes.iter().any(Lane::is_active) {
                break End::Over;
            }
            if board.elapsed_ms >= i64::try_from(self.args.max_seconds).unwrap_or(i64::MAX).saturating_mul(1_000) {
                break End::TimeUp;
            }
        };
        // The last frame stays readable once the screen is put back.
        if screen.take().is_some() {
            plain::say(plain::lines(&board))?;
        }
        Ok(end)
    }

    /// Asks how the active rollouts stand. Those that are over keep what was last seen of their guardrails.
    async fn refresh(&self, lanes: &mut [Lane]) -> Result<(), Error> {
        for lane in lanes.iter_mut().filter(|lane| lane.is_active()) {
            let path = format!("{ENVIRONMENT}/rollouts/{}/why", lane.key);
            let answer = self.api.get(&path).await?;
            let mut next = Lane::of_why(&answer)
                .ok_or_else(|| Error::Answer { path, reason: "it is not a rollout with its reasons".to_owned() })?;
            if !next.is_active() && next.gauges.is_empty() {
                next.gauges = std::mem::take(&mut lane.gauges);
            }
            *lane = next;
        }
        Ok(())
    }
}

/// How many kills should have happened by now.
fn kills_due(kills: u32, elapsed_ms: i64) -> u32 {
    let due = elapsed_ms.max(0).saturating_mul(i64::from(kills) + 1) / KILLS_WITHIN_MS;
    u32::try_from(due).unwrap_or(u32::MAX).min(kills)
}

/// Shoppers a second between two looks.
struct Speed {
    at: Timestamp,
    visits: u64,
}

impl Speed {
    fn measure(&mut self, now: Timestamp, visits: u64) -> Option<f64> {
        let elapsed_s = now.micros_since(self.at) as f64 / 1e6;
        if elapsed_s < TICK.as_secs_f64() / 2.0 {
            return None;
        }
        let speed = visits.saturating_sub(self.visits) as f64 / elapsed_s;
        *self = Self { at: now, visits };
        Some(speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_over_the_run() {
        assert_eq!(kills_due(0, 1_000_000), 0);
        for (elapsed_ms, expected) in [(0, 0), (11_000, 0), (11_250, 1), (22_500, 2), (33_750, 3), (500_000, 3)] {
            assert_eq!(kills_due(3, elapsed_ms), expected, "{elapsed_ms}");
        }
    }

    #[test]
    fn speed_is_measured_between_looks() {
        let mut speed = Speed { at: Timestamp(0), visits: 0 };
        assert_eq!(speed.measure(Timestamp(100_000), 10), None);
        assert_eq!(speed.measure(Timestamp(2_000_000), 4_000), Some(2_000.0));
        assert_eq!(speed.measure(Timestamp(3_000_000), 4_500), Some(500.0));
    }
}
