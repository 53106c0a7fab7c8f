//! The labels and annotations of the domain `spark-admission.io`, and those of others that tell what an object is.

/// Label: `"false"` on a namespace, resource or pod opts out of the mutations.
pub const ENABLED: &str = "spark-admission.io/enabled";
/// Annotation: the mutations that the author of a resource or pod does not want, separated by commas.
pub const SKIP: &str = "spark-admission.io/skip";
/// Annotation: by which mutations the object was changed.
pub const MUTATED: &str = "spark-admission.io/mutated";
/// Annotation on a pod: the Ivy directory to mount at, handed down from the resource.
pub const IVY_DIR: &str = "spark-admission.io/ivy-dir";
/// Annotation: `Memory` or `Disk`, the medium of the Ivy volume.
pub const IVY_CACHE_MEDIUM: &str = "spark-admission.io/ivy-cache-medium";
/// Annotation: the size limit of the Ivy volume, a Kubernetes quantity.
pub const IVY_CACHE_SIZE: &str = "spark-admission.io/ivy-cache-size";

/// The volume that the mutation `ivy-cache` adds to pods.
pub const IVY_CACHE_VOLUME: &str = "ivy-cache";

/// Label on every pod that Spark or an operator made: its role.
pub const SPARK_ROLE: &str = "spark-role";
/// Label with the version of Spark on every pod of Spark's; on a Connect server's the resource's `sparkVersion`.
pub const SPARK_VERSION: &str = "spark-version";
/// Label on every pod that the Kubeflow operator launched (pkg/common/spark.go of spark-operator 2.4.0).
pub const LAUNCHED_BY_OPERATOR: &str = "sparkoperator.k8s.io/launched-by-spark-operator";
/// Label on every pod that Apache's own operator launched: the resource's name (facts of spark-kubernetes-operator's `Constants.java`).
pub const APACHE_OPERATOR: &str = "spark.operator/name";
/// Annotation of the mirror of a static pod, whose spec the kubelet owns.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Spark's own container in a driver that Spark made (`Constants.scala`), and the one that the operator looks for.
pub const DRIVER_CONTAINER: &str = "spark-kubernetes-driver";
/// Spark's own container in an executor.
pub const EXECUTOR_CONTAINER: &str = "spark-kubernetes-executor";
