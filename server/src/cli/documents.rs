//! JSON requests from a file or from standard input: one document, a list of them, or one a line. Each is answered in its
//! place; one that cannot be answered gives an error there, and its neighbours are answered all the same.

use std::{
    io::{self, BufRead, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use liftgate_stats::analysis::FieldError;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Error,
    input::{self, DOCUMENT_BYTES_MAX, shown},
    lines::{self, Line},
    output::{self, Output},
};

/// Where requests come from and how answers are printed.
#[derive(Debug, Args)]
pub struct DocumentArgs {
    /// File of requests, `-` for standard input: a JSON object, a list of them, or one a line (NDJSON).
    #[arg(required_unless_present = "schema", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The form of the output. JSON prints one answer a line when there were several requests.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Print the JSON Schema of requests or of answers, and read nothing.
    #[arg(long, value_enum, value_name = "OF")]
    schema: Option<SchemaOf>,
}

/// Which schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum SchemaOf {
    /// What may be asked.
    Request,
    /// What is answered.
    Answer,
}

/// What a command makes of requests.
pub trait Answerer {
    /// What is answered.
    type Answer: Serialize;

    /// Answers one request.
    fn answer(&self, request: Value) -> Result<Self::Answer, FieldError>;
    /// The schema of requests or answers.
    fn schema(&self, of: SchemaOf) -> Value;
    /// The table's columns.
    fn header(&self) -> &'static [&'static str];
    /// The table's rows for one answer.
    fn rows(&self, answer: &Self::Answer) -> Vec<Vec<String>>;
}

/// Answers everything; code 1 when anything could not be answered.
pub fn run(args: &DocumentArgs, answerer: &impl Answerer) -> Result<ExitCode, Error> {
    if let Some(of) = args.schema {
        println!("{:#}", answerer.schema(of));
        return Ok(ExitCode::SUCCESS);
    }
    let path = args.file.as_deref().ok_or_else(|| Error::Usage("name a FILE, or `-` for standard input".to_owned()))?;
    let (reader, bar) = input::open(path).map_err(|source| Error::File { path: shown(path), source })?;
    let mut printer = Printer::new(args.output, answerer);
    let told = |source| Error::File { path: shown(path), source };
    match printer.read_all(reader, path) {
        Ok(()) => {}
        // Whoever read our output has seen enough.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(Failure::Write(source)) => return Err(Error::File { path: "standard output".to_owned(), source }),
        Err(Failure::Read(source)) => return Err(told(source)),
        Err(Failure::Document(message)) => return Err(Error::Incomplete(message)),
    }
    bar.finish_and_clear();
    printer.finish()
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
    Document(String),
}

/// Prints answers as they come; a table at the end, when all widths are known.
struct Printer<'a, A: Answerer> {
    output: Output,
    answerer: &'a A,
    out: BufWriter<io::StdoutLock<'static>>,
    rows: Vec<Vec<String>>,
    asked: u64,
    failed: u64,
}

impl<'a, A: Answerer> Printer<'a, A> {
    fn new(output: Output, answerer: &'a A) -> Self {
        Self { output, answerer, out: BufWriter::new(io::stdout().lock()), rows: Vec::new(), asked: 0, failed: 0 }
    }

    fn read_all(&mut self, mut reader: Box<dyn BufRead>, path: &Path) -> Result<(), Failure> {
        let first = loop {
            match lines::next(&mut reader, DOCUMENT_BYTES_MAX).map_err(Failure::Read)? {
                None => return Err(Failure::Document(format!("{} has no request in it", shown(path)))),
                Some(Line::Whole(line)) if is_blank(&line) => {}
                Some(Line::TooLong) => break Line::TooLong,
                Some(line) => break line,
            }
        };
        if let Line::Whole(bytes) = &first {
            let is_whole = serde_json::from_slice::<Value>(bytes).is_ok();
            let starts_document = !is_whole && matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
            if starts_document && !is_complete(bytes) {
                return self.read_document(bytes, reader, path);
            }
        }
        let (mut number, mut line) = (1, Some(first));
        let mut ahead = lines::next(&mut reader, DOCUMENT_BYTES_MAX).map_err(Failure::Read)?;
        let only_one = ahead.is_none();
        while let Some(current) = line {
            match current {
                Line::TooLong => {
                    let message = format!("is longer than {DOCUMENT_BYTES_MAX} bytes");
                    self.print(Err(FieldError::new(".", message)), Some(number))?;
                }
                Line::Whole(bytes) if is_blank(&bytes) => {}
                Line::Whole(bytes) => self.answer_bytes(&bytes, if only_one { None } else { Some(number) })?,
            }
            number += 1;
            line = ahead.take();
            if line.is_some() {
                ahead = lines::next(&mut reader, DOCUMENT_BYTES_MAX).map_err(Failure::Read)?;
            }
        }
        Ok(())
    }

    /// A document over several lines.
    fn read_document(&mut self, first: &[u8], reader: Box<dyn BufRead>, path: &Path) -> Result<(), Failure> {
        let mut bytes = first.to_vec();
        bytes.push(b'\n');
        reader.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(Failure::Read)?;
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let message = "is longer than 64 MiB: write one request a line instead";
            return Err(Failure::Document(format!("{} {message}", shown(path))));
        }
        self.answer_bytes(&bytes, None)
    }

    fn answer_bytes(&mut self, bytes: &[u8], line: Option<u64>) -> Result<(), Failure> {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Array(requests)) => {
                for (index, request) in requests.into_iter().enumerate() {
                    self.print(self.answerer.answer(request), Some(line.unwrap_or(index as u64 + 1)))?;
                }
                Ok(())
            }
            Ok(request) => self.print(self.answerer.answer(request), line),
            Err(error) => self.print(Err(FieldError::new(".", format!("is not JSON: {error}"))), line),
        }
    }

    fn print(&mut self, answer: Result<A::Answer, FieldError>, line: Option<u64>) -> Result<(), Failure> {
        self.asked += 1;
        let value = match &answer {
            Ok(answer) => serde_json::to_value(answer).unwrap_or(Value::Null),
            Err(error) => {
                self.failed += 1;
                let place = line.map_or_else(String::new, |line| format!("request {line}: "));
                eprintln!("liftgate: {place}{error}");
                json!({"error": {"request": line, "field": error.field, "message": error.message}})
            }
        };
        match self.output {
            Output::Json if line.is_none() => writeln!(self.out, "{value:#}"),
            Output::Json => writeln!(self.out, "{value}"),
            Output::Table | Output::Csv => {
                if let Ok(answer) = &answer {
                    self.rows.extend(self.answerer.rows(answer));
                }
                Ok(())
            }
        }
        .map_err(Failure::Write)
    }

    fn finish(mut self) -> Result<ExitCode, Error> {
        let flushed = self.out.flush();
        if let Err(source) = flushed
            && source.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(Error::File { path: "standard output".to_owned(), source });
        }
        if self.output != Output::Json && !self.rows.is_empty() {
            drop(self.out);
            output::print(self.output, &Value::Null, self.answerer.header(), &self.rows);
        }
        if self.failed == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        if self.asked > 1 {
            eprintln!("liftgate: {} of {} requests could not be answered", self.failed, self.asked);
        }
        Ok(ExitCode::from(1))
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Whether the text ends where its JSON does or breaks, rather than in the middle of a document.
fn is_complete(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err_and(|error| !error.is_eof())
}
