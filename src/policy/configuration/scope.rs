//! Where and how a mutation runs: what the settings of all mutations have in common.

use super::globs::Globs;
use crate::policy::role::{Role, Roles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where and how a mutation runs: what all mutations have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// `enforce` changes workloads; `observe` decides, logs and counts; `off` does nothing at all.
    pub mode: MutationMode,
    /// The roles it applies to. A resource has the role of the pod that it starts.
    pub roles: Roles,
    /// Namespaces (globs) it is limited to; empty is all.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub namespaces: Globs,
    /// Namespaces (globs) it leaves alone, even if `namespaces` names them.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub exclude_namespaces: Globs,
}

impl Scope {
    pub(super) fn of(roles: &[Role]) -> Self {
        Self {
            mode: MutationMode::Enforce,
            roles: Roles::of(roles),
            namespaces: Globs::default(),
            exclude_namespaces: Globs::default(),
        }
    }

    /// Whether the mutation is meant for this role in this namespace. Its mode is another question: [`Policy::mode_of`].
    #[must_use]
    pub fn covers(&self, role: Role, namespace: &str) -> bool {
        self.roles.contains(role)
            && (self.namespaces.is_empty() || self.namespaces.matches(namespace))
            && !self.exclude_namespaces.matches(namespace)
    }
}

/// How a mutation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MutationMode {
    /// Workloads are changed.
    Enforce,
    /// Decisions are logged and counted; nothing is changed.
    Observe,
    /// The mutation does not exist.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers() {
        let scope = |namespaces: &[&str], exclude: &[&str]| Scope {
            namespaces: Globs::new(namespaces),
            exclude_namespaces: Globs::new(exclude),
            ..Scope::of(&[Role::Driver])
        };
        for (case, scope, role, namespace, expected) in [
            ("no namespaces are all namespaces", scope(&[], &[]), Role::Driver, "team-a", true),
            ("another role is not covered", scope(&[], &[]), Role::Executor, "team-a", false),
            ("a namespace that a glob names", scope(&["team-*"], &[]), Role::Driver, "team-a", true),
            ("a namespace that nothing names", scope(&["team-*"], &[]), Role::Driver, "prod", false),
            ("an excluded namespace", scope(&[], &["team-*"]), Role::Driver, "team-a", false),
            ("exclusion beats inclusion", scope(&["team-*"], &["team-a"]), Role::Driver, "team-a", false),
        ] {
            assert_eq!(scope.covers(role, namespace), expected, "{case}");
        }
    }
}
