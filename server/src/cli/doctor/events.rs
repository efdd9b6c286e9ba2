//! `liftgate doctor events`: whether every event that was accepted is accounted for, environment by environment.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use reqwest::Url;
use serde_json::{Value, json};

use super::balance::{Balance, NodeBooks};
use crate::cli::{
    Error,
    client::{self, Client, ServerArgs},
    output::{self, Output},
};

/// How often books that do not add up are read again: an event may be on its way between two of their pages.
const READINGS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// Which books.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Address of a further node that shares the warehouse; may be repeated.
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<Url>,
    /// Only this project.
    #[arg(short, long)]
    project: Option<String>,
    /// Only environments of this name.
    #[arg(short, long)]
    environment: Option<String>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(args: EventsArgs) -> Result<ExitCode, Error> {
    let first = Client::new(&args.server)?;
    let mut clients = Vec::with_capacity(args.nodes.len() + 1);
    for url in &args.nodes {
        clients.push(first.at(url.clone()));
    }
    clients.push(first);
    let mut balances = Vec::new();
    for (project, environment) in environments(&clients[clients.len() - 1], &args).await? {
        let path = format!("/manage/v1/projects/{project}/environments/{environment}/events/ledger");
        balances.push((format!("{project}/{environment}"), balance(&clients, &path).await?));
    }
    if balances.is_empty() {
        return Err(Error::Usage("there is no such environment".to_owned()));
    }
    print(args.output, &balances);
    let adds_up = balances.iter().all(|(_, balance)| balance.adds_up());
    Ok(if adds_up { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn balance(clients: &[Client], path: &str) -> Result<Balance, Error> {
    let mut readings = 0;
    loop {
        let mut nodes = Vec::with_capacity(clients.len());
        for client in clients {
            let answer = client.get(path).await?;
            let books: NodeBooks = serde_json::from_value(answer)
                .map_err(|error| Error::Incomplete(format!("the books cannot be read: {error}")))?;
            nodes.push(books);
        }
        let balance = Balance::of(&nodes);
        readings += 1;
        if balance.adds_up() || readings == READINGS_MAX {
            return Ok(balance);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Every environment that the token sees and the call asks for.
async fn environments(client: &Client, args: &EventsArgs) -> Result<Vec<(String, String)>, client::Error> {
    let projects = match &args.project {
        Some(project) => vec![project.clone()],
        None => keys(client, "/manage/v1/projects").await?,
    };
    let mut found = Vec::new();
    for project in projects {
        for environment in keys(client, &format!("/manage/v1/projects/{project}/environments")).await? {
            if args.environment.as_ref().is_none_or(|only| *only == environment) {
                found.push((project.clone(), environment));
            }
        }
    }
    Ok(found)
}

/// The keys of all pages of a list.
async fn keys(client: &Client, path: &str) -> Result<Vec<String>, client::Error> {
    let mut keys = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get(&format!("{path}?limit=1000{after}")).await?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        keys.extend(items.iter().filter_map(|item| item["key"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(keys),
        }
    }
}

fn print(form: Output, balances: &[(String, Balance)]) {
    let header = [
        "ENVIRONMENT",
        "ACCEPTED",
        "STORED",
        "REPEATED",
        "EXPIRED",
        "PENDING",
        "QUARANTINED",
        "DISCARDED",
        "LOST",
        "ADDS UP",
    ];
    let rows: Vec<Vec<String>> = balances
        .iter()
        .map(|(environment, it)| {
            let expired = it.expired.map_or_else(|| "-".to_owned(), |count| count.to_string());
            let mut row = vec![environment.clone()];
            row.extend([it.accepted, it.stored, it.repeated].map(|count| count.to_string()));
            row.push(expired);
            row.extend([it.pending, it.quarantined, it.discarded, it.lost].map(|count| count.to_string()));
            row.push(if it.adds_up() { "yes" } else { "NO" }.to_owned());
            row
        })
        .collect();
    let environments: Vec<Value> = balances
        .iter()
        .map(|(environment, it)| json!({"environment": environment, "adds_up": it.adds_up(), "balance": it}))
        .collect();
    output::print(form, &json!({ "environments": environments }), &header, &rows);
    if form == Output::Table {
        println!();
        for (environment, balance) in balances {
            println!("{}", balance.sentence(environment));
        }
    }
}
