//! Where a pod stands: in which of the things that can go wrong it may be at all.

use crate::doctor::{
    Observed,
    objects::{ContainerStatus, Pod, Terminated, Waiting},
};

/// A container that was started so recently may die again.
const YOUNG: i64 = 120;

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage<'a> {
    /// It has ended well, is on its way out, or there is nothing to say of it.
    Over,
    /// The scheduler has found no node for it.
    Unscheduled,
    /// It has a node, and the kubelet does not get as far as its containers.
    Starting,
    /// A container waits, for a reason.
    Waiting(&'a ContainerStatus, &'a Waiting),
    /// The kubelet put an end to all of it, for a reason.
    PutOut,
    /// A container has ended badly, and is not well again.
    Ended(&'a ContainerStatus, &'a Terminated),
    /// A container was started again and again, the last time a moment ago.
    Flapping(&'a ContainerStatus, &'a Terminated),
    /// Everything runs.
    Running,
}

/// Where a pod stands now.
pub(super) fn of<'a>(observed: &Observed, pod: &'a Pod) -> Stage<'a> {
    if pod.status.phase == "Succeeded" || pod.metadata.is_being_deleted() {
        return Stage::Over;
    }
    let failed = pod.status.phase == "Failed";
    let ended = || pod.statuses().find_map(|status| Some((status, status.ended().filter(|it| it.exit_code != 0)?)));
    if failed {
        // An evicted pod's containers were killed, which is not their fault.
        return match ended() {
            _ if !pod.status.reason.is_empty() => Stage::PutOut,
            Some((status, ended)) => Stage::Ended(status, ended),
            None => Stage::Over,
        };
    }
    if pod.spec.node_name.is_empty() {
        return Stage::Unscheduled;
    }
    for status in pod.statuses() {
        let state = &status.state;
        if let Some(waiting) = &state.waiting {
            match waiting.reason.as_str() {
                "" | "ContainerCreating" | "PodInitializing" => {}
                "CrashLoopBackOff" => {
                    return status.ended().map_or(Stage::Starting, |ended| Stage::Ended(status, ended));
                }
                _ => return Stage::Waiting(status, waiting),
            }
        }
        if let Some(ended) = state.terminated.as_ref().filter(|ended| ended.exit_code != 0) {
            return Stage::Ended(status, ended);
        }
        if let (Some(running), Some(before)) = (&state.running, &status.last_state.terminated) {
            let is_young = observed.age(&running.started_at).is_some_and(|age| age < YOUNG);
            if status.restart_count > 1 && is_young && !pod.proves_ready(status) && before.exit_code != 0 {
                return Stage::Flapping(status, before);
            }
        }
    }
    let is_running = pod.statuses().any(|status| status.state.running.is_some());
    if is_running { Stage::Running } else { Stage::Starting }
}
