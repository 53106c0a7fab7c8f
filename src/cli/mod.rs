//! The commands beside the server, a file each.

pub mod certs;
pub mod nodes;
mod objects;
pub mod policy;
pub mod review;
