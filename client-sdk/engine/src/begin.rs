//! How an engine comes to be: with a new account, on an account that it joins or recovers, or from what it
//! kept.

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{AccessKey, AccountMaterial, IdentityKeyPair, VerifiedAccount};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::access::{ACCESS_KEY, OwnAccess};
use crate::channels::Channel;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::error::InputError;
use crate::event::{EventId, EventKind};
use crate::held_session;
use crate::io::Outputs;
use crate::own::Own;
use crate::peers::Peer;
use crate::post::Post;
use crate::records::{RecordError, split_key};
use crate::renew::Renewals;
use crate::scheduled::Scheduled;

impl Engine {
    /// Makes a new account and its first device. The outputs hold the records of the new engine and must
    /// be persisted before anything else.
    ///
    /// # Errors
    /// [`InputError::Internal`] should the address not be one that can be signed.
    pub fn create(
        now: u64,
        rng: &mut dyn CryptoRng,
        address: Address,
    ) -> Result<(Self, Outputs), InputError> {
        let own = Own::create(rng, address).ok_or(InputError::Internal)?;
        Self::begin(now, rng, own, &[])
    }

    /// Makes the engine of a device that was granted a place on an account: `account` names it, and
    /// `app_data` is what came with the grant. The outputs must be persisted before
    /// [`joining`](Self::joining) is sent.
    ///
    /// # Errors
    /// [`InputError::NotLinkable`] when the account does not name this device under this key.
    pub fn join(
        now: u64,
        rng: &mut dyn CryptoRng,
        device_id: DeviceId,
        identity: IdentityKeyPair,
        account: VerifiedAccount,
        app_data: &[u8],
    ) -> Result<(Self, Outputs), InputError> {
        let own = Own::joined(None, device_id, identity, account).ok_or(InputError::NotLinkable)?;
        Self::begin(now, rng, own, app_data)
    }

    /// Makes the engine of a new device of an account that was recovered. Its other devices are not on the
    /// account any more. `shown` is the account's newest manifest as the server has it, which may be newer
    /// than the material.
    ///
    /// # Errors
    /// [`InputError::NotLinkable`] when the account cannot have a further manifest.
    pub fn recover(
        now: u64,
        rng: &mut dyn CryptoRng,
        material: AccountMaterial,
        shown: Option<&v1::SignedStatement>,
    ) -> Result<(Self, Outputs), InputError> {
        let own = Own::recovered(rng, material, shown).ok_or(InputError::NotLinkable)?;
        Self::begin(now, rng, own, &[])
    }

    fn begin(
        now: u64,
        rng: &mut dyn CryptoRng,
        own: Own,
        app_data: &[u8],
    ) -> Result<(Self, Outputs), InputError> {
        let mut engine = Self::with(own, Counters::default());
        let outputs = engine.turn(now, rng, |engine, turn| {
            turn.put("own".into(), engine.own.to_record());
            engine.maintain_prekeys(turn);
            match app_data.try_into() {
                Ok(key) => engine.take_access_key(AccessKey::from_secret_bytes(key), turn),
                Err(_) => engine.maintain_access_key(turn),
            }
            engine.know_own_devices(turn);
            Ok(())
        })?;
        Ok((engine, outputs))
    }

    /// Brings an engine back from all the records it ever gave out and did not delete.
    ///
    /// # Errors
    /// [`RecordError`] when a record is missing, damaged or of an unknown version.
    pub fn load(records: BTreeMap<String, Zeroizing<Vec<u8>>>) -> Result<Self, RecordError> {
        let own = Own::from_record(records.get("own").ok_or(RecordError)?)?;
        let counters = Counters::from_record(records.get(Counters::KEY).ok_or(RecordError)?)?;
        let mut engine = Self::with(own, counters);
        let mut posts = Vec::new();
        for (key, value) in &records {
            match split_key(key) {
                ("own" | Counters::KEY, "") => {}
                (ACCESS_KEY, "") => engine.access = Some(OwnAccess::from_record(value)?),
                (Renewals::KEY, "") => engine.renewals = Renewals::from_record(value)?,
                ("blocked", address) => {
                    let address = Address::parse(address).map_err(|_| RecordError)?;
                    engine.blocked.insert(address);
                }
                ("signed-prekey", id) => engine.prekeys.signed.load(id, value)?,
                ("last-resort-kem-prekey", id) => engine.prekeys.last_resort.load(id, value)?,
                ("one-time-prekey", id) => engine.prekeys.one_time.load(id, value)?,
                ("one-time-kem-prekey", id) => engine.prekeys.one_time_kem.load(id, value)?,
                ("initial", rest) => engine.prekeys.replays.load(rest, value)?,
                ("peer", address) => {
                    let address = Address::parse(address).map_err(|_| RecordError)?;
                    let peer = Peer::from_record(&address, value)?;
                    engine.peers.insert(address, peer);
                }
                ("session", rest) => engine.sessions.load(rest, value, &records)?,
                ("skipped-key", rest) => held_session::check_belongs(rest, &records)?,
                ("outbox", _) => engine.outbox.load(value)?,
                ("scheduled", number) => {
                    let number = number.parse().map_err(|_| RecordError)?;
                    engine.scheduled.insert(number, Scheduled::from_record(value)?);
                }
                ("seen", slot) => engine.inbox.load(slot, value)?,
                ("channel", _) => {
                    let channel = Channel::from_record(value, &records)?;
                    engine.channels.insert(channel.id, channel);
                }
                ("post", _) => posts.push(Post::from_record(value)?),
                ("sender-key" | "member-key" | "member-key-skipped", _) => {} // read by their channel
                ("event", id) => {
                    let id = id.parse().map(EventId).map_err(|_| RecordError)?;
                    engine.events.insert(id, EventKind::from_bytes(value)?);
                }
                _ => return Err(RecordError),
            }
        }
        posts.sort_by_key(|post| post.number);
        for post in posts {
            let channel = engine.channels.get_mut(&post.channel).ok_or(RecordError)?;
            channel.posts.push_back(post);
        }
        Ok(engine)
    }
}
