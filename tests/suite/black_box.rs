//! The command as a user meets it.

use crate::cage::Caged;

/// Those that run anywhere.
pub const ANYWHERE: &[(&str, fn())] = &[];
/// Those that need a real kernel.
pub const CAGED: &[Caged] = &[];
