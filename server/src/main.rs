//! The `liftgate` command.
fn main() {}
