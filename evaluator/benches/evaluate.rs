//! Evaluation speed.
fn main() {}
