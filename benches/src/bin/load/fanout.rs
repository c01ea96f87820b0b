//! Posts to a channel, delivered to every other member's stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sottovoce_proto::v1::{AppendRosterEntryRequest, CreateChannelRequest, PostRequest};
use sottovoce_statements::{AccountKey, CurrentEntry, EntrySigner, Roster, RosterChange, RosterEntry};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Code;

use crate::calls::{Calls, by, join};
use crate::device::{Device, on_the_wire};
use crate::letters::Writer;
use crate::link::{Link, Newest, Way};
use crate::measure::{Measured, Phase, Tally, for_a_time};
use crate::row::Row;
use crate::world::World;

/// Streams that share one connection: fewer than a server allows calls on one.
const SHARING: usize = 50;

/// Of a ciphertext, in bytes.
const LEN: usize = 300;

/// When each post that is under way was made.
type Posted = Arc<Mutex<HashMap<u64, Instant>>>;

/// A channel, its owner, and the members that listen.
pub(crate) struct Fanout {
    owner: Device,
    members: Vec<Device>,
    channel_id: Vec<u8>,
    height: u64,
}

impl Fanout {
    /// Founds a channel and adds `members` to it. `None` when the server has no channels.
    pub(crate) async fn found(world: &World, members: usize) -> Option<Self> {
        let mut devices = join(&world.endpoint, members + 1).await;
        let owner = devices.pop().unwrap();
        let mut channels = Calls::connect(&world.endpoint).await.channels;
        let manifest = owner.manifest().verify(&account_key(&owner)).unwrap();
        let signer = EntrySigner::on_manifest(&manifest, owner.id).unwrap();
        let genesis = owner.sign(RosterEntry::genesis(signer.clone(), *b"one of this run."));
        let request = CreateChannelRequest {
            genesis: Some(on_the_wire(&genesis)),
        };
        match channels.create_channel(by(&owner, request)).await {
            Err(status) if status.code() == Code::Unimplemented => return None,
            created => drop(created.unwrap()),
        }
        let mut roster = Roster::found(&CurrentEntry::check(genesis, &manifest).unwrap()).unwrap();
        for member in &devices {
            let change = RosterChange::Add(member.account());
            let entry = owner.sign(roster.next_entry(change, signer.clone()).unwrap());
            let request = AppendRosterEntryRequest {
                entry: Some(on_the_wire(&entry)),
            };
            channels.append_roster_entry(by(&owner, request)).await.unwrap();
            roster
                .apply(&CurrentEntry::check(entry, &manifest).unwrap())
                .unwrap();
        }
        Some(Self {
            owner,
            members: devices,
            channel_id: roster.channel_id().as_bytes().to_vec(),
            height: roster.head().height,
        })
    }

    /// Keeps `outstanding` posts under way, each until every member has it. Counts deliveries.
    pub(crate) async fn measure(self, world: &World, outstanding: usize) -> Measured {
        let writer = Writer::to([&self.owner], LEN);
        let posted = Posted::default();
        let phase = Phase::default();
        for_a_time(world.plan, &world.meter, phase.clone(), async |tasks| {
            let (delivered, deliveries) = unbounded_channel();
            let (end, ended) = tokio::sync::watch::channel(None);
            let count = self.members.len();
            let mut members = self.members.into_iter();
            while members.len() > 0 {
                let calls = Calls::connect(&world.endpoint).await;
                for device in members.by_ref().take(SHARING) {
                    let link = Link::over(calls.clone(), device, Way::Stream).await.empty().await;
                    let member = Member {
                        link,
                        writer: writer.clone(),
                        posted: posted.clone(),
                        delivered: delivered.clone(),
                    };
                    tasks.spawn(member.listen(phase.clone(), ended.clone()));
                }
            }
            let poster = Poster {
                calls: Calls::connect(&world.endpoint).await,
                owner: self.owner,
                channel_id: self.channel_id,
                height: self.height,
                writer,
                posted,
                deliveries,
                members: count,
            };
            tasks.spawn(poster.post(phase.clone(), outstanding, end));
        })
        .await
    }
}

/// The row, with deliveries as its messages.
pub(crate) fn row(name: &str, members: usize, measured: &Measured) -> Row {
    let posts = measured.tally.messages as f64 / members as f64 / measured.took.as_secs_f64();
    measured.row(name).number("posts_per_s", posts, 1)
}

fn account_key(device: &Device) -> AccountKey {
    device.account().account_key
}

struct Member {
    link: Link,
    writer: Writer,
    posted: Posted,
    delivered: UnboundedSender<u64>,
}

impl Member {
    /// Until it has all of the posts that there were in the end.
    async fn listen(mut self, phase: Phase, mut ended: tokio::sync::watch::Receiver<Option<u64>>) -> Tally {
        let mut tally = Tally::coarse();
        let mut newest = Newest::default();
        let mut next = 0;
        loop {
            let total = *ended.borrow_and_update();
            if total == Some(next) {
                break;
            }
            let envelopes = tokio::select! {
                envelopes = self.link.envelopes() => envelopes,
                _ = ended.changed() => continue,
            };
            self.link.acknowledge(&envelopes);
            for envelope in &envelopes {
                let number = self.writer.read(&envelope.ciphertext);
                assert_eq!(number, next, "posts arrive in another order than they were made");
                next += 1;
                if phase.measuring() {
                    let posted = self.posted.lock().unwrap().get(&number).copied();
                    tally.delivery.record(posted.unwrap().elapsed());
                    tally.messages += 1;
                }
                self.delivered.send(number).unwrap();
            }
            newest.note(envelopes);
        }
        self.link.finish(newest.into_ids()).await;
        tally
    }
}

struct Poster {
    calls: Calls,
    owner: Device,
    channel_id: Vec<u8>,
    height: u64,
    writer: Writer,
    posted: Posted,
    deliveries: UnboundedReceiver<u64>,
    members: usize,
}

impl Poster {
    async fn post(
        mut self,
        phase: Phase,
        outstanding: usize,
        end: tokio::sync::watch::Sender<Option<u64>>,
    ) -> Tally {
        let mut tally = Tally::new();
        let mut missing: HashMap<u64, usize> = HashMap::new();
        let mut number = 0;
        while !phase.ending() || !missing.is_empty() {
            while !phase.ending() && missing.len() < outstanding {
                missing.insert(number, self.members);
                let took = self.one(number).await;
                if phase.measuring() {
                    tally.ack.record(took);
                }
                number += 1;
            }
            let delivered = self.deliveries.recv().await.unwrap();
            let left = missing.get_mut(&delivered).unwrap();
            *left -= 1;
            if *left == 0 {
                missing.remove(&delivered);
                self.posted.lock().unwrap().remove(&delivered);
            }
        }
        end.send(Some(number)).unwrap();
        tally
    }

    /// One after the other: their order is what the members check.
    async fn one(&mut self, number: u64) -> std::time::Duration {
        let request = PostRequest {
            channel_id: self.channel_id.clone(),
            client_message_id: self.writer.id(number),
            roster_height: self.height,
            ciphertext: self.writer.ciphertext(number),
        };
        let start = Instant::now();
        self.posted.lock().unwrap().insert(number, start);
        self.calls.channels.post(by(&self.owner, request)).await.unwrap();
        start.elapsed()
    }
}
