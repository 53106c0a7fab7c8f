//! Roles: what a pod does in a Spark application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a pod does in a Spark application. A resource has the role of the pod that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the application; started by spark-submit or by an operator for a SparkApplication.
    Driver,
    /// Runs the tasks of a driver or of a Connect server.
    Executor,
    /// Serves Spark Connect; started by an operator for a SparkConnect.
    ConnectServer,
    /// A user's own pod that holds a driver in client mode, known by the policy's notebook label.
    Notebook,
}

impl Role {
    /// Every role, in the order in which they are listed to users.
    pub const ALL: [Self; 4] = [Self::Driver, Self::Executor, Self::ConnectServer, Self::Notebook];

    /// The role as the policy, logs and metrics write it, and as `spark-role` labels do (a notebook has none).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Executor => "executor",
            Self::ConnectServer => "connect-server",
            Self::Notebook => "notebook",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of roles; a list in the policy file.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self::of(&Role::ALL);

    /// The set of these roles.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < roles.len() {
            bits |= 1 << roles[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the role is one of the set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// The roles of the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl From<Vec<Role>> for Roles {
    fn from(roles: Vec<Role>) -> Self {
        Self::of(&roles)
    }
}

impl From<Roles> for Vec<Role> {
    fn from(roles: Roles) -> Self {
        roles.iter().collect()
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl JsonSchema for Roles {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Roles".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Vec<Role>>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_written_one_way() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!(Role::from_name("master"), None);
    }

    #[test]
    fn a_set_of_roles_holds_what_was_put_in() {
        let roles = Roles::of(&[Role::Notebook, Role::Driver]);
        assert_eq!(roles.iter().collect::<Vec<_>>(), [Role::Driver, Role::Notebook]);
        assert!(!roles.contains(Role::Executor));
        assert_eq!(Roles::ALL.iter().count(), 4);
    }
}
