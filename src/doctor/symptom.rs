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
