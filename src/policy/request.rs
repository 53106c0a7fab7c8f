//! What the policy core needs to know of a review, as plain borrowed data.

use super::document::Json;

/// What the API server is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An object is created.
    Create,
    /// An object is changed.
    Update,
    /// An object is deleted.
    Delete,
    /// Something connects to an object, as `kubectl exec` does.
    Connect,
    /// Anything else.
    Other,
}

impl Operation {
    /// The operation that a review names.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "CREATE" => Self::Create,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Its name as a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Connect => "connect",
            Self::Other => "other",
        }
    }
}

/// One review's request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The review's own id.
    pub uid: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// The object's API group; empty for the core group.
    pub group: &'a str,
    /// The object's kind.
    pub kind: &'a str,
    /// The subresource; empty where there is none.
    pub subresource: &'a str,
    /// The namespace; objects as Spark sends them name none themselves.
    pub namespace: &'a str,
    /// The object as it shall be; null on DELETE.
    pub object: Json<'a>,
    /// The object as it was; null on CREATE.
    pub old_object: Json<'a>,
}

impl Request<'_> {
    /// The same request about the object as it was before an update.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        (self.operation == Operation::Update).then_some(Self { object: self.old_object, ..*self })
    }
}
