//! retail
fn main() {}
