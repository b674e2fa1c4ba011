//! The only waiting of the tests: look again until a condition holds, and panic at the caller's line when a
//! deadline passes first. Real time, because the peers are real sockets.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A deadline for what should take milliseconds. Generous, because a busy machine is no failure.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; panics at the caller's line when it still does not after `within`.
#[track_caller]
pub fn eventually(
    within: Duration,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    eventually_some(within, move || condition().then_some(()))
}

/// Waits until `look` finds something, and returns it; panics at the caller's line when `within` passes first.
#[track_caller]
pub fn eventually_some<T>(
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> impl Future<Output = T> {
    eventually_async(within, move || std::future::ready(look()))
}

/// [`eventually_some`] for a look that itself awaits, such as a request. A look that hangs is cut at the deadline.
#[track_caller]
pub fn eventually_async<T, F: Future<Output = Option<T>>>(
    within: Duration,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(LOOK_EVERY);
            if let Ok(Some(found)) = tokio::time::timeout(left, look()).await {
                return found;
            }
            assert!(Instant::now() < deadline, "{caller}: not within {within:?}");
            sleep(LOOK_EVERY).await;
        }
    }
}

#[tokio::test]
async fn eventually_looks_until_the_condition_holds() {
    let mut looks = 0;
    eventually(SOON, || {
        looks += 1;
        looks == 3
    })
    .await;
    assert_eq!(looks, 3);
}

#[tokio::test]
async fn eventually_names_the_line_that_waited_in_vain() {
    let wait = tokio::spawn(eventually(Duration::from_millis(20), || false));
    let panic = wait.await.unwrap_err().into_panic();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("wait.rs:") && text.contains("not within 20ms"), "{text}");
}
