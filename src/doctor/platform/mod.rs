//! What concerns everybody: the operator and its webhook, the definitions, accounts and their rights, our webhook. A file a topic.

mod definitions;

use super::Look;

/// Everything that is looked for.
pub const ALL: &[Look] = &[definitions::look];
