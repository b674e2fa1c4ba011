//! What the console needs.

use std::sync::Arc;

use super::sums::Sums;
use super::tries::Tries;
use crate::api::{self, Access};

/// What the console needs.
#[derive(Debug, Clone)]
pub struct Deps {
    pub(super) api: api::Deps,
    /// Who may use it.
    pub(super) access: Arc<Access>,
    /// What was spent, remembered.
    pub(super) sums: Arc<Sums>,
    /// When wrong tokens were tried.
    pub(super) tries: Arc<Tries>,
}

impl Deps {
    /// Puts them together.
    pub fn new(api: api::Deps, access: Arc<Access>) -> Self {
        Self { api, access, sums: Arc::default(), tries: Arc::default() }
    }
}
