//! Whether versions of Spark and of packages agree.

use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::{Pod, Resource};

/// Looks at a pod.
pub(super) fn of_pod(_pod: &Pod<'_>, _case: &Case<'_>, _findings: &mut Findings) {}

/// Looks at a resource.
pub(super) fn of_resource(_resource: &Resource<'_>, _case: &Case<'_>, _findings: &mut Findings) {}
