//! Whether the pods that will be made have two mounts at one path, or two volumes of one name.

use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::Resource;

/// Looks at a resource.
pub(super) fn of_resource(_resource: &Resource<'_>, _case: &Case<'_>, _findings: &mut Findings) {}
