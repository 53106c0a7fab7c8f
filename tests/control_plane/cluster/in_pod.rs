//! What a pod would run, for a process of this machine: each of its mounts is a folder here, and wherever the path of a mount is said,
//! that folder is said instead.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::Namespace;
use crate::support::eventually;

/// The first container of a pod.
pub struct InPod {
    container: Value,
    /// The path of each mount, and its folder.
    mounts: Vec<(String, PathBuf)>,
    root: PathBuf,
}

impl InPod {
    /// Makes the folders, under this one, and fills those of config maps.
    pub async fn of(here: &Namespace, pod: &Value, root: PathBuf) -> Self {
        let container = pod["spec"]["containers"][0].clone();
        let mounts = list(&container["volumeMounts"]).map(|mount| {
            let folder = root.join(text(&mount["name"]));
            fs::create_dir_all(&folder).unwrap();
            (text(&mount["mountPath"]).to_owned(), folder)
        });
        let in_pod = Self { mounts: mounts.collect(), container, root };
        for volume in list(&pod["spec"]["volumes"]) {
            let Some(name) = volume["configMap"]["name"].as_str() else { continue };
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
            // Spark makes the pod first, and then what belongs to it.
            eventually(name, async || here.find(&map).await.is_success()).await;
            for (key, content) in here.get(&map).await["data"].as_object().unwrap() {
                let item = list(&volume["configMap"]["items"]).find(|item| item["key"] == key.as_str());
                let file = item.map_or(key.as_str(), |item| text(&item["path"]));
                fs::write(in_pod.volume(text(&volume["name"])).join(file), in_pod.here(text(content))).unwrap();
            }
        }
        in_pod
    }

    /// The folder that stands for a volume.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn arguments(&self) -> Vec<String> {
        list(&self.container["args"]).map(|argument| self.here(text(argument))).collect()
    }

    /// The variables, without those that only a kubelet can fill in.
    pub fn environment(&self) -> Vec<(String, String)> {
        let all = list(&self.container["env"]).filter(|variable| variable["valueFrom"].is_null());
        let value = |variable: &Value| variable["value"].as_str().unwrap_or_default().to_owned();
        all.map(|variable| (text(&variable["name"]).to_owned(), self.here(&value(variable)))).collect()
    }

    fn here(&self, text: &str) -> String {
        let replace =
            |text: String, (path, folder): &(String, PathBuf)| text.replace(path, &folder.display().to_string());
        self.mounts.iter().fold(text.to_owned(), replace)
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
