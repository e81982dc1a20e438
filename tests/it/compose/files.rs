//! Reads the deployment's files as an engine would: variables filled in, environments as maps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `docker-compose.yml` with each secret as a text of its own and every other variable at its default.
pub(super) struct Compose {
    pub(super) value: Value,
}

impl Compose {
    pub(super) fn load() -> Self {
        let text = interpolate(&read("docker-compose.yml"));
        Self { value: serde_saphyr::from_str(&text).unwrap() }
    }

    /// The services in the order of the file.
    pub(super) fn names(&self) -> Vec<String> {
        names(&self.value["services"])
    }

    pub(super) fn service(&self, name: &str) -> &Value {
        let service = &self.value["services"][name];
        assert!(service.is_object(), "no service {name}");
        service
    }

    pub(super) fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let env = self.service(name)["environment"].as_object().unwrap();
        env.iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_else(|| panic!("{key}")).to_owned()))
            .collect()
    }

    pub(super) fn networks(&self, name: &str) -> BTreeSet<String> {
        let networks = &self.service(name)["networks"];
        strings(networks).into_iter().chain(names(networks)).collect()
    }
}

/// The keys of a map; none of what is absent.
pub(super) fn names(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// A list of texts; empty when absent.
pub(super) fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Every `${NAME:-default}` and `${NAME:?reason}`: the default, or none for what must be given.
pub(super) fn variables(text: &str) -> BTreeMap<String, Option<String>> {
    text.split("${")
        .skip(1)
        .filter(|rest| !rest.starts_with("SERVICE}"))
        .map(|rest| {
            let inside = rest.split_once('}').unwrap().0;
            match inside.split_once(":-") {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (
                    inside
                        .split_once(":?")
                        .unwrap_or_else(|| panic!("{inside}: neither default nor demand"))
                        .0
                        .to_owned(),
                    None,
                ),
            }
        })
        .collect()
}

fn interpolate(text: &str) -> String {
    // `$$` is how compose writes a dollar sign that is not its own.
    let mut out = text.replace("$$", "\u{1}");
    for (name, default) in variables(&out.replace("\u{1}{", "")) {
        let start = format!("${{{name}:");
        while let Some(at) = out.find(&start) {
            let (_, rest) = out.split_at(at);
            let end = at + rest.find('}').unwrap() + 1;
            // Long enough for every rule on tokens, and another for each name.
            let value = default.clone().unwrap_or_else(|| format!("secret{}", name.replace('_', "").to_lowercase()));
            out.replace_range(at..end, &value);
        }
    }
    out.replace('\u{1}', "$")
}

/// SQL statements with single spaces and without comments.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let code: String = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
    code.split(';')
        .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|one| !one.is_empty())
        .collect()
}

/// What `roles.sh` grants in one database, with psql's variables filled in.
pub(super) fn grants(script: &str, service: &str, readers: &[(&str, &str)]) -> Vec<String> {
    let all = script.split_once("# grants: every database").unwrap().1;
    let mut blocks = all.split("<<'SQL'\n").skip(1).map(|block| block.split("\nSQL\n").next().unwrap());
    let mut next = || statements(blocks.next().unwrap());
    let (every, reader) = (next(), next());
    let fill = |text: &String, role: &str, schema: &str| {
        text.replace(":service", service)
            .replace(":owner", &format!("{service}_owner"))
            .replace(":name", &format!("{service}_db"))
            .replace(":role", role)
            .replace(":schema", schema)
    };
    let mut out: Vec<String> = every.iter().map(|text| fill(text, "", "")).collect();
    for (role, schema) in readers {
        out.extend(reader.iter().map(|text| fill(text, role, schema)));
    }
    out
}
