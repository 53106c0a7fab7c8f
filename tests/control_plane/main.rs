//! What is claimed about Kubernetes, shown on a real API server: docs/testing.md says how it works and how to look into a failure.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]
#![allow(clippy::float_cmp, reason = "what is counted is whole")]
#![allow(unreachable_pub, reason = "nothing of a test binary can be reached from outside")]

mod accounts;
mod admitted;
mod agreement;
mod captured_pods;
mod certificates;
mod chart;
mod cluster;
mod cold_burst;
mod connect_checks;
mod controllers;
mod doctor;
mod doctor_workloads;
mod drift;
mod driver_rights;
mod failures;
mod kubeflow_webhook;
mod labelling;
mod limit_ranges;
mod memory_checks;
mod mounts;
mod name_too_long;
mod nodes;
mod offline;
mod openshift;
mod platform_chart;
mod pod_security;
mod registration;
mod reinvocation;
mod resource_quotas;
mod resources;
mod scale;
mod scheduler_sample;
mod scheduling;
mod spark_connect;
mod spark_memory;
mod spark_operator;
mod spark_session;
mod spark_submit;
mod submission_keys;
#[path = "../support/mod.rs"]
mod support;
mod updates;
mod watch_faults;
