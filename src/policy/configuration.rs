//! The administrator's policy file.

/// The administrator's configuration; every field has a default.
#[derive(Debug, Clone, Default)]
pub struct Policy {}
