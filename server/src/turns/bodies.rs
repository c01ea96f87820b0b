//! Bytes of requests' bodies that are read, or held until their call is answered.
//!
//! ```text
//!            one unit of its own share          own units, as many as it says
//!   begun ─────────────┬──────────────▶ long ─────────────────────────────▶ each unit is counted as it comes
//!                      │ it is short
//!                      └──────────────▶ nothing ─── all of it is there ───▶ one of the short ones' units
//! ```
//!
//! What is common to all is taken by what has come and never by what was announced: who sends slowly, or
//! never, holds of it what it has sent. And long bodies leave the short ones' alone, which are most.

use std::hash::Hash;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Lines, Turn};
use crate::limits::{BODY_UNIT, MAX_SHORT_BODIES, MAX_SHORT_BODIES_EACH};

/// The bytes there are, in units.
#[derive(Debug)]
pub(crate) struct Bodies<K> {
    short: Pool<K>,
    long: Pool<K>,
    /// For one that waits in the middle, and has as much as it needs from then on. Otherwise those that are there
    /// in part could all wait for each other.
    beyond: Semaphore,
}

#[derive(Debug)]
struct Pool<K> {
    all: Semaphore,
    lines: Lines<K>,
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'t, K: Copy + Eq + Hash> {
    bodies: &'t Bodies<K>,
    own: Turn<'t, K>,
    /// Units it may come to have of what is there for all, if it is long.
    most: Option<u32>,
    shared: Option<SemaphorePermit<'t>>,
    beyond: Option<SemaphorePermit<'t>>,
}

impl<K: Copy + Eq + Hash> Bodies<K> {
    /// So many units for long bodies, of all and of each.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            short: Pool::new(MAX_SHORT_BODIES, MAX_SHORT_BODIES_EACH),
            long: Pool::new(all, each),
            beyond: Semaphore::new(1),
        }
    }

    /// To read the beginning of a body, behind what else is read for the same one. It takes nothing from
    /// others: a call may never say more than its headers.
    pub(crate) async fn begin(&self, of: K) -> Held<'_, K> {
        Held {
            bodies: self,
            own: self.short.lines.turn(of, 1, None).await,
            most: None,
            shared: None,
            beyond: None,
        }
    }

    #[cfg(test)]
    pub(super) fn is_forgotten(&self) -> bool {
        self.short.lines.lock().is_empty() && self.long.lines.lock().is_empty()
    }
}

impl<K: Copy + Eq + Hash> Pool<K> {
    fn new(all: usize, each: usize) -> Self {
        Self {
            all: Semaphore::new(all.min(Semaphore::MAX_PERMITS)),
            lines: Lines::new(each.min(all).min(MOST_UNITS)),
        }
    }
}

impl<'t, K: Copy + Eq + Hash> Held<'t, K> {
    /// To read on: the body says that it is so many bytes long. One that is long waits behind the other long
    /// ones of the same.
    pub(crate) async fn announced(self, of: K, length: usize) -> Self {
        if length <= BODY_UNIT {
            return self;
        }
        let Self { bodies, own, .. } = self;
        // Given back before another is asked for: two that wait for each other would wait for ever.
        drop(own);
        let most = units(length.min(bodies.long.lines.most_each.saturating_mul(BODY_UNIT)));
        Self {
            bodies,
            own: bodies.long.lines.turn(of, most, None).await,
            most: Some(most),
            shared: None,
            beyond: None,
        }
    }

    /// So many bytes of it are there now. Waits until they may be held; what is on its way meanwhile waits in the
    /// connection, which takes in no more than its window.
    pub(crate) async fn take_in(&mut self, bytes: usize) {
        let Some(most) = self.most else { return };
        let has = self.shared.as_ref().map_or(0, SemaphorePermit::num_permits);
        let needs = usize::try_from(units(bytes).min(most)).unwrap_or(usize::MAX);
        let more = u32::try_from(needs.saturating_sub(has)).unwrap_or(u32::MAX);
        if more == 0 || self.beyond.is_some() {
            return;
        }
        let all = &self.bodies.long.all;
        // The semaphores are never closed, so there is always a permit to come.
        tokio::select! {
            biased;
            permit = all.acquire_many(more) => match (&mut self.shared, permit.ok()) {
                (Some(shared), Some(permit)) => shared.merge(permit),
                (shared, permit) => *shared = permit,
            },
            permit = self.bodies.beyond.acquire() => self.beyond = permit.ok(),
        }
    }

    /// All of it is there, to be held until the call is answered.
    pub(crate) async fn whole(&mut self) {
        if self.most.is_none() {
            self.shared = self.bodies.short.all.acquire().await.ok();
        }
    }
}

/// At least one.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BODY_UNIT).max(1)).unwrap_or(u32::MAX)
}

/// More than any server has: what is asked for at one time fits a `u32`.
const MOST_UNITS: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_MAILBOX_REQUEST_LEN;
    use futures_util::FutureExt;

    /// Units of the longest body.
    const LONGEST: usize = MAX_MAILBOX_REQUEST_LEN.div_ceil(BODY_UNIT);

    /// Room for so many of the longest, of all and of each.
    fn bodies(all: usize, each: usize) -> Bodies<u16> {
        Bodies::new(all * LONGEST, each * LONGEST)
    }

    fn begin(bodies: &Bodies<u16>, of: u16) -> Option<Held<'_, u16>> {
        bodies.begin(of).now_or_never()
    }

    fn announced(bodies: &Bodies<u16>, of: u16, length: usize) -> Option<Held<'_, u16>> {
        begin(bodies, of)?.announced(of, length).now_or_never()
    }

    /// So much of a body of the greatest length has come.
    fn come(bodies: &Bodies<u16>, of: u16, bytes: usize) -> Option<Held<'_, u16>> {
        let mut held = announced(bodies, of, MAX_MAILBOX_REQUEST_LEN)?;
        held.take_in(bytes).now_or_never()?;
        Some(held)
    }

    fn short(bodies: &Bodies<u16>, of: u16) -> Option<Held<'_, u16>> {
        let mut held = announced(bodies, of, BODY_UNIT)?;
        held.whole().now_or_never()?;
        Some(held)
    }

    #[test]
    fn what_is_announced_and_not_sent_takes_nothing_from_others() {
        let bodies = bodies(2, 2);
        let announced: Vec<_> = (0..50)
            .flat_map(|of| [of, of])
            .map(|of| announced(&bodies, of, MAX_MAILBOX_REQUEST_LEN).unwrap())
            .collect();
        assert!(announced.len() > 2, "more than there is room for");
        assert!(come(&bodies, 0, 1).is_none(), "its own share");
        let others = [50, 51].map(|of| come(&bodies, of, MAX_MAILBOX_REQUEST_LEN).unwrap());
        assert!(short(&bodies, 52).is_some());
        drop((announced, others));
        assert!(bodies.is_forgotten());
    }

    #[test]
    fn long_bodies_that_are_held_leave_the_short_ones_room() {
        let bodies = bodies(2, 1);
        let held: Vec<_> = (0..2)
            .map(|of| come(&bodies, of, MAX_MAILBOX_REQUEST_LEN).unwrap())
            .collect();
        // One more, and no other.
        let beyond = come(&bodies, 2, 1).unwrap();
        assert!(come(&bodies, 3, 1).is_none());
        assert!(short(&bodies, 3).is_some());
        drop(beyond);
        assert!(come(&bodies, 3, 1).is_some());
        drop(held);
        assert!(come(&bodies, 3, 1).is_some());
    }

    #[test]
    fn bodies_that_are_there_in_part_do_not_wait_for_each_other() {
        let bodies = bodies(2, 1);
        let half = LONGEST / 2 * BODY_UNIT;
        let mut held: Vec<_> = (0..4).map(|of| come(&bodies, of, half).unwrap()).collect();
        // Two are all there is room for, and two halves are missing more than is left.
        for _ in 0..4 {
            let mut body = held.remove(0);
            body.take_in(MAX_MAILBOX_REQUEST_LEN)
                .now_or_never()
                .expect("one of them goes on");
            assert_eq!(
                body.beyond.is_some(),
                held.len() == 3,
                "and the rest have what it gives back"
            );
        }
        assert_eq!(bodies.beyond.available_permits(), 1);
        assert_eq!(bodies.long.all.available_permits(), 2 * LONGEST);
    }

    #[test]
    fn a_short_body_holds_nothing_of_others_until_it_is_there() {
        let bodies = bodies(1, 1);
        let of = |body: usize| u16::try_from(body / MAX_SHORT_BODIES_EACH).unwrap();
        let begun: Vec<_> = (0..2 * MAX_SHORT_BODIES)
            .map(|body| announced(&bodies, of(body), 1).unwrap())
            .collect();
        assert!(begin(&bodies, 0).is_none(), "its own share");
        let first = of(begun.len());
        let whole: Vec<_> = (0..MAX_SHORT_BODIES)
            .map(|body| short(&bodies, first + of(body)).unwrap())
            .collect();
        assert!(short(&bodies, 1_000).is_none(), "as many as there are");
        drop(whole);
        assert!(short(&bodies, 1_000).is_some());
    }

    #[test]
    fn a_body_longer_than_a_share_takes_all_of_that() {
        let bodies = Bodies::new(8, 4);
        let mut held = announced(&bodies, 1, usize::MAX).unwrap();
        held.take_in(usize::MAX).now_or_never().unwrap();
        assert_eq!(bodies.long.all.available_permits(), 4);
        assert!(announced(&bodies, 1, BODY_UNIT + 1).is_none());
    }
}
