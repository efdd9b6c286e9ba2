//! Gathers settings from their sources and remembers which one won.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::Path};

use thiserror::Error;

use super::{SETTINGS, Setting};

/// Where a value came from; later ones win.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// The built-in default.
    Default,
    /// A configuration file.
    File(String),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("configuration file `{path}` cannot be read: {source}; check `--config` or remove the flag")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("configuration file `{path}` is not valid TOML: {message}")]
    Malformed {
        /// The file.
        path: String,
        /// Line, column and reason.
        message: String,
    },
    /// A name that is no setting.
    #[error("`{name}` ({origin}) is not a setting; `liftgate doctor` lists them all")]
    Unknown {
        /// The name.
        name: String,
        /// Where it was found.
        origin: Source,
    },
    /// A value of the wrong form.
    #[error("setting `{name}` ({origin}) is `{value}`; it must be {form}")]
    Wrong {
        /// The setting.
        name: &'static str,
        /// The value, hidden when it is a secret.
        value: String,
        /// Where it came from.
        origin: Source,
        /// What it must look like.
        form: String,
    },
}

/// A value in effect.
#[derive(Clone, Debug)]
pub struct Value {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value as text.
    pub text: String,
    /// Where it came from.
    pub source: Source,
}

impl Value {
    /// The value as it may be shown to people: secrets hidden, and the password of a URL masked.
    pub fn display(&self) -> Cow<'_, str> {
        if self.setting.secret && !self.text.is_empty() {
            return Cow::Borrowed("(set, hidden)");
        }
        match (self.text.find("://"), self.text.rfind('@')) {
            (Some(scheme), Some(at)) if scheme < at => {
                Cow::Owned(format!("{}://***{}", &self.text[..scheme], &self.text[at..]))
            }
            _ => Cow::Borrowed(&self.text),
        }
    }
}

/// All settings with the value in effect.
#[derive(Clone, Debug)]
pub struct Effective(BTreeMap<&'static str, Value>);

impl Effective {
    /// Gathers from a file (when given, or `liftgate.toml` when it exists), variables and flags.
    pub fn gather(
        file: Option<&Path>,
        variables: impl Fn(&str) -> Option<String>,
        flags: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut values = Self(
            SETTINGS
                .iter()
                .map(|setting| {
                    (setting.name, Value { setting, text: setting.default.to_owned(), source: Source::Default })
                })
                .collect(),
        );
        let implicit = Path::new("liftgate.toml");
        if let Some(path) = file.or_else(|| implicit.exists().then_some(implicit)) {
            values.read_file(path)?;
        }
        for setting in SETTINGS {
            if let Some(text) = variables(&setting.variable()) {
                values.set(setting.name, text, Source::Environment(setting.variable()))?;
            }
        }
        for (name, text) in flags {
            values.set(name, text.clone(), Source::Flag(format!("--set {name}")))?;
        }
        Ok(values)
    }

    /// The text of a setting.
    pub fn text(&self, name: &'static str) -> &str {
        self.0.get(name).map_or("", |value| &value.text)
    }

    /// The error for a value of the wrong form.
    pub fn wrong(&self, name: &'static str, form: &str) -> Error {
        let (value, origin) = self
            .0
            .get(name)
            .map_or((String::new(), Source::Default), |value| (value.display().into_owned(), value.source.clone()));
        Error::Wrong { name, value, origin, form: form.to_owned() }
    }

    /// Every value in effect, by name.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.values()
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Error> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: shown.clone(), source })?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error::Malformed { path: shown.clone(), message: error.to_string() })?;
        let mut flat = Vec::new();
        flatten("", &table, &mut flat);
        for (name, text) in flat {
            self.set(&name, text, Source::File(shown.clone()))?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, text: String, source: Source) -> Result<(), Error> {
        match self.0.get_mut(name) {
            Some(value) => {
                value.text = text;
                value.source = source;
                Ok(())
            }
            None => Err(Error::Unknown { name: name.to_owned(), origin: source }),
        }
    }
}

/// Turns nested tables into dotted names and lists into comma lists.
fn flatten(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, into),
            toml::Value::Array(items) => into.push((name, items.iter().map(plain).collect::<Vec<_>>().join(","))),
            other => into.push((name, plain(other))),
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(yes) => yes.to_string(),
        toml::Value::Datetime(instant) => instant.to_string(),
        // Nested tables were flattened before, and lists of lists are no value of any setting.
        toml::Value::Array(_) | toml::Value::Table(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_win_and_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("liftgate.toml");
        std::fs::write(&file, "listen = \"0.0.0.0:1\"\ndata_dir = \"/x\"\n[webhooks]\nallow = [\"a\", \"b:1\"]\n")
            .unwrap();
        let effective = Effective::gather(
            Some(&file),
            |name| (name == "LIFTGATE_LISTEN").then(|| "0.0.0.0:2".to_owned()),
            &[("query_threads".to_owned(), "3".to_owned())],
        )
        .unwrap();
        assert_eq!(effective.text("listen"), "0.0.0.0:2");
        assert_eq!(effective.text("webhooks.allow"), "a,b:1");
        let sources: Vec<String> = effective.values().map(|value| value.source.to_string()).collect();
        assert!(sources.contains(&"environment LIFTGATE_LISTEN".to_owned()));
        assert!(sources.contains(&"flag --set query_threads".to_owned()));
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let url = "postgres://liftgate:hunter2@db/liftgate";
        let effective = Effective::gather(None, |_| None, &[("catalog".to_owned(), url.to_owned())]).unwrap();
        let shown: Vec<String> = effective.values().map(|value| value.display().into_owned()).collect();
        assert!(shown.contains(&"postgres://***@db/liftgate".to_owned()), "{shown:?}");
        assert_eq!(effective.text("catalog"), url);
    }

    #[test]
    fn a_wrong_value_names_the_setting_and_its_source() {
        let effective = Effective::gather(None, |_| None, &[("listen".to_owned(), "everywhere".to_owned())]).unwrap();
        let error = super::super::Config::from_effective(&effective).unwrap_err().to_string();
        assert!(error.contains("`listen` (flag --set listen) is `everywhere`"), "{error}");
        let error = Effective::gather(None, |_| None, &[("lisen".to_owned(), "x".to_owned())]).unwrap_err();
        assert!(error.to_string().contains("`lisen`"), "{error}");
    }
}
