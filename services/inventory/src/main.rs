//! inventory
fn main() {}
