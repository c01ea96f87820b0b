//! Mailboxes that fill while nobody listens, and are emptied afterwards.

use crate::calls::join;
use crate::device::Device;
use crate::letters::{Flights, Writer};
use crate::link::{Link, Newest, Way};
use crate::measure::{Measured, Tally, to_the_end};
use crate::sends::PAIRS;
use crate::world::World;

/// Messages outstanding while filling, of all senders together.
const OUTSTANDING: usize = 128;

/// Of a ciphertext, in bytes.
pub(crate) const LEN: usize = 300;

/// Fills mailboxes with `messages` for each, then empties them all at once: the two rows.
pub(crate) async fn measure(world: &World, messages: u64) -> (Measured, Measured) {
    let senders = join(&world.endpoint, PAIRS).await;
    let recipients = join(&world.endpoint, PAIRS).await;
    let writers: Vec<Writer> = recipients.iter().map(|to| Writer::to([to], LEN)).collect();
    let filled = fill(world, senders, writers.clone(), messages).await;
    let drained = drain(world, recipients, writers, messages).await;
    (filled, drained)
}

/// Each sender sends `messages` of its writer's, to whomever they are for.
pub(crate) async fn fill(
    world: &World,
    senders: Vec<Device>,
    writers: Vec<Writer>,
    messages: u64,
) -> Measured {
    let window = OUTSTANDING / senders.len();
    let mut links = Vec::new();
    for sender in senders {
        links.push(Link::sender(&world.endpoint, sender, Way::Stream).await);
    }
    to_the_end(world.plan, &world.meter, async |tasks| {
        for (link, writer) in links.into_iter().zip(writers) {
            tasks.spawn(send(link, writer, window, messages));
        }
    })
    .await
}

async fn send(mut link: Link, writer: Writer, window: usize, messages: u64) -> Tally {
    let mut tally = Tally::new();
    let mut flights = Flights::default();
    while tally.messages < messages {
        while flights.open() < window && flights.launched() < messages {
            let number = flights.launch();
            // Nobody waits for its delivery.
            flights.delivered(number);
            link.send(writer.letter(number));
        }
        let (took, _) = flights.receipted(writer.number(&link.receipt().await));
        tally.ack.record(took);
        tally.messages += 1;
    }
    tally
}

async fn drain(world: &World, recipients: Vec<Device>, writers: Vec<Writer>, messages: u64) -> Measured {
    to_the_end(world.plan, &world.meter, async |tasks| {
        for (recipient, writer) in recipients.into_iter().zip(writers) {
            let endpoint = world.endpoint.clone();
            tasks.spawn(async move {
                let link = Link::open(&endpoint, recipient, Way::Stream).await;
                receive(link, writer, messages).await
            });
        }
    })
    .await
}

/// Ends when the last is acknowledged for certain.
async fn receive(mut link: Link, writer: Writer, messages: u64) -> Tally {
    let mut tally = Tally::new();
    let mut newest = Newest::default();
    while tally.messages < messages {
        let envelopes = link.envelopes().await;
        link.acknowledge(&envelopes);
        for envelope in &envelopes {
            let number = writer.read(&envelope.ciphertext);
            assert_eq!(number, tally.messages, "not in the order they were sent");
            tally.messages += 1;
        }
        newest.note(envelopes);
    }
    link.finish(newest.into_ids()).await;
    tally
}
