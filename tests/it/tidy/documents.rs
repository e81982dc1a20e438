//! The documents: the README is short, and every relative link leads to a file or a heading that is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{collect, repository};

/// Words of the README, at most.
const README_WORDS: usize = 900;

#[test]
fn the_readme_is_short() {
    let words = std::fs::read_to_string(repository().join("README.md")).unwrap().split_whitespace().count();
    assert!(words <= README_WORDS, "README.md has {words} words, at most {README_WORDS}: the rest belongs in docs/");
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut links = 0;
    let mut faults = Vec::new();
    for file in documents() {
        let text = std::fs::read_to_string(&file).unwrap();
        for target in targets(&text) {
            links += 1;
            if let Some(fault) = fault(&file, &text, &target) {
                faults.push(format!("{}: ({target}): {fault}", file.display()));
            }
        }
    }
    assert!(links > 50, "the scan finds the links: {links}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_scan_sees_links_and_headings() {
    let text = "[a](b.md#c) `[no](x)` ![p](q.png) [w](https://x.y)\n```sh\n# no heading\n[no](z)\n```\n## Why `a`, _b_?\n## 1. A-b\n";
    assert_eq!(targets(text), ["b.md#c", "q.png"]);
    assert_eq!(anchors(text), BTreeSet::from(["why-a-_b_".to_owned(), "1-a-b".to_owned()]));
}

#[test]
fn each_file_of_the_way_of_a_sale_line_is_there() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let (_, way) = text.split_once("## The way of one sale line").unwrap();
    let (way, _) = way.split_once("\n## ").unwrap();
    let mut files = Vec::new();
    for folder in ["aggregator", "exports", "jobs", "services"] {
        collect(&repository().join(folder), "rs", &mut files);
        collect(&repository().join(folder), "sql", &mut files);
    }
    let named: Vec<&str> = way.split('`').skip(1).step_by(2).collect();
    let missing: Vec<_> = named.iter().filter(|name| !files.iter().any(|file| file.ends_with(name))).collect();
    assert!(named.len() > 30 && missing.is_empty(), "ARCHITECTURE.md names files that are not there: {missing:?}");
}

/// The root's documents, all of `docs`, and the README of every other folder.
fn documents() -> Vec<PathBuf> {
    let root = repository();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == "md"));
    collect(&root.join("docs"), "md", &mut files);
    let mut others = Vec::new();
    for folder in ["aggregator", "dashboards", "exports", "jobs", "migrations", "services"] {
        collect(&root.join(folder), "md", &mut others);
    }
    files.extend(others.into_iter().filter(|file| file.ends_with("README.md")));
    files
}

/// Why a link leads nowhere, if it does not.
fn fault(file: &Path, text: &str, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let (led_to, text) = if path.is_empty() {
        (file.to_owned(), text.to_owned())
    } else {
        let led_to = file.parent()?.join(path);
        if !led_to.exists() {
            return Some("there is no such file".to_owned());
        }
        let text = std::fs::read_to_string(&led_to).unwrap_or_default();
        (led_to, text)
    };
    let anchor = anchor?;
    let known = anchors(&text);
    (!known.contains(anchor)).then(|| format!("{} has the headings {known:?}", led_to.display()))
}

/// The lines of a document outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

/// Where the relative links and pictures of a document lead.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Every second piece is code.
        for piece in line.split('`').step_by(2) {
            let after = piece.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(after.map(|(target, _)| target.to_owned()));
        }
    }
    found.retain(|target| !target.contains("://"));
    found
}

/// The headings of a document, as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
