//! Prometheus' text format, as a scrape gives it.

use std::collections::BTreeMap;

/// Everything of one name: its kind, its meaning, and a sample's labels for each line.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` …; empty where no `# TYPE` was given.
    pub kind: String,
    /// The text of `# HELP`.
    pub help: String,
    /// Labels and value of each sample, with the sample's full name (`…_bucket`).
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// The families of a scrape, by name. The lines of a histogram belong to its family.
///
/// # Panics
/// When a line is not of the format.
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim().splitn(3, ' ');
            let (what, name, rest) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match what {
                Some("HELP") => rest.clone_into(&mut families.entry(name.to_owned()).or_default().help),
                Some("TYPE") => rest.clone_into(&mut families.entry(name.to_owned()).or_default().kind),
                _ => {}
            }
            continue;
        }
        let (name, labels, value) = sample(line).unwrap_or_else(|| panic!("no line of Prometheus' format: {line}"));
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| {
                name.strip_suffix(end).filter(|base| families.get(*base).is_some_and(|it| it.kind == "histogram"))
            })
            .unwrap_or(&name)
            .to_owned();
        families.entry(family).or_default().samples.push((name, labels, value));
    }
    families
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, inside)) = head.split_once('{') else {
        return Some((head.to_owned(), BTreeMap::new(), value));
    };
    let mut labels = BTreeMap::new();
    let mut rest = inside.strip_suffix('}')?;
    while !rest.is_empty() {
        let (label, tail) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = tail.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(match chars.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.insert(label.trim_start_matches(',').to_owned(), value);
        rest = chars.as_str();
    }
    Some((name.to_owned(), labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read() {
        let text = "# HELP a_seconds Time\n# TYPE a_seconds histogram\na_seconds_bucket{route=\"/x,{id}\",le=\"0.2\"} 3\n\
                    a_seconds_sum{route=\"/x,{id}\"} 0.5\n\n# TYPE b_count gauge\nb_count 1e3\n";
        let families = parse(text);
        assert_eq!(families.keys().collect::<Vec<_>>(), ["a_seconds", "b_count"]);
        let histogram = &families["a_seconds"];
        assert_eq!(
            (histogram.kind.as_str(), histogram.help.as_str(), histogram.samples.len()),
            ("histogram", "Time", 2)
        );
        assert_eq!(histogram.samples[0].1["route"], "/x,{id}");
        assert_eq!(histogram.samples[0].1["le"], "0.2");
        assert!((families["b_count"].samples[0].2 - 1000.0).abs() < f64::EPSILON);
    }
}
