//! What the demo is told on the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

/// Runs a shop with three rollouts and an experiment against a real server, and checks what came of it.
///
/// Example: `liftgate demo --fresh --exit`
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Shoppers a second to aim for; below about 400 the ramps need longer than the default `--max-seconds`.
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub users_per_second: u32,
    /// Seed of the shoppers: the same seed and number is always the same shopper.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub seed: u64,
    /// Start over: remove what an earlier demo left in the data folder.
    #[arg(long)]
    pub fresh: bool,
    /// Leave after the summary; exit code 0 only if everything came out as it should.
    #[arg(long)]
    pub exit: bool,
    /// Where the stores, the server's log and the demo's journal live.
    #[arg(long, default_value = "./liftgate-data/demo", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How many times the server is killed with SIGKILL in mid-run, to show that nothing is lost.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20))]
    pub kill_server: u32,
    /// The longest that the rollouts may take, in seconds.
    #[arg(long, default_value_t = 180, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=3_600))]
    pub max_seconds: u64,
    /// Where the server listens; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        demo: DemoArgs,
    }

    #[test]
    fn has_the_documented_defaults_and_bounds() {
        let args = Line::try_parse_from(["demo"]).unwrap().demo;
        assert_eq!((args.users_per_second, args.seed, args.kill_server, args.max_seconds), (2_000, 1, 0, 180));
        assert_eq!(args.listen.to_string(), "127.0.0.1:8080");
        assert!(!args.fresh && !args.exit);
        for bad in [["demo", "--users-per-second=0"], ["demo", "--kill-server=21"], ["demo", "--listen=here"]] {
            assert!(Line::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
