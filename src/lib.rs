//! An admission webhook that makes Spark work on Kubernetes start at the first submission.
//!
//! The way of a review: bytes, [`review`] (envelope), [`policy`] (subject, policy and snapshot to a decision), JSON Patch
//! operations, response bytes. [`server`] and [`cli`] stand around it; nothing in [`policy`] knows a socket, a client or a clock.

pub mod args;
pub mod certs;
pub mod cli;
pub mod cluster;
pub mod duration;
pub mod metrics;
pub mod policy;
pub mod reload;
pub mod review;
pub mod run;
pub mod serve;
pub mod server;
mod signals;
pub mod telemetry;
