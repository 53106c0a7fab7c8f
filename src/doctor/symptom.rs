//! The doctor's half of the catalogue of findings; the other half is the policy's checks.
//!
//! A closed set: docs/troubleshooting.md has a section for each, and `tests/documentation.rs` holds the two together.

/// Declares the symptoms: name, what it means, how it is known, what to do.
macro_rules! symptoms {
    ($($of_platform:literal { $($symptom:ident $name:literal $means:literal $known:literal $cure:literal,)+ })+) => {
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
        DefinitionMissing "definition-missing"
            "The cluster does not know a kind of the operator's, so nobody can submit one."
            "There is no CustomResourceDefinition of that name."
            "Install the definitions of the operator's release.",
    }
    false {
        NoStatus "no-status"
            "The operator has not taken up a resource."
            "It is older than a minute and has no status."
            "See what else is found: the operator, its namespaces, the account.",
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
