//! The balance, read at intervals.

use std::sync::Arc;

use super::{Client, Deps, Settings};
use crate::tasks::Tasks;

pub(super) async fn run(_deps: Deps, _settings: Arc<Settings>, _client: Client, tasks: Tasks) {
    tasks.stopping().await;
}
