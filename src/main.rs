//! The binary: allocator, arguments, exit status.

fn main() {}
