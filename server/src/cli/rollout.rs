//! `liftgate rollout`: what runs, why it stands where it stands, and the human commands.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Error,
    client::{Client, PlaceArgs, ServerArgs},
    output::{self, Output, text},
};

/// What to do with rollouts.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[command(subcommand)]
    command: RolloutCommand,
}

#[derive(Debug, Subcommand)]
enum RolloutCommand {
    /// Start a rollout of a flag by a policy.
    Start(StartArgs),
    /// List the rollouts of an environment.
    List(ListArgs),
    /// Show one rollout's state.
    Show(OneArgs),
    /// Say in one sentence which gate blocks and what would open it, with every guardrail's reading.
    Why(OneArgs),
    /// Compute every decision again from its record and compare bit for bit.
    Replay(OneArgs),
    /// No more advances; guardrails keep acting.
    Pause(ReasonArgs),
    /// Go on; after a rollback as a new attempt.
    Resume(ReasonArgs),
    /// Take the change back now.
    Rollback(ReasonArgs),
    /// End the rollout and leave the share where it is.
    Cancel(ReasonArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The rollout's key.
    rollout: String,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
struct ReasonArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why, for the change log and for those who hear of it.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
struct StartArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The flag to move.
    #[arg(long)]
    flag: String,
    /// The policy to move it by.
    #[arg(long)]
    policy: String,
    /// The variation to roll out.
    #[arg(long, default_value = "on")]
    treatment: String,
    /// The variation to compare it with.
    #[arg(long, default_value = "off")]
    control: String,
}

pub async fn run(args: RolloutArgs) -> Result<(), Error> {
    match args.command {
        RolloutCommand::List(args) => list(&args).await,
        RolloutCommand::Show(args) => show(&args).await,
        RolloutCommand::Why(args) => why(&args).await,
        RolloutCommand::Replay(args) => replay(&args).await,
        RolloutCommand::Pause(args) => command(&args, "pause").await,
        RolloutCommand::Resume(args) => command(&args, "resume").await,
        RolloutCommand::Rollback(args) => command(&args, "rollback").await,
        RolloutCommand::Cancel(args) => command(&args, "cancel").await,
        RolloutCommand::Start(args) => {
            let body = json!({
                "key": args.one.rollout, "flag": args.flag, "policy": args.policy,
                "treatment": args.treatment, "control": args.control,
            });
            let client = Client::new(&args.one.list.server)?;
            let rollout = client.post(&args.one.list.place.path("rollouts"), &body).await?;
            print_rollouts(args.one.list.output, &rollout, std::slice::from_ref(&rollout));
            Ok(())
        }
    }
}

async fn list(args: &ListArgs) -> Result<(), Error> {
    let answer = Client::new(&args.server)?.get(&args.place.path("rollouts")).await?;
    print_rollouts(args.output, &answer, answer["items"].as_array().map(Vec::as_slice).unwrap_or_default());
    Ok(())
}

async fn get(args: &OneArgs, rest: &str) -> Result<Value, Error> {
    let path = args.list.place.path(&format!("rollouts/{}{rest}", args.rollout));
    Ok(Client::new(&args.list.server)?.get(&path).await?)
}

async fn show(args: &OneArgs) -> Result<(), Error> {
    let rollout = get(args, "").await?;
    print_rollouts(args.list.output, &rollout, std::slice::from_ref(&rollout));
    Ok(())
}

async fn why(args: &OneArgs) -> Result<(), Error> {
    let answer = get(args, "/why").await?;
    if args.list.output == Output::Table {
        println!("{}\n", text(&answer, "sentence"));
    }
    let guardrails = answer["outcome"]["guardrails"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = guardrails
        .iter()
        .map(|guardrail| {
            let reading = &guardrail["assessment"];
            let bound = |name: &str| reading[name].as_f64().map_or_else(|| "-".to_owned(), |it| format!("{it:+.4}"));
            vec![
                text(guardrail, "metric"),
                text(reading, "verdict"),
                format!("{} / {}", text(reading, "n_treatment"), text(reading, "n_control")),
                bound("effect"),
                bound("lower"),
                bound("upper"),
                reading["log_e_harm"].as_f64().map_or_else(|| "-".to_owned(), |it| format!("{:.3}", it.exp())),
            ]
        })
        .collect();
    let header = ["GUARDRAIL", "VERDICT", "TREATED / CONTROL", "EFFECT", "FROM", "TO", "E-VALUE"];
    output::print(args.list.output, &answer, &header, &rows);
    Ok(())
}

async fn replay(args: &OneArgs) -> Result<(), Error> {
    let answer = get(args, "/replay").await?;
    let row = vec![args.rollout.clone(), text(&answer, "records"), text(&answer, "identical")];
    output::print(args.list.output, &answer, &["ROLLOUT", "RECORDS", "IDENTICAL"], &[row]);
    Ok(())
}

async fn command(args: &ReasonArgs, name: &str) -> Result<(), Error> {
    let path = args.one.list.place.path(&format!("rollouts/{}/{name}", args.one.rollout));
    let client = Client::new(&args.one.list.server)?;
    let rollout = client.post(&path, &json!({ "reason": args.reason })).await?;
    print_rollouts(args.one.list.output, &rollout, std::slice::from_ref(&rollout));
    Ok(())
}

fn print_rollouts(output: Output, whole: &Value, rollouts: &[Value]) {
    let rows: Vec<Vec<String>> = rollouts
        .iter()
        .map(|it| {
            vec![
                text(it, "key"),
                text(it, "flag"),
                text(it, "status"),
                text(it, "stage"),
                text(it, "share"),
                text(it, "treated_units"),
                text(&it["hold"], "code"),
                text(&it["hold"], "detail"),
            ]
        })
        .collect();
    output::print(output, whole, &["ROLLOUT", "FLAG", "STATUS", "STAGE", "SHARE", "TREATED", "HOLD", "WHY"], &rows);
}
