//! Reads a body under a size, a time and a memory bound.
//!
//! Receives the byte stream of one request. Promises to stop at the first byte beyond the cap, to wait neither
//! long for a chunk nor long in all, and to keep large bodies only while there is room for them. A body that
//! cannot be genuine is counted and thrown away, never kept. Never looks at the bytes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::signature::Message;

/// Bytes of a body that need no room reserved. Telnyx's bodies are a few kB; the largest seen are tens of kB.
pub(super) const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Bytes of larger bodies that may be in memory at once, over all connections.
const LARGE_BODIES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Unit in which room is counted, so that counts fit the semaphore's `u32`.
const ROOM_UNIT_BYTES: usize = 1024;

/// Memory for large bodies, shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct Room {
    units: Arc<Semaphore>,
    wait: Duration,
}

/// A share of the [`Room`], given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// `wait` is how long a large body waits for its share.
    pub(super) fn new(wait: Duration) -> Self {
        let units = Arc::new(Semaphore::new(LARGE_BODIES_BYTES_MAX / ROOM_UNIT_BYTES));
        Self { units, wait }
    }

    /// Room for a whole body at once: nobody waits while holding a part, so nobody waits for ever.
    async fn take(&self, bytes: usize) -> Option<Share> {
        let units = bytes.min(LARGE_BODIES_BYTES_MAX).div_ceil(ROOM_UNIT_BYTES);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = timeout(self.wait, Arc::clone(&self.units).acquire_many_owned(units)).await;
        permit.ok()?.ok().map(|permit| Share { _permit: permit })
    }
}

/// The bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes at most.
    pub(super) max: usize,
    /// Longest silence between two pieces.
    pub(super) idle: Duration,
    /// Longest time for the whole body.
    pub(super) total: Duration,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    TimedOut,
    Broken,
    NoRoom,
}

/// Reads the body to its end into `message`, or just counts it when there is none.
///
/// `declared` is the length that the head promised; without it the body is chunked. The share, when there is
/// one, must live as long as the bytes do.
pub(super) async fn read(
    payload: &mut Payload,
    declared: Option<usize>,
    bounds: Bounds,
    room: &Room,
    mut message: Option<&mut Message>,
) -> Result<Option<Share>, BodyError> {
    if declared.is_some_and(|declared| declared > bounds.max) {
        return Err(BodyError::TooLarge);
    }
    let deadline = Instant::now() + bounds.total;
    let mut received = 0;
    let mut share = None;
    while let Some(chunk) = next(payload, bounds.idle, deadline).await? {
        received += chunk.len();
        if received > bounds.max {
            return Err(BodyError::TooLarge);
        }
        let Some(message) = message.as_deref_mut() else { continue };
        if received > SMALL_BODY_BYTES && share.is_none() {
            let whole = declared.unwrap_or(bounds.max);
            share = Some(room.take(whole).await.ok_or(BodyError::NoRoom)?);
            message.reserve(whole);
        }
        message.push(&chunk);
    }
    Ok(share)
}

async fn next(
    payload: &mut Payload,
    idle: Duration,
    deadline: Instant,
) -> Result<Option<Bytes>, BodyError> {
    let until = deadline.min(Instant::now() + idle);
    match timeout_at(until, payload.next()).await {
        Ok(chunk) => chunk.transpose().map_err(|error| match error {
            PayloadError::Overflow => BodyError::TooLarge,
            _ => BodyError::Broken,
        }),
        Err(_elapsed) => Err(BodyError::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        max: 100 * 1024,
        idle: Duration::from_millis(20),
        total: Duration::from_millis(200),
    };

    fn chunks(sizes: &[usize]) -> Payload {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        Payload::Stream { payload: stream::iter(chunks).boxed_local() }
    }

    async fn outcome(
        mut payload: Payload,
        declared: Option<usize>,
        room: &Room,
    ) -> Result<usize, BodyError> {
        let mut message = Message::new(b"1", 0);
        let share = read(&mut payload, declared, BOUNDS, room, Some(&mut message)).await?;
        assert_eq!(share.is_some(), message.body().len() > SMALL_BODY_BYTES);
        Ok(message.body().len())
    }

    #[tokio::test]
    async fn the_cap_holds_for_declared_and_chunked_bodies() {
        let room = Room::new(Duration::from_millis(20));
        let max = BOUNDS.max;
        for (payload, declared, expected) in [
            (chunks(&[]), Some(0), Ok(0)),
            (chunks(&[3, 4]), Some(7), Ok(7)),
            (chunks(&[max]), Some(max), Ok(max)),
            (chunks(&[max, 1]), None, Err(BodyError::TooLarge)),
            (chunks(&[max - 1, 1]), None, Ok(max)),
        ] {
            assert_eq!(outcome(payload, declared, &room).await, expected);
        }
        // Not one byte of it is waited for.
        let never = Payload::Stream { payload: stream::pending().boxed_local() };
        assert_eq!(outcome(never, Some(max + 1), &room).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_is_not_kept_is_counted_all_the_same() {
        let room = Room::new(Duration::from_millis(20));
        let mut payload = chunks(&[BOUNDS.max, 1]);
        let result = read(&mut payload, None, BOUNDS, &room, None).await;
        assert_eq!(result.unwrap_err(), BodyError::TooLarge);
        let share = read(&mut chunks(&[BOUNDS.max]), None, BOUNDS, &room, None).await.unwrap();
        assert!(share.is_none());
    }

    #[tokio::test]
    async fn silence_and_dripping_both_end() {
        let room = Room::new(Duration::from_millis(20));
        let silent = Payload::Stream { payload: stream::pending().boxed_local() };
        assert_eq!(outcome(silent, Some(5), &room).await, Err(BodyError::TimedOut));
        let drip = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(Bytes::from_static(b"x"))
        });
        let drip = Payload::Stream { payload: drip.boxed_local() };
        assert_eq!(outcome(drip, None, &room).await, Err(BodyError::TimedOut));
    }

    #[tokio::test]
    async fn a_broken_body_says_so() {
        let broken = stream::iter([Err(PayloadError::Incomplete(None))]).boxed_local();
        let broken = Payload::Stream { payload: broken };
        assert_eq!(
            outcome(broken, Some(5), &Room::new(Duration::from_millis(20))).await,
            Err(BodyError::Broken)
        );
    }

    #[tokio::test]
    async fn large_bodies_share_the_room_and_small_ones_need_none() {
        let room = Room::new(Duration::from_millis(20));
        let all = room.take(usize::MAX).await.unwrap();
        assert_eq!(outcome(chunks(&[BOUNDS.max]), None, &room).await, Err(BodyError::NoRoom));
        assert_eq!(outcome(chunks(&[SMALL_BODY_BYTES]), None, &room).await, Ok(SMALL_BODY_BYTES));
        drop(all);
        assert_eq!(outcome(chunks(&[BOUNDS.max]), None, &room).await, Ok(BOUNDS.max));
    }
}
