//! `liftgate apply -f`: declares what files say.

use std::{io::Read, path::Path};

use clap::Args;

use super::{
    Error,
    client::{Client, ServerArgs},
    output::{self, Output},
};

/// What to declare.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A YAML or JSON file, a folder of them, or `-` for standard input; may be repeated.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(args: ApplyArgs) -> Result<(), Error> {
    let mut documents = Vec::new();
    for file in &args.files {
        for text in read(file)? {
            documents.push(expand(&text, |name| std::env::var(name).ok()).map_err(|name| {
                Error::Usage(format!(
                    "`{file}` refers to `${{{name}}}`, and the environment variable {name} is not set"
                ))
            })?);
        }
    }
    let client = Client::new(&args.server)?;
    let answer = client.post_yaml("/manage/v1/apply", documents.join("\n---\n")).await?;
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|it| {
            ["kind", "project", "environment", "key", "action"].iter().map(|name| output::text(it, name)).collect()
        })
        .collect();
    output::print(args.output, &answer, &["KIND", "PROJECT", "ENVIRONMENT", "KEY", "ACTION"], &rows);
    for result in &results {
        for (name, what) in [("client_key", "client key"), ("secret", "signing secret, shown this once")] {
            if let Some(secret) = result[name].as_str() {
                eprintln!("{} `{}`: {what}: {secret}", output::text(result, "kind"), output::text(result, "key"));
            }
        }
    }
    let failed: Vec<String> = results
        .iter()
        .filter_map(|it| {
            let error = it["error"].as_str()?;
            Some(format!("{} `{}` was not started: {error}", output::text(it, "kind"), output::text(it, "key")))
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Incomplete(failed.join("\n"))) }
}

/// The texts of a file, of a folder's YAML and JSON files in order of their names, or of standard input.
fn read(file: &str) -> Result<Vec<String>, Error> {
    let failed = |source| Error::File { path: file.to_owned(), source };
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(vec![text]);
    }
    let path = Path::new(file);
    if !path.is_dir() {
        return Ok(vec![std::fs::read_to_string(path).map_err(failed)?]);
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .map_err(failed)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json"))
        .collect();
    entries.sort();
    if entries.is_empty() {
        return Err(Error::Usage(format!("folder `{file}` has no .yaml, .yml or .json files")));
    }
    entries.iter().map(|path| std::fs::read_to_string(path).map_err(failed)).collect()
}

/// Replaces `${NAME}` by the variable; the error is the name of one that is not set.
pub fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        expanded.push_str(before);
        match after.find('}') {
            Some(end) => {
                let name = &after[2..end];
                expanded.push_str(&variable(name).ok_or_else(|| name.to_owned())?);
                rest = &after[end + 1..];
            }
            None => {
                expanded.push_str(after);
                rest = "";
            }
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_and_missing_ones_named() {
        let known = |name: &str| (name == "URL").then(|| "http://x".to_owned());
        assert_eq!(expand("url: ${URL}/hook $5", known).unwrap(), "url: http://x/hook $5");
        assert_eq!(expand("${NOPE}", known).unwrap_err(), "NOPE");
        assert_eq!(expand("open ${ end", known).unwrap(), "open ${ end");
    }
}
