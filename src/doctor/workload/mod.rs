//! What concerns one resource or one pod, a file a topic.

mod checks;

use super::{LogKey, Look, objects::Pod};

/// Everything that is looked for.
pub const ALL: &[Look] = &[checks::look];

/// The logs that findings are made of: only of pods that are in trouble, since each is a request.
#[must_use]
pub fn logs_wanted(pods: &[Pod]) -> Vec<LogKey> {
    pods.iter().flat_map(logs_of).collect()
}

/// A container that has ended badly, or is being started again and again, has said why: before the restart, where it was restarted.
fn logs_of(pod: &Pod) -> impl Iterator<Item = LogKey> {
    let in_trouble = pod.statuses().filter(|status| {
        let ended = status.ended().is_some_and(|ended| ended.exit_code != 0);
        ended || status.restart_count > 0
    });
    in_trouble.map(|status| LogKey {
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        container: status.name.clone(),
        previous: status.restart_count > 0 && status.state.terminated.is_none(),
    })
}
