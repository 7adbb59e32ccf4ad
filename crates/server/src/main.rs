//! The `loomgate` program.

fn main() {}
