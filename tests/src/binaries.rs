//! The programs under test: those of the same target directory, built from the sources as they are now.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Sources that each program is made of; a program older than one of them would test yesterday's code.
const SOURCES: [(&str, &[&str]); 6] = [
    ("inventory", &["services/inventory/src", "services/kit/src", "migrations/inventory"]),
    ("ecommerce", &["services/ecommerce/src", "services/kit/src", "migrations/ecommerce"]),
    ("retail", &["services/retail/src", "services/kit/src", "migrations/retail"]),
    (
        "reporting",
        &[
            "services/reporting/src",
            "services/reporting/assets",
            "services/kit/src",
            "aggregator/src",
            "aggregator/base/src",
            "aggregator/lake/src",
            "jobs/src",
            "exports/src",
            "migrations/reporting",
        ],
    ),
    ("gateway", &["services/gateway/src"]),
    ("stack", &["services/stack/src", "services/gateway/kong.yml"]),
];

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// Folder of the programs, such as `target/debug`.
pub fn folder() -> PathBuf {
    stack::services::own_folder().expect("the test binary lies in a target directory")
}

/// A program of this workspace.
///
/// # Panics
/// When it was not built, or not since its sources changed.
pub fn program(name: &str) -> PathBuf {
    let (_, sources) = SOURCES.iter().find(|(program, _)| *program == name).expect("a program of the workspace");
    let path = folder().join(name);
    let cure = "run `cargo build --workspace` before the tests (`make test` does)";
    let built = modified(&path).unwrap_or_else(|| panic!("{} is not there: {cure}", path.display()));
    for source in *sources {
        let newest = newest(&repository().join(source));
        assert!(newest.is_none_or(|newest| newest <= built), "{} is older than {source}: {cure}", path.display());
    }
    path
}

/// Checks the gateway and these services.
pub fn check(services: &[&str]) {
    for name in services.iter().chain(&["gateway"]) {
        program(name);
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The last change below `path`.
fn newest(path: &Path) -> Option<SystemTime> {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().filter_map(|entry| newest(&entry.path())).max(),
        Err(_) => modified(path),
    }
}
