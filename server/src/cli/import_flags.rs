//! `liftgate import --from flagsmith`: an environment document becomes an environment with its flags and segments, and
//! every identity keeps what it was served.

use std::{io::Read, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use liftgate_evaluator::{
    Problem,
    flagsmith::{EnvironmentDocument, Imported, import},
};
use serde_json::{Value, json};

use super::{
    Error,
    client::{Client, ServerArgs},
    output::{self, Output},
};

/// Declarations of one request, below the server's limit of things and of bytes.
const DECLARATIONS_MAX: usize = 400;
const BYTES_MAX: usize = 3 * 1024 * 1024;

/// What to import, and where to.
#[derive(Debug, Args)]
pub struct ImportFlagsArgs {
    /// The system that the file is from.
    #[arg(long, value_enum)]
    from: System,
    /// The file; `-` for standard input. Of Flagsmith: the answer of `GET /api/v1/environment-document/`.
    file: PathBuf,
    /// The project; made when there is none.
    #[arg(short, long, env = "LIFTGATE_PROJECT")]
    project: String,
    /// The environment; made when there is none. Its hash key is the document's `api_key`, which is also its first client
    /// key: SDKs go on with the key they have.
    #[arg(short, long, env = "LIFTGATE_ENVIRONMENT")]
    environment: String,
    /// Print what would be declared, as JSON, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A system that flags are imported from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum System {
    /// Flagsmith's environment document.
    Flagsmith,
}

pub async fn run(args: ImportFlagsArgs) -> Result<(), Error> {
    let text = read(&args.file)?;
    let imported = match args.from {
        System::Flagsmith => flagsmith(&text)?,
    };
    let declarations = declarations(&imported, &args.project, &args.environment);
    if args.dry_run {
        println!("{:#}", Value::Array(declarations));
        return Ok(());
    }
    let client = Client::new(&args.server)?;
    let bar = ProgressBar::new(declarations.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} declared") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut results = Vec::new();
    for part in parts(declarations) {
        let answer = client.post("/manage/v1/apply", &Value::Array(part.clone())).await?;
        results.extend(answer["results"].as_array().cloned().unwrap_or_default());
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|it| ["kind", "key", "action"].iter().map(|name| output::text(it, name)).collect())
        .collect();
    output::print(args.output, &json!({ "results": results }), &["KIND", "KEY", "ACTION"], &rows);
    eprintln!(
        "imported {} flags and {} segments; clients go on with the key `{}`",
        imported.flags.len(),
        imported.segments.len(),
        imported.environment.hash_key
    );
    Ok(())
}

fn read(path: &PathBuf) -> Result<String, Error> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn flagsmith(text: &str) -> Result<Imported, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let document: EnvironmentDocument = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        Error::Incomplete(format!("the file is not an environment document: `{path}`: {inner}"))
    })?;
    import(&document).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Error::Incomplete(format!("nothing was imported, because this cannot be kept:\n  {}", lines.join("\n  ")))
    })
}

/// Everything to declare, in an order in which each thing follows what it needs.
fn declarations(imported: &Imported, project: &str, environment: &str) -> Vec<Value> {
    let name = Some(&imported.environment.name).filter(|name| !name.is_empty());
    let mut spec = json!({"hash_key": imported.environment.hash_key});
    if let Some(name) = name {
        spec["name"] = json!(name);
    }
    let mut all = vec![
        json!({"kind": "project", "key": project, "spec": {}}),
        json!({"kind": "environment", "project": project, "key": environment, "spec": spec}),
    ];
    let segments = imported.segments.iter();
    all.extend(segments.map(|it| json!({"kind": "segment", "project": project, "key": it.key, "spec": it})));
    for (flag, state) in &imported.flags {
        all.push(json!({"kind": "flag", "project": project, "key": flag.key, "spec": flag}));
        all.push(json!({
            "kind": "flag_state", "project": project, "environment": environment, "key": flag.key, "spec": state,
        }));
    }
    all
}

/// Requests that the server takes.
fn parts(declarations: Vec<Value>) -> Vec<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = vec![Vec::new()];
    let mut bytes = 0;
    for declaration in declarations {
        let own = declaration.to_string().len() + 1;
        let last = parts.last().map_or(0, Vec::len);
        if last >= DECLARATIONS_MAX || (last > 0 && bytes + own > BYTES_MAX) {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += own;
        if let Some(part) = parts.last_mut() {
            part.push(declaration);
        }
    }
    parts
}
