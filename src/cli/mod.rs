//! The commands beside the server, a file each.

pub mod certs;
pub mod doctor;
pub mod ivy_clean;
pub mod nodes;
mod objects;
pub mod policy;
pub mod probe;
pub mod review;
