//! Fault campaigns: how long they are, and how one that failed is had again.

use kit::config::Vars;

/// The length of a fault campaign: `short` in `make test`, `full` in `make soak` (`TRIBUTARY_SOAK=1`).
pub fn campaign(short: u64, full: u64) -> u64 {
    if is_soak() { full } else { short }
}

/// Whether this is `make soak`.
pub(crate) fn is_soak() -> bool {
    let soak = Vars::from_env("TRIBUTARY_").optional::<String>("SOAK", "1 for the full fault campaigns");
    !matches!(soak.expect("text is always valid").as_deref(), None | Some("0"))
}

/// The seed of a fault campaign: the one given back in `TRIBUTARY_SEED`, else a new one in a soak and always the same in
/// `make test`, which tells of a change and not of luck.
///
/// It is printed, so that the output of a failed test says how to repeat its choices.
///
/// # Panics
/// When the variable holds no number.
#[expect(clippy::print_stdout, reason = "the output of a failing test is where its reader looks")]
pub fn seed() -> u64 {
    let given = Vars::from_env("TRIBUTARY_").optional::<u64>("SEED", "repeats a fault campaign");
    let given = given.expect("TRIBUTARY_SEED is a number");
    let seed = given.unwrap_or_else(|| if is_soak() { rand::random_range(0..1_000_000) } else { 1 });
    println!("TRIBUTARY_SEED={seed}");
    seed
}
