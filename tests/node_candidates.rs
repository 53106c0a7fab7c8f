//! Our candidates are the scheduler's: its own library, in a small Go program, and our core are asked the same about random pods and
//! nodes, and must agree on every node.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

#[allow(dead_code, reason = "Spark is not run here")]
#[path = "control_plane/cluster/programs.rs"]
#[allow(unreachable_pub, reason = "its home is a module of another test")]
mod programs;
mod support;

use programs::Programs;
use support::scheduling::{any_nodes, any_pod_spec, candidates as ours};

/// So many pods, each with up to so many nodes.
const PODS: usize = 6_000;
const NODES: usize = 8;

#[test]
fn are_those_of_the_scheduler() {
    let programs = Programs::ensure(&["node-candidates"]).unwrap();
    let questions = questions();
    let lines: String =
        questions.iter().map(|(spec, nodes)| json!({"spec": spec, "nodes": nodes}).to_string() + "\n").collect();

    let mut program = Command::new(programs.path("node-candidates"));
    let mut running = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It ends with its input, also where that ends because this process was killed.
    let mut input = running.stdin.take().unwrap();
    let asking = thread::spawn(move || input.write_all(lines.as_bytes()));
    let answers: Vec<Vec<String>> = BufReader::new(running.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    asking.join().unwrap().unwrap();
    assert!(running.wait().unwrap().success());

    assert_eq!(answers.len(), questions.len());
    let (mut candidates, mut others) = (0, 0);
    for ((spec, nodes), theirs) in questions.iter().zip(&answers) {
        assert_eq!(&ours(spec, nodes), theirs, "\nof {}\nfor {spec}", json!(nodes));
        candidates += theirs.len();
        others += nodes.len() - theirs.len();
    }
    println!("{candidates} candidates, {others} others");
    assert!(
        candidates > PODS / 4 && others > PODS / 4,
        "{candidates} and {others}: the questions have become one-sided"
    );
}

/// Always the same ones, so that a failure is seen again; another seed is in the environment.
fn questions() -> Vec<(Value, Vec<Value>)> {
    let seed = std::env::var("SPARK_ADMISSION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let strategy = (any_pod_spec(), any_nodes(NODES));
    (0..PODS).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
