//! The checks by name, as the policy, messages, logs and metrics call them, and what each of them is about: their half of the catalogue
//! of findings. The other half is the doctor's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a finding of a check does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Nothing is looked for.
    Off,
    /// The object's author is told.
    Warn,
    /// The object is refused, where somebody sees the refusal.
    Deny,
}

/// What kind of mistake a finding is: the status with which the API server passes a refusal on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The object is right, and its surroundings are not: 403.
    Surroundings,
    /// The object is wrong: 422.
    Object,
}

/// Declares the checks, each with its name, default level, kind of mistake, and its entry in the catalogue.
macro_rules! checks {
    ($($check:ident $name:literal $level:ident $fault:ident { $meaning:literal $known_by:literal $cure:literal })+) => {
        /// A named rule about Spark work.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::doc_markdown, reason = "the sentences are for people, who see no backticks")]
        pub enum Check {
            $(#[doc = $meaning] $check,)+
        }

        impl Check {
            /// Every check, in the order in which they are listed to users.
            pub const ALL: &[Self] = &[$(Self::$check,)+];

            /// Its name in the policy, in messages, logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name,)+ }
            }

            /// Its key in the audit log: some mutations have names of checks, and of two values of one key the API server keeps the first.
            #[must_use]
            pub const fn audit_key(self) -> &'static str {
                match self { $(Self::$check => concat!("check-", $name),)+ }
            }

            /// Its level where the policy says nothing.
            #[must_use]
            pub const fn default_level(self) -> Level {
                match self { $(Self::$check => Level::$level,)+ }
            }

            /// What kind of mistake it finds.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$check => Fault::$fault,)+ }
            }

            /// What it means when it finds something.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$check => $meaning,)+ }
            }

            /// How that is known.
            #[must_use]
            pub const fn known_by(self) -> &'static str {
                match self { $(Self::$check => $known_by,)+ }
            }

            /// What to do.
            #[must_use]
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$check => $cure,)+ }
            }
        }
    };
}

checks! {
    NamespaceNotWatched "namespace-not-watched" Warn Surroundings {
        "no operator watches the namespace, so nothing will ever happen to the resource"
        "the arguments of every spark-operator Deployment, and the policy's list"
        "submit to a watched namespace, or have the administrator add this one to the operator's jobNamespaces"
    }
    ServiceAccountMissing "service-account-missing" Warn Surroundings {
        "the service account that the driver or server will run as does not exist in the namespace"
        "the account is looked up in the namespace"
        "create the account, or name one that exists"
    }
    DriverPermissions "driver-permissions" Warn Surroundings {
        "the driver's account may not do what a driver does to get executors and to clean up after them"
        "the API server is asked what the account may do"
        "bind the account to a role with the rights that are named"
    }
    ConnectClass "connect-class" Warn Object {
        "Spark Connect's classes will not be found: Spark 3.4 and 3.5 do not bring them along"
        "neither a package nor a jar of spark-connect is named"
        "add the package to spark.jars.packages, or its jar to the image"
    }
    ConnectCore "connect-core" Warn Object {
        "Spark Connect from a package cannot run jobs on executors with a core of Spark 3.5.0 to 3.5.5"
        "the image's version, or sparkVersion"
        "use an image of Spark 3.5.6 or newer, or one that holds the jar"
    }
    UnnamedUid "unnamed-uid" Warn Object {
        "the official image's Connect server does not run under a user id without an entry in /etc/passwd"
        "runAsUser of the server's pod or container"
        "leave runAsUser out, or use 185, or an image that knows the user"
    }
    IvyNotWritable "ivy-not-writable" Warn Object {
        "packages are named, and Ivy has no directory that it can write to"
        "the root filesystem, the mounts, the user and where Ivy is pointed"
        "let the webhook mount its volume, or point spark.jars.ivy at a writable one"
    }
    ReadOnlyRoot "read-only-root" Warn Object {
        "the root file system is read-only, with no volume where Spark has to write"
        "readOnlyRootFilesystem, the mounts, Java's options and the version of Spark"
        "mount an emptyDir at /tmp, and one at Spark's working directory"
    }
    ScalaMismatch "scala-mismatch" Warn Object {
        "a package is built for another Scala than the image"
        "the Scala suffix of coordinates, the image's tag, and which Scala a Spark version has"
        "name the package with the image's Scala suffix"
    }
    SparkMismatch "spark-mismatch" Warn Object {
        "versions disagree: of a Spark package and the image, of image and sparkVersion, or of one package named twice"
        "coordinates, the image's tag and sparkVersion"
        "name one version everywhere"
    }
    ExecutorTemplate "executor-template" Deny Object {
        "the operator fails on a SparkConnect without an executor template that has a container, and says so nowhere"
        "spec.executor.template"
        "add a template with one container, or let the webhook's mutation of the same name do it"
    }
    MemoryQuantity "memory-quantity" Deny Object {
        "memory of less than 1Mi: m is a thousandth to Kubernetes, so 512m is half a byte"
        "the quantity's value"
        "write Mi or Gi"
    }
    SparkMemory "spark-memory" Deny Object {
        "an amount of memory that Spark or the JVM cannot read, or that is too small for a heap"
        "Spark's own rules for sizes"
        "write a whole number with m or g, such as 512m"
    }
    NameTooLong "name-too-long" Deny Object {
        "names that are made of this one will be refused later"
        "how the operator and Spark make names, and the limits of Kubernetes"
        "choose a shorter name"
    }
    ShellCharacters "shell-characters" Deny Object {
        "the operator joins a Connect server's configuration unquoted into a shell command, which these characters break"
        "the shell's own rules"
        "quote the value for the shell, or write it without these characters"
    }
    MemoryBudget "memory-budget" Warn Object {
        "more memory is asked for than the limit, the LimitRange or the quota has room for"
        "heap, overhead and memory volumes against the limit; the namespace's LimitRanges and quotas"
        "ask for less, or have the limit raised"
    }
    DuplicateMount "duplicate-mount" Deny Object {
        "the API server will refuse the pod: two mounts at one path, or two volumes of one name"
        "the volumes and mounts of the pod that the operator and Spark will make"
        "remove one of them, or give it another path or name"
    }
    UnknownVolume "unknown-volume" Deny Object {
        "a mount names a volume that does not exist"
        "the volumes of the pod that the operator and Spark will make"
        "add the volume, or correct the mount's name"
    }
    FlaggedNode "flagged-node" Warn Surroundings {
        "the pod can only run on nodes that are flagged for a broken filesystem"
        "the cluster's nodes and what flags them"
        "let the pod run on other nodes too, or have the nodes repaired"
    }
    SubmissionKeys "submission-keys" Warn Object {
        "keys of sparkConf that the operator refuses, or overwrites without a word"
        "the operator's own list, and the order of its arguments"
        "use the field of the resource that stands for the key"
    }
    UnwatchedEdit "unwatched-edit" Warn Object {
        "the server that runs will not see this edit"
        "what the operator does with a changed SparkConnect"
        "delete the server's pod, so that it is made anew"
    }
}

impl Check {
    /// The check of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|check| check.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mutation;
    use std::collections::HashSet;

    #[test]
    fn audit_keys_are_no_mutations() {
        let of_mutations: Vec<_> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
        let shared = Check::ALL.iter().filter(|check| of_mutations.contains(&check.name())).count();
        assert!(shared > 0, "names are shared");
        assert!(Check::ALL.iter().all(|check| !of_mutations.contains(&check.audit_key())));
    }

    #[test]
    fn names_are_distinct_and_found() {
        assert_eq!(Check::ALL.iter().map(|check| check.name()).collect::<HashSet<_>>().len(), Check::ALL.len());
        assert!(Check::ALL.iter().all(|check| Check::from_name(check.name()) == Some(*check)));
        assert_eq!(Check::from_name("connect-clas"), None);
    }
}
