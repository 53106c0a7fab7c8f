//! How a mutation ended, and why one did nothing. Every name is from a closed set: they become metric labels.

/// How one mutation ended on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It changes the object.
    Applied,
    /// It would change the object; the policy only observes it.
    Observed,
    /// It does nothing.
    Skipped(Skip),
}

impl Outcome {
    /// `applied`, `observed` or `skipped`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Observed => "observed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// Why it was skipped; `none` where it was not.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Skipped(skip) => skip.name(),
            _ => "none",
        }
    }
}

/// Declares a closed set of reasons, each with its name and the sentence that `review -o explain` prints.
macro_rules! reasons {
    ($(#[$about:meta])* $set:ident { $($reason:ident $name:literal $sentence:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(clippy::doc_markdown, reason = "the sentences are for people, who see no backticks")]
        pub enum $set {
            $(#[doc = $sentence] $reason,)+
        }

        impl $set {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$reason,)+];

            /// The reason's name in logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $name,)+ }
            }

            /// The reason as a sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$reason => $sentence,)+ }
            }
        }
    };
}

reasons! {
    /// Why a mutation did nothing.
    Skip {
        NothingToDo "nothing-to-do" "nothing is missing",
        AnnotatedSkip "annotated-skip" "the annotation spark-admission.io/skip names it",
        Off "off" "the policy does not apply it here (mode, roles or namespaces)",
        NoSparkContainer "no-spark-container" "none of the containers can be told to be Spark's",
        UsersVolume "users-volume" "the pod has a volume of that name already",
        UsersMount "users-mount" "something is mounted at, above or below that path, or over a home, where packages may be already",
        UnusableDirectory "unusable-directory" "the Ivy directory cannot be mounted over",
        NoIvyVolume "no-ivy-volume" "the webhook's Ivy volume is not mounted",
        OperatorSubmits "operator-submits" "an operator made this pod of a resource, where the setting belongs",
        EnvironmentHidden "environment-hidden" "a new SPARK_SUBMIT_OPTS could hide the one that the container gets elsewhere",
        UserDecided "user-decided" "the user has decided this",
        NoPackages "no-packages" "no packages are named",
        SubmissionOff "submission-off" "the policy leaves the submission side alone",
        OpenShift "openshift" "OpenShift assigns user and group ids",
        ImageHasOwnUser "image-has-own-user" "the image brings a user of its own",
        ImageUserUnknown "image-user-unknown" "the image may have a user of its own",
        Windows "windows" "Windows containers have no numeric users",
        NotConnect "not-connect" "this is no Spark Connect server",
        SparkVersion "spark-version" "this Spark version needs no package, or has none",
        VersionsDisagree "versions-disagree" "image and sparkVersion name different Spark versions",
        PackagePresent "package-present" "the package or its jar is named already",
        ImageUnknown "image-unknown" "the image may hold the jar",
        ProbePresent "probe-present" "the container has a readinessProbe",
        PortUnknown "port-unknown" "the port that the server will listen on cannot be known",
        NoExecutor "no-executor" "there is no executor section",
        WarnedOnly "warned-only" "this could only be warned about",
        NodesUnknown "nodes-unknown" "the nodes of the cluster are not known",
        NoFlaggedNode "no-flagged-node" "it is bound for no flagged node",
        UnpinnedIgnored "unpinned-ignored" "it can land on other nodes too, and the policy leaves such pods as they are",
        LimitsGo "limits-go" "it cannot or shall not be kept off flagged nodes; its limits go instead",
        Steered "steered" "it is kept off flagged nodes instead",
        LimitsRequired "limits-required" "a LimitRange or ResourceQuota of the namespace demands limits",
    }
}

reasons! {
    /// Why an object was not looked at by any mutation.
    Untouched {
        Operation "operation" "only CREATE and, for resources, UPDATE are looked at",
        Subresource "subresource" "subresources are not looked at",
        NoObject "no-object" "the review carries no object",
        NotSpark "not-spark" "this is no Spark work",
        BeingDeleted "being-deleted" "the object is being deleted",
        SpecUnchanged "spec-unchanged" "the update leaves the spec as it was",
        NotebookContainer "notebook-container" "none of the notebook's containers has the name in the policy's notebooks.container",
        MirrorPod "mirror-pod" "this is the mirror of a static pod",
        ExcludedNamespace "excluded-namespace" "the policy excludes this namespace",
        OptedOutNamespace "opted-out-namespace" "the namespace has the label spark-admission.io/enabled=false",
        OptedOut "opted-out" "the object has the label spark-admission.io/enabled=false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct() {
        let names: Vec<_> =
            Skip::ALL.iter().map(|skip| skip.name()).chain(Untouched::ALL.iter().map(|why| why.name())).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}
