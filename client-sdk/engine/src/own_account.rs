//! The account's own device list: devices linked and revoked by the one that has the account's secret,
//! and taken up by the others as the server shows it.
//!
//! ```text
//!  LinkDevice ──▶ next manifest signed, kept ──▶ grant left ──▶ asked for ──▶ shown, with the new
//!     ▲                                                            ▲   │ not yet     device's binding:
//!     │ the offer waits                                            └───┘             taken up
//!     └── another device never joined ─┐
//!  RevokeDevice ───────────────────────┴▶ next manifest signed, kept ──▶ published ▶ taken up
//! ```
//!
//! A manifest whose device never joined stays signed, and the next one follows it, without the device. The
//! server is given both. A device that joins knows of the manifest that names it and of no others, so it is
//! granted a place only on top of what is published.

use sottovoce_crypto::statements::{Address, DeviceId, DeviceManifest, ManifestDevice, Verified};
use sottovoce_crypto::{AccessKey, LinkingOffer, NextManifestError, TrustedAccount, VerifiedAccount};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::error::InputError;
use crate::event::EventKind;
use crate::io::{Call, Refusal, Reply};
use crate::peers::Peer;
use crate::turn::{Purpose, Turn};

impl Engine {
    /// Whether this account has devices besides this one.
    pub(crate) fn has_other_devices(&self) -> bool {
        self.own.account().manifest().devices.len() > 1
    }

    /// Puts an offered device on the account's next manifest, and leaves it what it needs; first takes off
    /// the account what was to be linked before and has not joined.
    pub(crate) fn link_device(
        &mut self,
        offer: Box<LinkingOffer>,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        let device = offer.device();
        let newest = self.own.newest_manifest();
        let is_named = newest.identity_key(device.device_id) == Some(&device.identity_key);
        if is_named && self.own.linking() == [device.device_id] {
            // Offered again: the grant may have been lost.
            let newest = newest.clone();
            return self.leave_grant(&offer, &newest, turn);
        }
        if self.own.has_unused() {
            let without = self.next_manifest(&[], &[])?;
            if !self.own.linking().is_empty() {
                self.own.sign_next(without);
                turn.put("own".into(), self.own.to_record());
            }
            self.offered = Some(offer);
            self.maintain_own_account(turn);
            return Ok(());
        }
        let next = self.next_manifest(&[device], &[])?;
        self.leave_grant(&offer, &next, turn)?;
        self.own.sign_next(next);
        turn.put("own".into(), self.own.to_record());
        Ok(())
    }

    /// Leaves an offered device what it needs to join by this manifest.
    fn leave_grant(
        &self,
        offer: &LinkingOffer,
        manifest: &Verified<DeviceManifest>,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        if !self.online {
            return Err(InputError::Offline);
        }
        // The new device writes and is written to unseen from its first message on.
        let access_key = self.told_access_key().map(|key| key.to_secret_bytes());
        let data = access_key.as_ref().map_or(&[][..], |key| key.as_slice());
        let bindings = self.own.account().bindings();
        let grant = offer
            .seal_grant(turn.rng, manifest, bindings, data)
            .map_err(|_| InputError::NotLinkable)?;
        let request = v1::PutLinkingGrantRequest {
            device_id: offer.device().device_id.as_bytes().to_vec(),
            grant,
        };
        turn.call(Purpose::Grant, Call::PutLinkingGrant(request));
        Ok(())
    }

    /// Takes a device off the account. It hears nothing more, and the access key it knows is replaced.
    pub(crate) fn revoke_device(
        &mut self,
        device_id: DeviceId,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        if device_id == self.own.party.device_id {
            return Err(InputError::NoSuchDevice);
        }
        let next = self.next_manifest(&[], &[device_id])?;
        self.offered = None;
        self.own.sign_next(next);
        turn.put("own".into(), self.own.to_record());
        self.rotate_access_key(turn);
        self.maintain_own_account(turn);
        Ok(())
    }

    /// The manifest after the newest one that was signed, whoever has seen that, without those who have not
    /// joined by it.
    fn next_manifest(
        &self,
        added: &[ManifestDevice],
        revoked: &[DeviceId],
    ) -> Result<Verified<DeviceManifest>, InputError> {
        if !self.online {
            return Err(InputError::Offline);
        }
        let keys = self.own.account_keys().ok_or(InputError::NotPrimary)?;
        if self.own.has_signed_too_many() {
            return Err(InputError::Offline);
        }
        let mut gone = self.own.linking();
        for id in revoked {
            if !gone.contains(id) {
                gone.push(*id);
            }
        }
        let next = keys.next_manifest(self.own.newest_manifest(), added, &gone);
        next.map_err(|error| match error {
            NextManifestError::NoSuchDevice => InputError::NoSuchDevice,
            _ => InputError::NotLinkable,
        })
    }

    /// Carries on with a manifest that was signed and is not in use yet.
    pub(crate) fn maintain_own_account(&mut self, turn: &mut Turn<'_>) {
        let own = self.own.party.address.clone();
        let under_way = self.is_under_way(turn, |purpose| {
            matches!(purpose, Purpose::Manifest(_) | Purpose::Grant)
        });
        if !self.online || under_way {
            return;
        }
        match self.own.update() {
            Some(request) => {
                let version = self.own.newest_manifest().version;
                turn.call(Purpose::Manifest(version), Call::UpdateManifest(request));
            }
            None if self.own.has_unused() => self.fetch_account(&own, turn),
            None => {}
        }
    }

    pub(crate) fn manifest_answered(
        &mut self,
        version: u64,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        match answer {
            // Another was signed meanwhile, which takes this one along.
            Ok(_) if self.own.newest_manifest().version != version => self.maintain_own_account(turn),
            Ok(_) => {
                if let Some(account) = self.own.published() {
                    self.take_up_own(account, turn);
                }
            }
            Err(Refusal::Unavailable) => {} // again at the next tick
            Err(Refusal::Because(_)) => turn.event(EventKind::DeviceChangeFailed),
        }
    }

    pub(crate) fn grant_answered(&mut self, answer: &Result<Reply, Refusal>, turn: &mut Turn<'_>) {
        if answer.is_err() {
            turn.event(EventKind::DeviceChangeFailed);
        }
    }

    /// What the server shows of this account itself. Only this account's key makes a newer manifest, and
    /// the device that has it knows what it signed.
    pub(crate) fn own_account_shown(&mut self, shown: VerifiedAccount, turn: &mut Turn<'_>) {
        let mut known = TrustedAccount::trust_on_first_use(self.own.account().clone());
        let advanced = known.advance(&shown);
        let address = self.own.party.address.clone();
        if advanced.is_err() {
            return self.tell_conflict(&address, turn);
        }
        if shown.view() == self.own.view() {
            return;
        }
        if !self.own.may_have_signed(&shown) {
            let by = address.clone();
            return turn.event(EventKind::ManifestDisputed { address, by });
        }
        if shown.manifest().identity_key(self.own.party.device_id) != Some(&self.own.party.identity_key) {
            return turn.event(EventKind::Revoked);
        }
        self.take_up_own(shown, turn);
    }

    fn take_up_own(&mut self, account: VerifiedAccount, turn: &mut Turn<'_>) {
        let ids = |account: &VerifiedAccount| {
            let devices = account.manifest().devices.iter();
            devices.map(|device| device.device_id).collect::<Vec<_>>()
        };
        let (before, after) = (ids(self.own.account()), ids(&account));
        self.own.take_up(account.clone());
        turn.put("own".into(), self.own.to_record());
        self.know_own_devices(turn);
        if after.iter().any(|id| !before.contains(id)) {
            self.invite_own_devices(turn);
        }
        // A device that never joined was nobody's: taking it off is no change to tell.
        if before != after {
            turn.event(EventKind::DevicesChanged {
                added: after.iter().filter(|id| !before.contains(id)).copied().collect(),
                removed: before.iter().filter(|id| !after.contains(id)).copied().collect(),
            });
        }
        if let Some(offer) = self.offered.take_if(|_| !self.own.has_unused())
            && self.link_device(offer, turn).is_err()
        {
            turn.event(EventKind::DeviceChangeFailed);
        }
    }

    /// Keeps the own account among those that are written to: its other devices get copies.
    pub(crate) fn know_own_devices(&mut self, turn: &mut Turn<'_>) {
        if !self.has_other_devices() && !self.peers.contains_key(&self.own.party.address) {
            return;
        }
        let account = self.own.account().clone();
        let peer = self
            .peers
            .entry(self.own.party.address.clone())
            .or_insert_with(|| Peer::new(TrustedAccount::trust_on_first_use(account.clone())));
        peer.see(account);
        peer.persist(turn);
    }

    /// Another device of this account says which access key counts.
    pub(crate) fn note_own_access_key(&mut self, key: Option<AccessKey>, turn: &mut Turn<'_>) {
        if let Some(key) = key
            && self.told_access_key().as_ref() != Some(&key)
        {
            self.take_access_key(key, turn);
        }
    }

    /// Asks what the server shows of this account: another device may have changed it.
    pub(crate) fn look_at_own(&mut self, turn: &mut Turn<'_>) {
        self.maintain_own_account(turn);
        if self.has_other_devices() || !self.own.is_primary() {
            let own = self.own.party.address.clone();
            self.fetch_account(&own, turn);
        }
    }

    pub(crate) fn is_own(&self, address: &Address) -> bool {
        *address == self.own.party.address
    }
}
