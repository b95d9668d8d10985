//! The configuration file: what the flags say, in TOML, by their names with underscores.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::{Table, Value};

/// What a file cannot say: itself, and what is done once.
const NOT_IN_FILE: [&str; 4] = ["config", "output_stdin_json", "help", "version"];

/// The flags that stand for what `file` says and neither the command line nor the environment, as `given`.
///
/// # Errors
/// What is wrong with the file, with the key.
pub(crate) fn flags(file: &Path, command: &Command, given: &ArgMatches) -> Result<Vec<OsString>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let known: Vec<&Arg> =
        command.get_arguments().filter(|arg| !NOT_IN_FILE.contains(&arg.get_id().as_str())).collect();
    let mut flags = Vec::new();
    for (key, value) in &table {
        let arg = known.iter().find(|arg| arg.get_id() == key.as_str()).ok_or_else(|| {
            let keys: Vec<_> = known.iter().map(|arg| arg.get_id().as_str()).collect();
            format!("{key} is not known; these are: {}", keys.join(", "))
        })?;
        let source = given.value_source(key);
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let flag = arg.get_long().unwrap_or(key);
        let values = match value {
            Value::Array(values) => values.iter().map(scalar).collect(),
            value => scalar(value).map(|text| vec![text]),
        };
        let values: Vec<_> =
            values.ok_or_else(|| format!("{key}: expected a text, a whole number or a list of them"))?;
        flags.extend(values.into_iter().map(|value| format!("--{flag}={value}").into()));
    }
    Ok(flags)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}
