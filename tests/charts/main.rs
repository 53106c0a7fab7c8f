//! The chart, and what is made from it: what each value does, and that kustomize and install.yaml install the same. What it does on a
//! cluster is shown in `tests/control_plane/chart.rs`.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]
#![allow(unreachable_pub, reason = "nothing of a test binary can be reached from outside")]

mod built;
mod documented;
mod generated;
mod helm;
mod pages;
mod platform;
#[path = "../control_plane/cluster/programs.rs"]
#[allow(dead_code, reason = "the control plane needs more of it")]
mod programs;
mod refused;
mod rendered;
mod rows;
#[path = "../support/mod.rs"]
mod support;
mod values;
