//! Whether Spark can read its amounts of memory.

use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::Resource;

/// Looks at a resource.
pub(super) fn of_resource(_resource: &Resource<'_>, _case: &Case<'_>, _findings: &mut Findings) {}
