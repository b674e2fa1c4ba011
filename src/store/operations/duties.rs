//! The operations by which processes that share a store divide the work.

use tokio::sync::watch;

use crate::store::{Offer, Replica, Role};

/// Who does what only one process does at a time.
///
/// A role that is held is fenced: what its holder commits after another has taken over is refused. So [`Duties::holds`] spares
/// work that would be in vain; correctness does not hang on it.
pub trait Duties {
    /// What this process can do from now on. What nobody does is taken on soon after.
    fn offer(&self, offer: Offer);

    /// As whose turn this process holds the role now; `None` when it does not. Whoever gets a role back after another had it
    /// has another epoch: what it knew before is out of date.
    fn epoch(&self, role: &Role) -> Option<i64>;

    /// Whether this process holds the role now.
    fn holds(&self, role: &Role) -> bool {
        self.epoch(role).is_some()
    }

    /// Changes when a role was taken or lost. Subscribe before asking.
    fn duties(&self) -> watch::Receiver<u64>;

    /// The processes that serve now, this one among them; none with SQLite, where there is no other.
    fn replicas(&self) -> Vec<Replica>;
}
