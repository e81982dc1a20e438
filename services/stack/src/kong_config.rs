//! `stack kong-config`: `kong.yml` with keys, token and targets filled in, for a real Kong, which resolves no secret
//! in a key or an added header by itself.

use std::collections::BTreeMap;
use std::path::Path;

use kit::config::Vars;

use crate::error::{Error, Result};
use crate::layout::write_private;
use crate::services::render_kong;

/// All names of the file begin so.
const PREFIX: &str = "TRIBUTARY_";

/// The configuration, from the environment and, for what that lacks, from a file of `NAME=value` lines.
///
/// # Errors
/// [`Error::Gateway`] names what is missing or cannot stand in the file; [`Error::BadFile`] a line that is none.
pub fn render(secrets: Option<&Path>) -> Result<String> {
    let mut names = match secrets {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
            parse(&text).map_err(|reason| Error::BadFile { path: path.to_owned(), reason })?
        }
        None => BTreeMap::new(),
    };
    let mut environment = Vars::from_env(PREFIX);
    for name in crate::render::placeholders(gateway::TEMPLATE) {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let value = environment.optional::<String>(rest, "a value for kong.yml");
        if let Some(value) = value.map_err(|error| Error::Gateway(error.to_string()))? {
            names.insert(name, value);
        }
    }
    let config = render_kong(&names)?;
    // Kong would refuse it only when it starts, on another machine.
    gateway::check(&config).map_err(|error| Error::Gateway(error.to_string()))?;
    Ok(config)
}

/// Writes the configuration to a file that only its owner may read.
pub fn write(config: &str, output: &Path) -> Result<()> {
    write_private(output, config)
}

/// `NAME=value` lines: quotes around the value are taken off, `#` begins a comment line.
fn parse(text: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let mut names = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| format!("line {}: is no NAME=value", index + 1))?;
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        names.insert(name.trim().to_owned(), bare.unwrap_or(value).to_owned());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_file_is_read_with_and_without_quotes() {
        let names = parse("# keys\nTRIBUTARY_A=one\n TRIBUTARY_B = \"two=2\" \n\nTRIBUTARY_C='3'\n").unwrap();
        let pairs: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("TRIBUTARY_A", "one"), ("TRIBUTARY_B", "two=2"), ("TRIBUTARY_C", "3")]);
        assert_eq!(parse("TRIBUTARY_A=1\nnonsense").unwrap_err(), "line 2: is no NAME=value");
    }
}
