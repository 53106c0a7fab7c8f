//! The doctor's half of the catalogue of findings; the other half is the policy's checks.
//!
//! A closed set: docs/troubleshooting.md has a section for each, and `tests/documentation.rs` holds the two together.

/// Declares the symptoms: name, what it means, how it is known, what to do.
macro_rules! symptoms {
    ($($of_platform:literal { $($symptom:ident $name:literal $means:literal $known:literal $cure:literal ,)+ })+) => {
        /// Something that is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::doc_markdown, reason = "the sentences are for people, who see no backticks")]
        pub enum Symptom {
            $($(#[doc = $means] $symptom,)+)+
        }

        impl Symptom {
            /// Every symptom, in the order of the documentation.
            pub const ALL: &[Self] = &[$($(Self::$symptom,)+)+];

            /// Its name in the output and in the documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$symptom => $name,)+)+ }
            }

            /// What it means, a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $($(Self::$symptom => $means,)+)+ }
            }

            /// How it is known, a sentence.
            #[must_use]
            pub const fn known_by(self) -> &'static str {
                match self { $($(Self::$symptom => $known,)+)+ }
            }

            /// What to do about it, a sentence.
            #[must_use]
            pub const fn cure(self) -> &'static str {
                match self { $($(Self::$symptom => $cure,)+)+ }
            }

            /// Whether it concerns everybody, and not one resource or pod.
            #[must_use]
            pub const fn is_of_platform(self) -> bool {
                match self { $($(Self::$symptom => $of_platform,)+)+ }
            }
        }
    };
}

symptoms! {
    true {
        OperatorMissing "operator-missing"
            "Nothing makes pods of the operator's resources: its controller is not installed."
            "No Deployment of any namespace runs it, though its kinds are defined or resources are there."
            "Install the operator."
        ,
        OperatorNotRunning "operator-not-running"
            "The operator or its webhook is installed and does not run."
            "None of the pods of its Deployment is ready: it is scaled to 0, cannot be started, or fails again and again."
            "Scale it up, or repair what its pods and its log say."
        ,
        NamespaceNotWatched "namespace-not-watched"
            "Resources in a namespace are seen by nobody: no status, no event, no pod and no log line, for ever."
            "No controller of the operator has the namespace among its --namespaces."
            "Add the namespace to the chart's spark.jobNamespaces."
        ,
        DefinitionMissing "definition-missing"
            "The cluster does not know a kind of the operator's, so nobody can submit one."
            "There is no CustomResourceDefinition of that name."
            "Install the definitions of the operator's release."
        ,
        DefinitionOutdated "definition-outdated"
            "A definition is older than the operator: fields that it does not know are dropped in silence."
            "It does not serve the version, or does not have fields, that operator 2.4.0 works with."
            "Install the definitions of the operator's release; an upgrade with Helm leaves old ones in place."
        ,
        ServiceAccountMissing "service-account-missing"
            "The account that a driver or server is to run as does not exist, so its pod is refused."
            "The resource or the operator names it, and it is not among the namespace's accounts."
            "Make the account, or name another one."
        ,
        DriverPermissions "driver-permissions"
            "Drivers run as an account that may not do what a driver does with its executors."
            "The API server says what the account may not, as kubectl auth can-i does."
            "Give it the rights; a binding or role that is nearly right is named."
        ,
        WebhookMissing "webhook-missing"
            "A webhook is not registered, or only half of it."
            "Its configurations are not there, though something of it is."
            "Register it again."
        ,
        WebhookUnreachable "webhook-unreachable"
            "The API server cannot call a webhook, and refuses Spark's objects or takes them unchanged."
            "Its Service is missing or has nobody ready behind it, or a dry run ends in \"failed calling webhook\"."
            "Have it run again, or take its registration away until it does."
        ,
        WebhookCertificate "webhook-certificate"
            "The API server does not trust a webhook's certificate, and refuses Spark's objects or takes them unchanged."
            "caBundle is empty or has expired, the served certificate has expired or is signed by somebody else, or a dry run says so."
            "Renew the certificate and register who signed it."
        ,
    }
    false {
        NoStatus "no-status"
            "The operator has not taken up a resource."
            "It is older than a minute and has no status, though the operator runs and watches its namespace."
            "See what the operator's log says of it."
        ,
        PodUnschedulable "pod-unschedulable"
            "No node takes a pod."
            "The scheduler says so in the pod's condition PodScheduled, or in an event FailedScheduling."
            "Ask for less, or for what some node has; the finding names the demand that none fulfils.",
        OnlyFlaggedNodes "only-flagged-nodes"
            "A pod waits because only flagged nodes would take it, and it is kept off them."
            "The scheduler finds no node, and every node that fits the pod is flagged."
            "Repair or replace the nodes, then take their flags away.",
        MemoryInBytes "memory-in-bytes"
            "A memory limit such as 512m is half a byte, so the pod never starts, on whatever node."
            "An event or the container's end says no space left on device or cannot allocate memory, and a memory limit of the pod is under 1Mi."
            "Write 512Mi.",
        BrokenNode "broken-node"
            "The pod's node cannot write what it takes to start a pod with limits."
            "An event or the container's end says no space left on device, and the node is flagged."
            "Cordon the node, have the pod made anew, repair the node.",
        NoSpaceToStart "no-space-to-start"
            "The kubelet finds no space to start a pod, and it is not known why."
            "An event or the container's end says no space left on device, no memory limit is tiny, and the node is not flagged."
            "Try another node: where it starts there, flag the first one.",
        VolumeSourceMissing "volume-source-missing"
            "A pod waits for a secret, config map or claim that is not there."
            "An event FailedMount names it; Spark's own config maps count only when the driver is older than two minutes."
            "Make it, or take it out of the volumes.",
        MountFailed "mount-failed"
            "A volume of a pod cannot be mounted."
            "An event FailedMount or FailedAttachVolume says why."
            "See what the volume's driver says.",
        SandboxFailed "sandbox-failed"
            "The container runtime cannot make a pod's sandbox, mostly its network."
            "An event FailedCreatePodSandBox says why."
            "It is a matter of the node or of the network plug-in.",
        ImageNotPulled "image-not-pulled"
            "An image cannot be pulled."
            "A container waits with ErrImagePull, ImagePullBackOff, InvalidImageName or ErrImageNeverPull."
            "Correct the name, or give the pod credentials for the registry.",
        ContainerConfig "container-config"
            "The kubelet cannot make a container of what its pod says."
            "A container waits with CreateContainerConfigError, CreateContainerError or RunContainerError, or has ended with StartError."
            "Make the secret, config map or key that is named, or take it out.",
        ConnectClassMissing "connect-class-missing"
            "Spark Connect is in neither the image nor the packages: Spark 3.4 and 3.5 do not bring it along."
            "The log says Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer, or ClassNotFoundException of it or of SparkConnectPlugin."
            "Add the package org.apache.spark:spark-connect_2.12 of the image's version.",
        ClassMissing "class-missing"
            "The application's class is in none of its jars."
            "The log says Failed to load class."
            "Correct mainClass or mainApplicationFile.",
        IvyNotWritable "ivy-not-writable"
            "Packages cannot be downloaded, because Ivy has no directory to write to."
            "The log names a file below .ivy2 that cannot be written, or a directory that is not absolute."
            "Set spark.jars.ivy to a directory below /tmp.",
        IvyShared "ivy-shared"
            "Two applications filled one Ivy directory at the same time."
            "The operator's log of the submission misses a file that it had just downloaded."
            "Give each application a directory of its own.",
        IvyFull "ivy-full"
            "There is no room for the packages that Ivy downloads, or half a jar is left of an earlier try."
            "The log says No space left on device while packages are resolved; or lacks the class of a package that was resolved."
            "Give the volume more room, and have the pod made anew.",
        IvyUnresolved "ivy-unresolved"
            "No repository has a package."
            "The log says unresolved dependency, and every repository was reached."
            "Correct the coordinate, or name the repository that has it.",
        IvyUnreachable "ivy-unreachable"
            "A repository of packages cannot be reached."
            "The log says Server access error or Host not found before it says unresolved dependency."
            "Allow the way there, or use a repository or an image of your own.",
        HeapSize "heap-size"
            "Memory is written in a way that Java or Spark do not read, or is less than Spark wants."
            "The log says Invalid maximum heap size, Too small maximum heap, System memory must be at least, or memory must be a positive number."
            "Write whole numbers with k, m or g, such as 512m.",
        HeapExhausted "heap-exhausted"
            "Java's memory is used up."
            "The log says OutOfMemoryError, or an executor ended with 52."
            "Give it more, or have it hold less at once.",
        OomKilled "oom-killed"
            "A container took more memory than its limit, and the kernel ended it."
            "Its status says OOMKilled; the finding has the sum of heap, overhead and memory-backed volumes."
            "Give it more memory beside the heap.",
        Killed "killed"
            "A container was ended from outside, and not for its own memory."
            "It ended with 137 or 143, without OOMKilled."
            "See what happened to it and to its node.",
        Evicted "evicted"
            "The kubelet put an end to a pod."
            "The pod's status has a reason, such as Evicted."
            "Raise the sizeLimit or request that the message names.",
        DiskFull "disk-full"
            "A disk or volume that Spark writes to is full."
            "The log says No space left on device after Spark has started."
            "Give Spark's local directories more room.",
        DirectoryNotWritable "directory-not-writable"
            "A program may not write to a directory: its file system is read-only, or belongs to somebody else."
            "The log says AccessDeniedException, Permission denied or Read-only file system of a path, or that no temp directory could be made."
            "Mount a volume there, or give what is mounted to a group of the pod's user: fsGroup.",
        ConnectCore "connect-core"
            "Spark Connect from a package runs no job on executors with a core of 3.5.0 to 3.5.5."
            "The log says ClassCastException of a SerializedLambda."
            "Use an image of Spark 3.5.6 or newer.",
        UnnamedUser "unnamed-user"
            "The pod's user has no name in the image, without which Hadoop does not work."
            "The log says LoginException, invalid null input: name."
            "Run it as user 185.",
        ExecutorTemplate "executor-template-unusable"
            "The template of executors has no containers, on which Spark or the operator fail."
            "The log says Could not load pod from template file; or a SparkConnect has no spec.executor.template and no status."
            "Have a container in it that is called spark-kubernetes-executor.",
        DriverForbidden "driver-forbidden"
            "The account of a driver or server may not do what it takes to have executors."
            "Its log says Forbidden, with the account, the verb and the resource."
            "Give the account a role with what a driver needs.",
        CleanupForbidden "cleanup-forbidden"
            "A driver's account may not delete what its job leaves behind."
            "The log of the driver says that it cannot deletecollection."
            "Add the verb deletecollection to its role.",
        PodRefused "pod-refused"
            "The API server does not take a driver."
            "The operator says so, with the quota, limit range or standard."
            "Stay within it, or have it changed.",
        ExecutorsRefused "executors-refused"
            "The API server takes no executor of a driver."
            "The driver's log says so, with the quota, limit range or standard."
            "Stay within it, or have it changed.",
        ExecutorsFailing "executors-failing"
            "Executors end as soon as they have begun, and Spark removes them."
            "The driver's log says so of two or more, and there is none; or it says Max number of executor failures."
            "By their exit status: more memory, or have Spark keep them and read what one says.",
        NoExecutors "no-executors"
            "A driver's jobs wait, and it has no executors."
            "Its log says that the initial job has not accepted any resources, and there is no executor."
            "Ask for executors, or see in the log why none come.",
        ImageMissing "image-missing"
            "A SparkConnect names no image, so the operator can make no pod of it."
            "It has no status, and neither spec.image nor the server's template name one."
            "Name one.",
        WebhookDenied "webhook-denied"
            "An admission webhook has refused a pod or a submission."
            "The operator or the driver says that it denied the request."
            "Repair what its message names.",
        WebhookFailed "webhook-failed"
            "An admission webhook did not answer, so a pod or a submission was refused."
            "The operator or the driver says that it failed to call it."
            "Have the webhook running, or its registration removed.",
        SubmissionFailed "submission-failed"
            "The operator could not submit an application."
            "Its state is SUBMISSION_FAILED or FAILED, and its error message is of no kind that is known here."
            "Read the error message.",
        ContainerFailed "container-failed"
            "A program ended with an error of its own."
            "Its container ended with another status than 0, and its log says nothing that is known here."
            "Read its log.",
        FailsCheck "fails-check"
            "The webhook would refuse or warn about this resource or driver if it were created now."
            "One of its checks finds something in what is there; it came in before the check or past it."
            "Do what the check says; docs/checks.md has a section for each."
        ,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_every_symptom_is_explained() {
        let names: HashSet<_> = Symptom::ALL.iter().map(|symptom| symptom.name()).collect();
        assert_eq!(names.len(), Symptom::ALL.len());
        for symptom in Symptom::ALL {
            for sentence in [symptom.meaning(), symptom.known_by(), symptom.cure()] {
                assert!(sentence.ends_with('.'), "{}: {sentence}", symptom.name());
            }
        }
    }
}
