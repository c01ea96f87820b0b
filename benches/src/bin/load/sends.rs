//! Messages between pairs of devices, each side over a connection of its own: sent, stored durably,
//! receipted, delivered, acknowledged.

use crate::calls::join;
use crate::device::Device;
use crate::letters::{Flights, Writer};
use crate::link::{Link, Newest, Way};
use crate::measure::{Measured, Phase, Tally, for_a_time};
use crate::world::World;

/// Pairs at most. Messages outstanding are shared out among them.
pub(crate) const PAIRS: usize = 16;

/// How a row's messages are sent.
#[derive(Clone, Copy)]
pub(crate) struct Sends {
    pub(crate) way: Way,
    /// Of a ciphertext, in bytes.
    pub(crate) len: usize,
    /// Messages, of all pairs together, of which receipt or delivery are still to come.
    pub(crate) outstanding: usize,
}

impl Sends {
    /// Runs one row.
    pub(crate) async fn measure(self, world: &World) -> Measured {
        let pairs = self.outstanding.min(PAIRS);
        let devices = join(&world.endpoint, 2 * pairs).await;
        self.between(world, devices).await
    }

    /// Runs one row between these devices, the first two being a pair, and so on.
    pub(crate) async fn between(self, world: &World, devices: Vec<Device>) -> Measured {
        let pairs = devices.len() / 2;
        let phase = Phase::default();
        for_a_time(world.plan, &world.meter, phase.clone(), async |tasks| {
            let mut devices = devices.into_iter();
            while let (Some(from), Some(to)) = (devices.next(), devices.next()) {
                let pair = Pair::connect(world, self, pairs, from, to).await;
                tasks.spawn(pair.run(phase.clone()));
            }
        })
        .await
    }
}

struct Pair {
    writer: Writer,
    out: Link,
    into: Link,
    window: usize,
    flights: Flights,
    newest: Newest,
    /// Messages over one stream arrive in the order they were sent; of single calls made at one time that
    /// is not asked.
    in_order: bool,
    delivered: u64,
}

impl Pair {
    async fn connect(world: &World, sends: Sends, pairs: usize, from: Device, to: Device) -> Self {
        let writer = Writer::to([&to], sends.len);
        let into = Link::open(&world.endpoint, to, sends.way).await.empty().await;
        Self {
            writer,
            out: Link::sender(&world.endpoint, from, sends.way).await,
            into,
            window: sends.outstanding / pairs,
            flights: Flights::default(),
            newest: Newest::default(),
            in_order: sends.way == Way::Stream,
            delivered: 0,
        }
    }

    async fn run(mut self, phase: Phase) -> Tally {
        let mut tally = Tally::new();
        while !phase.ending() || self.flights.open() > 0 {
            while !phase.ending() && self.flights.open() < self.window {
                let letter = self.writer.letter(self.flights.launch());
                self.out.send(letter);
            }
            tokio::select! {
                receipt = self.out.receipt() => self.receipted(&receipt, &phase, &mut tally),
                envelopes = self.into.envelopes() => {
                    self.into.acknowledge(&envelopes);
                    for envelope in &envelopes {
                        self.deliver(&envelope.ciphertext, &phase, &mut tally);
                    }
                    self.newest.note(envelopes);
                }
            }
        }
        assert_eq!(self.delivered, self.flights.launched(), "messages are missing");
        self.into.finish(self.newest.into_ids()).await;
        tally
    }

    fn receipted(&mut self, id: &[u8], phase: &Phase, tally: &mut Tally) {
        let (took, over) = self.flights.receipted(self.writer.number(id));
        if phase.measuring() {
            tally.ack.record(took);
            tally.messages += u64::from(over);
        }
    }

    fn deliver(&mut self, ciphertext: &[u8], phase: &Phase, tally: &mut Tally) {
        let number = self.writer.read(ciphertext);
        if self.in_order {
            assert_eq!(
                number, self.delivered,
                "messages arrive in another order than they were sent"
            );
        }
        self.delivered += 1;
        let (took, over) = self.flights.delivered(number);
        if phase.measuring() {
            tally.delivery.record(took);
            tally.messages += u64::from(over);
        }
    }
}
