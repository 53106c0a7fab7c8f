//! The way into a cluster: a kubeconfig or a pod's own account, and requests whose errors a person can act on.

use std::{
    env, fmt,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::Request;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde_json::Value;

/// How long one request may take. A cluster that is slower than this cannot be worked with.
const REQUEST: Duration = Duration::from_secs(10);
/// Where a pod finds the token of its account.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where the way into the cluster is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A kubeconfig.
    Kubeconfig {
        /// The file; else the one that kubectl would use.
        file: Option<PathBuf>,
        /// One of its contexts; else its current one.
        context: Option<String>,
    },
    /// The pod that this process runs in.
    Pod,
}

impl Place {
    /// The place that flags name, else the pod, where this is one. A kubeconfig that merely lies about is not used: it is a
    /// person's, and may point anywhere.
    #[must_use]
    pub fn chosen(file: Option<&Path>, context: Option<&str>) -> Option<Self> {
        if file.is_some() || context.is_some() {
            return Some(Self::Kubeconfig { file: file.map(Path::to_owned), context: context.map(str::to_owned) });
        }
        let in_pod = env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(POD_TOKEN).exists();
        in_pod.then_some(Self::Pod)
    }

    /// The kubeconfig that kubectl would use here, for saying that it is not used.
    #[must_use]
    pub fn unused_kubeconfig() -> Option<PathBuf> {
        let named = env::var_os("KUBECONFIG").filter(|named| !named.is_empty()).map(PathBuf::from);
        named.or_else(|| Some(env::home_dir()?.join(".kube/config")).filter(|path| path.exists()))
    }

    async fn config(&self) -> Result<Config, String> {
        match self {
            Self::Pod => Config::incluster().map_err(|error| first_line(&error)),
            Self::Kubeconfig { file, context } => {
                let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                let kubeconfig = match file {
                    Some(file) => Kubeconfig::read_from(file).map_err(said)?,
                    None => Kubeconfig::read().map_err(said)?,
                };
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(said)
            }
        }
    }
}

/// What it is called in messages.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("the account of this pod"),
            Self::Kubeconfig { file: Some(file), .. } => write!(f, "the kubeconfig {}", file.display()),
            Self::Kubeconfig { file: None, .. } => f.write_str("the kubeconfig that kubectl uses"),
        }
    }
}

/// Why something that needs the cluster was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The way in is not described as it should be.
    #[error("cannot use {place}: {why}; name a file with --kubeconfig, and one of its contexts with --context")]
    Place {
        /// Where it was described.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// Nobody answered.
    #[error("cannot reach the cluster at {address}: {why}; see that it runs, and that {place} names its address")]
    Unreachable {
        /// The API server's address.
        address: String,
        /// Where that is written.
        place: Place,
        /// Why not.
        why: String,
    },
    /// The API server does not know who asks.
    #[error("the cluster at {address} does not accept the credentials of {place}; renew them")]
    Unauthorized {
        /// The API server's address.
        address: String,
        /// Where the credentials are.
        place: Place,
    },
    /// Something of our name that we did not make.
    #[error("the {what} is not ours: it has a webhook {webhook}; choose another name with --webhook-configuration")]
    Foreign {
        /// What it is.
        what: String,
        /// What is not ours in it.
        webhook: String,
    },
    /// A name that no object can have.
    #[error("a webhook configuration cannot be called \"{name}\"; choose another name with --webhook-configuration")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// The API server said no.
    #[error("cannot {what} in the cluster at {address}: {message}{}", cure(*code))]
    Refused {
        /// What was asked for.
        what: String,
        /// The API server's address.
        address: String,
        /// The HTTP status.
        code: u16,
        /// What the API server said.
        message: String,
    },
}

/// What to do about a refusal, where its status tells.
fn cure(code: u16) -> &'static str {
    match code {
        403 => "; have this account allowed to, or use another one",
        409 => "; choose another name, or remove what is there",
        _ => "",
    }
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    address: String,
    place: Place,
}

impl Cluster {
    /// Finds the way in. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub async fn at(place: Place) -> Result<Self, Error> {
        let unusable = |why| Error::Place { place: place.clone(), why };
        let mut config = place.config().await.map_err(unusable)?;
        config.connect_timeout = Some(REQUEST);
        let address = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| unusable(innermost(&error)))?;
        Ok(Self { client, address, place })
    }

    /// Whether an API group is served.
    ///
    /// # Errors
    /// Nobody answered, or what is no list of groups.
    pub async fn serves(&self, group: &str) -> Result<bool, Error> {
        let groups = self.answered("list the API groups", self.client.list_api_groups()).await?;
        Ok(groups.groups.iter().any(|served| served.name == group))
    }

    /// Sends one request; `what` says what it is for, in the words of "cannot ...".
    ///
    /// # Errors
    /// Nobody answered, or the API server said no.
    pub(super) async fn ask(&self, what: &str, request: Request<Vec<u8>>) -> Result<Value, Error> {
        self.answered(what, self.client.request(request)).await
    }

    async fn answered<T>(&self, what: &str, asked: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        let (address, place) = (self.address.clone(), self.place.clone());
        match tokio::time::timeout(REQUEST, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => Err(Error::Unauthorized { address, place }),
            Ok(Err(kube::Error::Api(status))) => {
                Err(Error::Refused { what: what.to_owned(), address, code: status.code, message: status.message })
            }
            Ok(Err(error)) => Err(Error::Unreachable { address, place, why: innermost(&error) }),
            Err(_) => {
                let why = format!("no answer in {} s", REQUEST.as_secs());
                Err(Error::Unreachable { address, place, why })
            }
        }
    }
}

/// What is at the bottom of an error: around it, each layer says only that it failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    first_line(innermost)
}

/// Without the excerpt of the file that some errors bring along.
fn first_line(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// What is wrong with a kubeconfig: its own text, but for the file's name, which has been said.
fn said(error: KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => first_line(&error),
        KubeconfigError::Parse(error) => first_line(&error),
        error => first_line(&error),
    }
}
