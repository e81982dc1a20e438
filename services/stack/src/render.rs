//! Fills the `${NAME}` placeholders of `kong.yml`.
//!
//! Kong resolves no vault reference in a key or an added header, so secrets must be in the file before it reads it. A
//! target may be several, parted by commas.

use std::collections::BTreeMap;

/// What stands before a target.
const TARGET: &str = "{ target: \"";

/// Why a template could not be filled in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    #[error("line {line}: `${{` without a closing `}}`")]
    Unclosed { line: usize },
    #[error("no value for {name} (line {line}): set it in the environment or the secrets file")]
    Missing { name: String, line: usize },
    #[error("the value of {name} is empty or holds a quote, a backslash, white space or a control character")]
    Unsafe { name: String },
}

/// Replaces every `${NAME}` of `template` by `values[NAME]`.
///
/// # Errors
/// A name without a value, and a value that could end the YAML string it stands in, are refused:
/// a key must never change the meaning of the file around it. Comment lines are left alone.
pub fn render(template: &str, values: &BTreeMap<String, String>) -> Result<String, RenderError> {
    let mut out = String::with_capacity(template.len());
    for (index, line) in template.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
        } else {
            render_line(line, index + 1, values, &mut out)?;
        }
        out.push('\n');
    }
    Ok(out)
}

/// The names of all placeholders, each once, in alphabetical order.
pub fn placeholders(template: &str) -> Vec<String> {
    let mut names: Vec<String> = template
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("${").skip(1).filter_map(|rest| rest.split_once('}')))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn render_line(
    mut rest: &str,
    line: usize,
    values: &BTreeMap<String, String>,
    out: &mut String,
) -> Result<(), RenderError> {
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or(RenderError::Unclosed { line })?;
        let value = values.get(name).ok_or_else(|| RenderError::Missing { name: name.to_owned(), line })?;
        let parts: Vec<&str> = if before.ends_with(TARGET) { value.split(',').collect() } else { vec![value] };
        let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\');
        if parts.iter().any(|part| part.is_empty() || !part.chars().all(is_safe)) {
            return Err(RenderError::Unsafe { name: name.to_owned() });
        }
        out.push_str(before);
        out.push_str(&parts.join(&format!("\" }}, {TARGET}")));
        rest = tail;
    }
    out.push_str(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn fills_every_placeholder_and_leaves_transformer_templates_alone() {
        let text = "# ${NOT_A_VALUE}\nkey: \"${A}\"\nadd: [\"x:${A}${B}\"]\nuri: $(uri_captures[\"upstream\"])\n";
        let got = render(text, &values(&[("A", "one"), ("B", "two")])).expect("renders");
        assert_eq!(got, "# ${NOT_A_VALUE}\nkey: \"one\"\nadd: [\"x:onetwo\"]\nuri: $(uri_captures[\"upstream\"])\n");
        assert_eq!(placeholders(text), ["A", "B"]);
    }

    #[test]
    fn a_target_may_be_several_and_no_other_value() {
        let text = "targets: [{ target: \"${A}\" }]\nkey: \"${A}\"\n";
        let got = render(text, &values(&[("A", "one:1,two:2")])).expect("renders");
        assert_eq!(got, "targets: [{ target: \"one:1\" }, { target: \"two:2\" }]\nkey: \"one:1,two:2\"\n");
        assert!(render(text, &values(&[("A", "one:1,")])).is_err());
    }

    #[test]
    fn refuses_a_missing_name_an_open_brace_and_a_value_that_would_break_the_file() {
        let missing = render("\nkey: ${A}", &BTreeMap::new());
        assert_eq!(missing, Err(RenderError::Missing { name: "A".to_owned(), line: 2 }));
        assert_eq!(render("key: ${A", &BTreeMap::new()), Err(RenderError::Unclosed { line: 1 }));
        for bad in ["", "a\"b", "a b", "a\nb", "a\\b"] {
            assert_eq!(
                render("${A}", &values(&[("A", bad)])),
                Err(RenderError::Unsafe { name: "A".to_owned() }),
                "{bad:?}"
            );
        }
    }
}
