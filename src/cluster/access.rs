//! The way into a cluster: a kubeconfig or a pod's own account, and requests whose errors a person can act on.

use std::{
    env, fmt,
    future::Future,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{HeaderValue, Method, Request, header};
use hyper_util::client::proxy::matcher::Matcher;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde_json::Value;

/// How long one request may take. A cluster that is slower than this cannot be worked with.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a connection may be silent. A watch ends within the minute, and is asked for again.
const SILENCE: Duration = Duration::from_secs(90);
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

    /// The place that kubectl would use: a kubeconfig, and in a pod without one its account.
    #[must_use]
    pub fn of_kubectl(file: Option<&Path>, context: Option<&str>) -> Self {
        let kubeconfig = Self::Kubeconfig { file: file.map(Path::to_owned), context: context.map(str::to_owned) };
        match Self::unused_kubeconfig() {
            Some(_) => kubeconfig,
            None => Self::chosen(file, context).unwrap_or(kubeconfig),
        }
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
                let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(said)?;
                heed_no_proxy(&mut config);
                Ok(config)
            }
        }
    }
}

/// Goes past the environment's proxy where `NO_PROXY` says so of the cluster, as kubectl does. kube 5.0.0 compares `NO_PROXY` with the address
/// of the proxy itself. A proxy that the kubeconfig names is gone through in any case.
fn heed_no_proxy(config: &mut Config) {
    let mut of_environment =
        ["HTTPS_PROXY", "https_proxy"].into_iter().filter_map(|name| env::var(name).ok()?.parse().ok());
    let is_of_environment = of_environment.any(|proxy| config.proxy_url.as_ref() == Some(&proxy));
    if is_of_environment && Matcher::from_env().intercept(&config.cluster_url).is_none() {
        config.proxy_url = None;
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
    #[error(
        "cannot reach the cluster at {address}: {why}; see that it runs, and that {place} names its address and its CA"
    )]
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
    /// Something of ours that a chart or a person installed.
    #[error("the {what} was not made by --register: remove it as it was installed, or with `kubectl delete`")]
    NotRegistered {
        /// What it is.
        what: String,
    },
    /// A name that no object can have.
    #[error(
        "a webhook configuration cannot be called \"{name}\"; choose another name with --webhook-configuration, of small letters, \
         digits, hyphens and dots"
    )]
    Name {
        /// What was asked for.
        name: String,
    },
    /// A name that cannot be in a path.
    #[error("cannot {what}: no object can be called so ({path})")]
    Path {
        /// What was asked for.
        what: String,
        /// The path that was made of it.
        path: String,
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
        409 => "; somebody else made it: choose another name with --webhook-configuration, or remove what is there",
        _ => "",
    }
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    address: String,
    place: Place,
    namespace: String,
}

impl Cluster {
    /// Finds the way in. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub async fn at(place: Place) -> Result<Self, Error> {
        Self::with_patience(place, SILENCE).await
    }

    /// Finds the way in; a connection that was asked something and on which nothing arrives for so long is given up.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub async fn with_patience(place: Place, silence: Duration) -> Result<Self, Error> {
        let unusable = |why| Error::Place { place: place.clone(), why };
        let mut config = place.config().await.map_err(unusable)?;
        config.connect_timeout = Some(REQUEST);
        config.read_timeout = Some(silence);
        // The time counts from a request on, not from when its connection was used last.
        config.reset_reader_on_write = true;
        let address = config.cluster_url.to_string();
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| unusable(innermost(&error)))?;
        Ok(Self { client, address, place, namespace })
    }

    /// The namespace of what names none: that of the context, or of the pod; else `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The versions in which an API group is served, such as `karpenter.sh/v1`; none where it is not.
    ///
    /// # Errors
    /// Nobody answered, or what is no list of groups.
    pub async fn versions(&self, group: &str) -> Result<Vec<String>, Error> {
        let groups = self.answered("list the API groups", self.client.list_api_groups()).await?;
        let versions =
            groups.groups.into_iter().filter(|served| served.name == group).flat_map(|served| served.versions);
        Ok(versions.map(|version| version.group_version).collect())
    }

    /// Whether a resource of an API group is served, in any version.
    ///
    /// # Errors
    /// Nobody answered, or what is no list of resources.
    pub async fn serves(&self, group: &str, plural: &str) -> Result<bool, Error> {
        for version in self.versions(group).await? {
            let what = format!("list the resources of {version}");
            let served = self.answered(&what, self.client.list_api_group_resources(&version)).await?;
            if served.resources.iter().any(|resource| resource.name == plural) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// For watching what is there.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends one request; `what` says what it is for, in the words of "cannot ...".
    ///
    /// # Errors
    /// Nobody answered, or the API server said no.
    pub(super) async fn ask(&self, what: &str, request: Request<Vec<u8>>) -> Result<Value, Error> {
        self.answered(what, self.client.request(request)).await
    }

    /// Sends an object, or asks for one; null where there is none.
    ///
    /// # Errors
    /// Nobody answered, or the API server said no.
    pub(super) async fn send(
        &self,
        what: &str,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
    ) -> Result<Value, Error> {
        let mut request = Request::new(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() });
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| Error::Path { what: what.to_owned(), path: path.to_owned() })?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.ask(what, request).await
    }

    pub(super) async fn answered<T>(
        &self,
        what: &str,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
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
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
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
        KubeconfigError::ReadConfig(error, _) if error.kind() == ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        KubeconfigError::ReadConfig(error, _) => first_line(&error),
        KubeconfigError::Parse(error) => first_line(&error),
        error => first_line(&error),
    }
}
