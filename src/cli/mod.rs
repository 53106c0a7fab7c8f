//! The commands beside the server, a file each.

pub mod policy;
pub mod review;
