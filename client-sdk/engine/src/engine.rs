//! The engine itself: takes inputs, keeps the state, hands out outputs.
//!
//! Each kind of input has its own file: sending in `send.rs`, receiving in `receive.rs`; here is what
//! ties them together.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use sottovoce_crypto::LinkingOffer;
use sottovoce_crypto::statements::{Address, ChannelId};

use crate::access::OwnAccess;
use crate::batch;
use crate::channels::Channel;
use crate::counters::Counters;
use crate::delivery::Delivery;
use crate::error::InputError;
use crate::event::{EventId, EventKind};
use crate::inbox::Inbox;
use crate::io::{Call, CallId, Input, Outputs};
use crate::outbox::Outbox;
use crate::own::Own;
use crate::peers::Peer;
use crate::prekeys::Prekeys;
use crate::renew::Renewals;
use crate::scheduled::AllScheduled;
use crate::sessions::Sessions;
use crate::turn::{Purpose, Turn, event_key};

/// One device of one account: its keys, its sessions, and what is on its way in and out.
///
/// The engine does no I/O and knows no clock: [`handle`](Self::handle) takes what happened and returns
/// what to persist, whom to call and what to tell the app.
pub struct Engine {
    pub(crate) own: Own,
    pub(crate) prekeys: Prekeys,
    pub(crate) peers: BTreeMap<Address, Peer>,
    pub(crate) sessions: Sessions,
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// Events the app has not acknowledged.
    pub(crate) events: BTreeMap<EventId, EventKind>,
    pub(crate) online: bool,
    /// Recipients with a call of their outbox in flight: one at a time keeps their messages in order.
    pub(crate) busy: BTreeSet<Address>,
    /// Addresses whose account is being asked for.
    pub(crate) fetching: BTreeSet<Address>,
    pub(crate) renewals: Renewals,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// Our access key; none in a store from before there were any.
    pub(crate) access: Option<OwnAccess>,
    /// Addresses the user wants nothing to do with.
    pub(crate) blocked: BTreeSet<Address>,
    /// What waits at the server for its time, by its number in the outbox.
    pub(crate) scheduled: AllScheduled,
    /// Whether the server has refused several messages in one call, on this connection.
    pub(crate) one_by_one: bool,
    /// A device to link once the server has what was signed before. Not kept: an offer is good for minutes.
    pub(crate) offered: Option<Box<LinkingOffer>>,
    /// When changed account keys were last looked at again, Unix time in milliseconds.
    pub(crate) looked_again_at: u64,
    counters: Counters,
    pub(crate) in_flight: BTreeMap<CallId, Purpose>,
    last_call: u64,
}

impl Engine {
    /// Deals with one input. See [`Outputs`] for what to do with what comes back.
    ///
    /// # Errors
    /// [`InputError`] when the app asks for something that cannot be; the engine is then as it was.
    pub fn handle(&mut self, now: u64, rng: &mut dyn CryptoRng, input: Input) -> Result<Outputs, InputError> {
        self.turn(now, rng, |engine, turn| match input {
            Input::Send { to, body } => engine.queue(&to, body, Delivery::default(), turn).map(|_| ()),
            Input::CancelScheduled(message_id) => engine.cancel_scheduled(message_id, turn),
            Input::AcknowledgeEvent(id) => {
                engine.acknowledge_event(id, turn);
                Ok(())
            }
            Input::AcceptAccountKey { address, account_key } => {
                engine.accept_account_key(&address, &account_key, turn)
            }
            Input::RejectAccountKey { address, account_key } => {
                engine.reject_account_key(&address, &account_key, turn)
            }
            Input::Block { address, blocked } => {
                engine.block(&address, blocked, turn);
                Ok(())
            }
            Input::RotateAccessKey => {
                engine.rotate_access_key(turn);
                engine.maintain_access_key(turn);
                Ok(())
            }
            Input::LinkDevice(offer) => engine.link_device(offer, turn),
            Input::RevokeDevice(device_id) => engine.revoke_device(device_id, turn),
            Input::ChangeRoster { channel, change } => engine.change_roster(channel, change, turn),
            Input::TokenReused => {
                turn.event(EventKind::TokenReused);
                Ok(())
            }
            Input::Registered => {
                engine.own.joined_at_server();
                turn.put("own".into(), engine.own.to_record());
                Ok(())
            }
            Input::Connected => {
                engine.disconnected();
                engine.online = true;
                engine.looked_again_at = 0;
                engine.maintain_prekeys(turn);
                engine.count_prekeys(turn);
                engine.access_reconnected();
                engine.maintain_access_key(turn);
                engine.look_again(turn);
                engine.look_at_own(turn);
                engine.look_at_channels(turn);
                engine.drive_channels(turn);
                engine.drive_cancellations(turn);
                engine.drive_outbox(turn);
                Ok(())
            }
            Input::Disconnected => {
                engine.disconnected();
                Ok(())
            }
            Input::Delivered(envelope) => {
                engine.delivered(envelope, turn);
                Ok(())
            }
            Input::PrekeysLow(left) => {
                engine.prekeys_left(left, turn);
                Ok(())
            }
            Input::Answered { call, answer } => {
                engine.answered(call, answer, turn);
                Ok(())
            }
            Input::Tick => {
                if engine.online {
                    engine.maintain_prekeys(turn);
                    engine.maintain_access_key(turn);
                    engine.maintain_own_account(turn);
                    engine.drive_channels(turn);
                    engine.sessions.maintain(turn);
                    engine.look_again(turn);
                    engine.drive_cancellations(turn);
                    engine.drive_outbox(turn);
                    engine.drive_inbox(turn);
                    engine.inbox.resume_acknowledging();
                }
                Ok(())
            }
        })
    }

    pub(crate) fn with(own: Own, counters: Counters) -> Self {
        Self {
            own,
            prekeys: Prekeys::default(),
            peers: BTreeMap::new(),
            sessions: Sessions::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            events: BTreeMap::new(),
            online: false,
            busy: BTreeSet::new(),
            fetching: BTreeSet::new(),
            renewals: Renewals::default(),
            channels: BTreeMap::new(),
            access: None,
            blocked: BTreeSet::new(),
            scheduled: AllScheduled::new(),
            one_by_one: false,
            offered: None,
            looked_again_at: 0,
            counters,
            in_flight: BTreeMap::new(),
            last_call: 0,
        }
    }

    /// Runs one turn and takes over what it leaves behind.
    pub(crate) fn turn(
        &mut self,
        now: u64,
        rng: &mut dyn CryptoRng,
        work: impl FnOnce(&mut Self, &mut Turn<'_>) -> Result<(), InputError>,
    ) -> Result<Outputs, InputError> {
        let mut turn = Turn::new(now, rng, self.counters.clone());
        work(self, &mut turn)?;
        if let Some(request) = self.inbox.next_acknowledgement() {
            turn.call(Purpose::Acknowledge, Call::Acknowledge(request));
        }
        if turn.counters != self.counters {
            turn.put(Counters::KEY.into(), turn.counters.to_record());
            self.counters = turn.counters;
        }
        let mut outputs = turn.out;
        let calls = if self.one_by_one {
            turn.calls
        } else {
            batch::batched(turn.calls)
        };
        for (purpose, call) in calls {
            self.last_call += 1;
            let id = CallId(self.last_call);
            self.in_flight.insert(id, purpose);
            outputs.calls.push((id, call));
        }
        for event in &outputs.events {
            self.events.insert(event.id, event.kind.clone());
        }
        Ok(outputs)
    }

    fn disconnected(&mut self) {
        self.online = false;
        self.in_flight.clear();
        self.one_by_one = false;
        self.busy.clear();
        self.fetching.clear();
        self.channels.values_mut().for_each(Channel::disconnected);
        self.inbox.disconnected();
    }

    fn acknowledge_event(&mut self, id: EventId, turn: &mut Turn<'_>) {
        if self.events.remove(&id).is_some() {
            turn.delete(event_key(id));
            self.drive_inbox(turn);
        }
    }
}
