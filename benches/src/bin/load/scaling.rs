//! Whether a message costs the same among many accounts, and beside many stored messages.

use crate::backlog;
use crate::calls::join;
use crate::letters::Writer;
use crate::link::Way;
use crate::sends::{PAIRS, Sends};
use crate::world::{Setup, World};

/// What is measured at every size.
const SENDS: Sends = Sends {
    way: Way::Stream,
    len: backlog::LEN,
    outstanding: 128,
};

/// Messages one mailbox is filled with: fewer than it holds.
const IN_A_MAILBOX: u64 = 5_000;

/// Messages sent to all accounts in turn, at each size.
const SPREAD: u64 = 40_000;

/// Among ever more accounts: pairs picked from all of them, and messages stored for all of them in turn.
pub(crate) async fn accounts(setup: &Setup, sizes: &[usize]) {
    for &size in sizes {
        let world = World::start(setup).await;
        let mut devices = join(&world.endpoint, size.max(2 * PAIRS)).await;
        let writers = (0..PAIRS).map(|_| Writer::to(&devices, backlog::LEN)).collect();
        // From both ends and the middle of those that registered.
        let every = devices.len() / (2 * PAIRS);
        let pairs = (0..2 * PAIRS)
            .map(|n| devices.swap_remove(n * (every - 1)))
            .collect();
        let measured = SENDS.between(&world, pairs).await;
        println!("{}", measured.row(&format!("accounts_{size}")));
        let senders = join(&world.endpoint, PAIRS).await;
        let measured = backlog::fill(&world, senders, writers, SPREAD / PAIRS as u64).await;
        println!("{}", measured.row(&format!("accounts_{size}_fill")));
        world.stop().await;
    }
}

/// Beside ever more messages, in mailboxes of other devices that do not listen.
pub(crate) async fn stored(setup: &Setup, sizes: &[u64]) {
    let world = World::start(setup).await;
    let mut stored = 0;
    for &size in sizes {
        while stored < size {
            // One sender for each mailbox, and as many at a time as there are pairs.
            let messages = IN_A_MAILBOX.min((size - stored).div_ceil(PAIRS as u64));
            let senders = join(&world.endpoint, PAIRS).await;
            let recipients = join(&world.endpoint, PAIRS).await;
            let writers = recipients
                .iter()
                .map(|to| Writer::to([to], backlog::LEN))
                .collect();
            backlog::fill(&world, senders, writers, messages).await;
            stored += messages * PAIRS as u64;
        }
        let measured = SENDS.measure(&world).await;
        println!("{}", measured.row(&format!("stored_{size}")));
    }
    world.stop().await;
}
