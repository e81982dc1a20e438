//! ecommerce
fn main() {}
