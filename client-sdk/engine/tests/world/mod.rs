//! Engines on a virtual clock, talking through a model of the server.
//!
//! The model stands in for the real server because these tests own every instant and every failure; the
//! real one is tested with the SDK and in its own package.

#![allow(dead_code, reason = "each test file uses its part of the world")]

pub(crate) mod model_channels;
pub(crate) mod model_server;
pub(crate) mod scripted;
pub(crate) mod stolen;

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_crypto::statements::Address;
use sottovoce_engine::{
    Body, Call, CallId, Engine, Event, EventId, EventKind, Input, MessageId, Outputs, ReceivedMessage,
    Unreadable,
};
use zeroize::Zeroizing;

use model_server::ModelServer;

/// When the world begins, Unix time in milliseconds.
pub(crate) const START: u64 = 1_800_000_000_000;

/// What becomes of an engine's outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Persisted and acted upon.
    Done,
    /// Power fails before they are persisted.
    LostBeforePersisting,
    /// Power fails right after they are persisted, before anything is acted upon.
    LostAfterPersisting,
}

/// One device: its engine, its disk, its line to the server, and the app on top of it.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    disk: BTreeMap<String, Zeroizing<Vec<u8>>>,
    pending: VecDeque<(CallId, Call)>,
    online: bool,
    /// Every event the app was ever told, once each.
    pub(crate) told: BTreeMap<EventId, EventKind>,
    /// Told but not acknowledged.
    unacknowledged: Vec<EventId>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) server: ModelServer,
    pub(crate) nodes: Vec<Node>,
}

impl World {
    /// A world with registered, connected, settled people in it.
    pub(crate) fn new(seed: u64, names: &[&str]) -> Self {
        let mut world = Self {
            now: START,
            rng: ChaCha20Rng::seed_from_u64(seed),
            server: ModelServer::default(),
            nodes: Vec::new(),
        };
        for name in names {
            let (engine, outputs) =
                Engine::create(world.now, &mut world.rng, address(name)).expect("an address can be stated");
            world
                .server
                .register(&engine.registration().expect("a new engine is unregistered"));
            world.add(engine, outputs);
        }
        world.settle();
        world
    }

    /// Adds a device whose server knows it.
    pub(crate) fn add(&mut self, engine: Engine, outputs: Outputs) -> usize {
        self.nodes.push(Node {
            engine,
            disk: BTreeMap::new(),
            pending: VecDeque::new(),
            online: false,
            told: BTreeMap::new(),
            unacknowledged: Vec::new(),
        });
        let node = self.nodes.len() - 1;
        self.take(node, outputs, Fate::Done);
        self.input(node, Input::Registered);
        node
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        self.input_with(node, input, Fate::Done);
    }

    pub(crate) fn input_with(&mut self, node: usize, input: Input, fate: Fate) {
        let outputs = self.nodes[node]
            .engine
            .handle(self.now, &mut self.rng, input)
            .expect("nothing refused");
        self.take(node, outputs, fate);
    }

    /// The app sends; `None` when power failed before the message was safe.
    pub(crate) fn send(&mut self, from: usize, to: usize, text: &str, fate: Fate) -> Option<MessageId> {
        let to = self.nodes[to].engine.address().clone();
        let (id, outputs) = self.nodes[from]
            .engine
            .send(self.now, &mut self.rng, &to, Body::Text(text.into()))
            .expect("it can be sent");
        self.take(from, outputs, fate);
        (fate != Fate::LostBeforePersisting).then_some(id)
    }

    /// Sends to somebody who is no node of this world.
    pub(crate) fn send_to(&mut self, from: usize, to: &Address, text: &str) {
        let engine = &mut self.nodes[from].engine;
        let (_, outputs) = engine
            .send(self.now, &mut self.rng, to, Body::Text(text.into()))
            .expect("it can be sent");
        self.take(from, outputs, Fate::Done);
    }

    pub(crate) fn connect(&mut self, node: usize) {
        if !self.nodes[node].online {
            self.nodes[node].online = true;
            self.server.stream_begins(self.nodes[node].engine.device_id());
            self.input(node, Input::Connected);
        }
    }

    pub(crate) fn disconnect(&mut self, node: usize) {
        if self.nodes[node].online {
            self.nodes[node].online = false;
            self.nodes[node].pending.clear();
            self.input(node, Input::Disconnected);
        }
    }

    /// Makes the node's next call. With `answered` false the server acts and the answer is lost, which
    /// breaks the connection.
    pub(crate) fn call_next(&mut self, node: usize, answered: bool, fate: Fate) -> bool {
        let Some((call, request)) = self.nodes[node].pending.pop_front() else {
            return false;
        };
        let device_id = self.nodes[node].engine.device_id();
        let answer = self.server.call(device_id, self.now, request);
        if answered {
            self.input_with(node, Input::Answered { call, answer }, fate);
        } else {
            self.disconnect(node);
        }
        true
    }

    pub(crate) fn has_call(&self, node: usize) -> bool {
        !self.nodes[node].pending.is_empty()
    }

    /// Takes the node's next call away, for the test to answer.
    pub(crate) fn take_call(&mut self, node: usize) -> (CallId, Call) {
        self.nodes[node].pending.pop_front().expect("a call is waiting")
    }

    /// Delivers the next envelope of the node's stream.
    pub(crate) fn deliver_next(&mut self, node: usize, fate: Fate) -> bool {
        if !self.nodes[node].online {
            return false;
        }
        let Some(envelope) = self.server.next_envelope(self.nodes[node].engine.device_id()) else {
            return false;
        };
        self.input_with(node, Input::Delivered(envelope), fate);
        true
    }

    /// The app acknowledges everything it was told.
    pub(crate) fn acknowledge_all(&mut self, node: usize) {
        for id in std::mem::take(&mut self.nodes[node].unacknowledged) {
            self.input(node, Input::AcknowledgeEvent(id));
        }
    }

    /// Power fails: whatever was not persisted is gone.
    pub(crate) fn restart(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.engine = Engine::load(this.disk.clone()).expect("what was persisted can be read");
        this.online = false;
        this.pending.clear();
        let again = this.engine.unacknowledged();
        this.unacknowledged.clear();
        this.tell(again);
    }

    /// Everybody connects and everything runs until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut worked = false;
            for node in 0..self.nodes.len() {
                self.connect(node);
                while self.call_next(node, true, Fate::Done) || self.deliver_next(node, Fate::Done) {
                    worked = true;
                }
                worked |= !self.nodes[node].unacknowledged.is_empty();
                self.acknowledge_all(node);
            }
            if !worked {
                return;
            }
        }
        panic!("the world does not settle");
    }

    /// Every message the app of a node was told of, in the order it was told.
    pub(crate) fn received(&self, node: usize) -> Vec<&ReceivedMessage> {
        let told = self.nodes[node].told.values();
        told.filter_map(|kind| {
            if let EventKind::MessageReceived(message) = kind {
                Some(message)
            } else {
                None
            }
        })
        .collect()
    }

    pub(crate) fn texts(&self, node: usize) -> Vec<&str> {
        self.received(node)
            .iter()
            .filter_map(|message| message.text())
            .collect()
    }

    /// What the app was told besides messages received and sent.
    pub(crate) fn complaints(&self, node: usize) -> Vec<&EventKind> {
        self.nodes[node]
            .told
            .values()
            .filter(|kind| {
                !matches!(
                    kind,
                    EventKind::MessageReceived(_) | EventKind::MessageSent { .. }
                )
            })
            .collect()
    }

    /// What the node has persisted.
    pub(crate) fn disk(&self, node: usize) -> &BTreeMap<String, Zeroizing<Vec<u8>>> {
        &self.nodes[node].disk
    }

    pub(crate) fn disk_size(&self, node: usize) -> usize {
        self.nodes[node].disk.len()
    }

    pub(crate) fn take(&mut self, node: usize, outputs: Outputs, fate: Fate) {
        let this = &mut self.nodes[node];
        if fate != Fate::LostBeforePersisting {
            for (key, value) in outputs.records {
                match value {
                    Some(value) => this.disk.insert(key, value),
                    None => this.disk.remove(&key),
                };
            }
        }
        if fate == Fate::Done {
            if this.online {
                this.pending.extend(outputs.calls);
            }
            this.tell(outputs.events);
        } else {
            self.restart(node);
        }
    }
}

impl Node {
    fn tell(&mut self, events: Vec<Event>) {
        for event in events {
            self.unacknowledged.push(event.id);
            if let Some(before) = self.told.insert(event.id, event.kind.clone()) {
                assert_eq!(before, event.kind, "an event told again is the same event");
            }
        }
    }
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@chat.example")).expect("a valid name")
}

/// Two who have written to each other.
pub(crate) fn pair(seed: u64) -> World {
    let mut world = World::new(seed, &["alice", "bob"]);
    world.send(0, 1, "first", Fate::Done);
    world.settle();
    world.send(1, 0, "back", Fate::Done);
    world.settle();
    world
}

/// The first two write to each other.
pub(crate) fn converse(world: &mut World, rounds: usize) {
    for _ in 0..rounds {
        world.send(0, 1, "ping", Fate::Done);
        world.settle();
        world.send(1, 0, "pong", Fate::Done);
        world.settle();
    }
}

/// Why what was thrown away could not be read.
pub(crate) fn unreadable(world: &World, node: usize) -> Vec<Unreadable> {
    let told = world.nodes[node].told.values();
    told.filter_map(|kind| {
        if let EventKind::Unreadable { reason, .. } = kind {
            Some(*reason)
        } else {
            None
        }
    })
    .collect()
}
