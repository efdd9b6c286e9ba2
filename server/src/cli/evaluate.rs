//! `liftgate evaluate`: evaluation contexts of Flagsmith from a file or standard input, one result a line; or one flag of
//! a running server, with the trace of how it came about.

use std::{
    io::{self, BufRead, BufWriter, Read, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use liftgate_evaluator::flagsmith::{self, Reasons};
use serde_json::{Value, json};

use super::{
    Error,
    client::{Client, ServerArgs},
    input::{self, DOCUMENT_BYTES_MAX, shown},
    lines::{self, Line},
    output::Output,
};

/// What to evaluate.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The key of a flag of a running server; with `--flagsmith` a file of contexts, `-` for standard input.
    #[arg(value_name = "FLAG|FILE")]
    subject: String,
    /// Evaluate contexts of Flagsmith's engine: one JSON document, or one a line. Needs no server.
    #[arg(long)]
    flagsmith: bool,
    /// The dialect of Flagsmith's reasons: `v11` tells flags without overrides (STATIC) from those whose overrides did
    /// not match (DEFAULT), `v10` says DEFAULT for both.
    #[arg(long, value_enum, default_value_t, requires = "flagsmith")]
    reasons: ReasonsArg,
    /// The context as JSON, such as '{"targetingKey": "u1", "country": "DE"}'.
    #[arg(long, value_name = "JSON", default_value = "{}", conflicts_with = "flagsmith")]
    context: String,
    /// Tell how the answer came about: every rule, condition, bucket and threshold.
    #[arg(long, conflicts_with = "flagsmith")]
    explain: bool,
    /// The project.
    #[arg(short, long, env = "LIFTGATE_PROJECT")]
    project: Option<String>,
    /// The environment.
    #[arg(short, long, env = "LIFTGATE_ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output of a server's answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ReasonsArg {
    V10,
    #[default]
    V11,
}

pub async fn run(args: EvaluateArgs) -> Result<ExitCode, Error> {
    if !args.flagsmith {
        return ask(&args, &args.subject).await;
    }
    let reasons = match args.reasons {
        ReasonsArg::V10 => Reasons::V10,
        ReasonsArg::V11 => Reasons::V11,
    };
    contexts(Path::new(&args.subject), reasons)
}

async fn ask(args: &EvaluateArgs, flag: &str) -> Result<ExitCode, Error> {
    let missing = |what: &str| Error::Usage(format!("name the {what} with `--{what}`"));
    let project = args.project.as_deref().ok_or_else(|| missing("project"))?;
    let environment = args.environment.as_deref().ok_or_else(|| missing("environment"))?;
    let context: Value = serde_json::from_str(&args.context)
        .map_err(|error| Error::Usage(format!("`--context` is not JSON: {error}")))?;
    let client = Client::new(&args.server)?;
    let path = format!("/manage/v1/projects/{project}/environments/{environment}/flags/{flag}/explain");
    let answer = client.post(&path, &json!({ "context": context })).await?;
    if args.output == Output::Json {
        let wanted = if args.explain { &answer } else { &answer["evaluation"] };
        println!("{wanted:#}");
    } else if args.explain {
        println!("{}", answer["text"].as_str().unwrap_or_default());
    } else {
        let evaluation = &answer["evaluation"];
        let variation = evaluation["variation"].as_str().unwrap_or("none");
        println!("{variation}: {} ({})", evaluation["value"], evaluation["reason"].as_str().unwrap_or_default());
    }
    let failed = !answer["evaluation"]["error"].is_null();
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Answers every context in its place; code 1 when one could not be evaluated.
fn contexts(path: &Path, reasons: Reasons) -> Result<ExitCode, Error> {
    let told = |source| Error::File { path: shown(path), source };
    let (mut reader, bar) = input::open(path).map_err(told)?;
    let mut out = Out { out: BufWriter::new(io::stdout().lock()), reasons, failed: 0, answered: 0 };
    let done = out.answer_all(&mut reader, path);
    bar.finish_and_clear();
    match done.and_then(|()| out.out.flush().map_err(Failure::Write)) {
        Ok(()) => {}
        // Whoever read our output has seen enough.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(Failure::Write(source)) => return Err(Error::File { path: "standard output".to_owned(), source }),
        Err(Failure::Read(source)) => return Err(told(source)),
    }
    if out.failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("liftgate: {} of {} contexts could not be evaluated", out.failed, out.answered);
    Ok(ExitCode::from(1))
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
}

struct Out {
    out: BufWriter<io::StdoutLock<'static>>,
    reasons: Reasons,
    failed: u64,
    answered: u64,
}

impl Out {
    fn answer_all(&mut self, reader: &mut impl BufRead, path: &Path) -> Result<(), Failure> {
        let mut is_first = true;
        while let Some(line) = lines::next(reader, DOCUMENT_BYTES_MAX).map_err(Failure::Read)? {
            let bytes = match line {
                Line::TooLong => {
                    let message = format!("is longer than {DOCUMENT_BYTES_MAX} bytes");
                    self.print_error(".", &message)?;
                    continue;
                }
                Line::Whole(bytes) => bytes,
            };
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // A first line that breaks off in the middle is the beginning of a document of several lines.
            if is_first && breaks_off(&bytes) {
                return self.answer_document(bytes, reader);
            }
            is_first = false;
            self.answer(&bytes)?;
            // Whoever sends line by line waits for each answer.
            if path == Path::new("-") {
                self.out.flush().map_err(Failure::Write)?;
            }
        }
        Ok(())
    }

    fn answer_document(&mut self, mut bytes: Vec<u8>, reader: &mut impl BufRead) -> Result<(), Failure> {
        bytes.push(b'\n');
        reader.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(Failure::Read)?;
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let message = format!("is longer than {DOCUMENT_BYTES_MAX} bytes: write one context a line instead");
            return self.print_error(".", &message);
        }
        // A broken line before good ones is only that line's error.
        let is_document = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let has_whole_lines = lines.iter().skip(1).any(|line| line.first() == Some(&b'{') && !breaks_off(line));
        if is_document || !has_whole_lines {
            return self.answer(&bytes);
        }
        lines.into_iter().filter(|line| !line.iter().all(u8::is_ascii_whitespace)).try_for_each(|it| self.answer(it))
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.print_error(".", "is not UTF-8");
        };
        match flagsmith::evaluate_json(text, self.reasons) {
            Ok(result) => {
                self.answered += 1;
                let line = serde_json::to_string(&result).expect("results have text keys and JSON values");
                writeln!(self.out, "{line}").map_err(Failure::Write)
            }
            Err(error) => self.print_error(&error.path, &error.message),
        }
    }

    fn print_error(&mut self, field: &str, message: &str) -> Result<(), Failure> {
        self.answered += 1;
        self.failed += 1;
        eprintln!("liftgate: context {}: `{field}` {message}", self.answered);
        let error = json!({"error": {"request": self.answered, "field": field, "message": message}});
        writeln!(self.out, "{error}").map_err(Failure::Write)
    }
}

fn breaks_off(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err_and(|error| error.is_eof())
}
