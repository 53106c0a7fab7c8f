//! A directory that a program may not write to: whose it is, by what the pod has mounted there, and what cures that.

use serde_json::{Value, json};

use super::about::About;
use crate::doctor::{Cure, Symptom};

/// The volumes that the kubelet gives to the group of a pod that names one.
const TAKE_A_GROUP: [&str; 4] = ["csi", "emptyDir", "ephemeral", "persistentVolumeClaim"];

/// `is_read_only` where the log says so; it may be without.
pub(super) fn not_writable(directory: &str, is_read_only: bool, about: &About<'_>) -> (Symptom, String, Cure) {
    let volume = volume_at(directory, about);
    let is_read_only = is_read_only || (volume.is_none() && has_read_only_root(about));
    let user = about.user().map_or("the pod's user".to_owned(), |user| format!("user {user}"));
    let problem = if is_read_only {
        format!("{directory} is read-only")
    } else {
        format!("{user} may not write to {directory}, or not read what is there")
    };
    let cure = match volume {
        Some(volume) if !is_read_only && is_cured_by_group(volume, about) => Cure::of(
            format!(
                "The volume {volume} is mounted there: give it to a group of the pod's; spark-admission does so for whatever is submitted while it runs:"
            ),
            about.secure(&json!({"fsGroup": 185})),
        ),
        Some(volume) => Cure::of(
            format!(
                "The volume {volume} is mounted there, and no group of the pod's changes that: have whoever owns it let {user} write to it, or mount another one:"
            ),
            about.describe(),
        ),
        None if is_read_only => Cure::of(
            "The root file system is read-only: mount a volume there, which hides what the image has in that place:",
            format!(
                "volumes:\n- name: writable\n  emptyDir: {{}}\nvolumeMounts:\n- name: writable\n  mountPath: {directory}"
            ),
        ),
        None => Cure::of(
            format!(
                "It is the image's and belongs to another user. Leave runAsUser out, so that the pod has the user for whom the image was made; \
                 or have the image let {user} in."
            ),
            "",
        ),
    };
    (Symptom::DirectoryNotWritable, problem, cure)
}

/// The volume that is mounted at a directory, or nearest above it.
fn volume_at<'a>(directory: &str, about: &About<'a>) -> Option<&'a str> {
    let container = about.container_json()?;
    let path = |mount: &'a Value| mount["mountPath"].as_str().unwrap_or_default().trim_end_matches('/');
    let is_above = |mount: &&'a Value| {
        let rest = directory.strip_prefix(path(mount));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounts = container["volumeMounts"].as_array()?.iter();
    mounts.filter(is_above).max_by_key(|mount| path(mount).len())?["name"].as_str()
}

fn has_read_only_root(about: &About<'_>) -> bool {
    about.container_json().is_some_and(|container| container["securityContext"]["readOnlyRootFilesystem"] == true)
}

fn is_cured_by_group(volume: &str, about: &About<'_>) -> bool {
    let Some(spec) = about.pod.map(|pod| &pod.json["spec"]) else { return false };
    let own = spec["volumes"].as_array().into_iter().flatten().find(|own| own["name"] == volume);
    let takes_one = own.is_some_and(|own| TAKE_A_GROUP.iter().any(|kind| own[kind].is_object()));
    takes_one && spec["securityContext"]["fsGroup"].is_null()
}
