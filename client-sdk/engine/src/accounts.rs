//! What the server shows of accounts, and what is made of it: believed, fetched again, or told.

use sottovoce_crypto::statements::{AccountKey, Address};
use sottovoce_crypto::{TrustedAccount, VerifiedAccount};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::error::InputError;
use crate::event::{EventKind, SendFailure};
use crate::io::{Call, Refusal, Reply};
use crate::peers::{Peer, Shown, peer_key};
use crate::turn::{Presented, Purpose, Turn};
use crate::wire;

/// How often an address with a changed account key is looked up again.
const LOOK_AGAIN_MS: u64 = 10 * 60 * 1000;

impl Engine {
    pub(crate) fn account_answered(
        &mut self,
        address: &Address,
        presented: &Presented,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        self.fetching.remove(address);
        match answer {
            Ok(Reply::Account(shown)) => match wire::verify_account(address, &shown) {
                Ok(account) if self.is_own(address) => self.own_account_shown(account, turn),
                Ok(account) => self.account_shown(address, account, turn),
                Err(wire::NotVerified) => {
                    self.tell_conflict(address, turn);
                    self.account_not_to_be_had(address, SendFailure::RecipientNotVerified, turn);
                }
            },
            Err(Refusal::Because(
                v1::ErrorReason::AccountUnknown
                | v1::ErrorReason::ServerNotLocal
                | v1::ErrorReason::FieldInvalid,
            )) => self.account_not_to_be_had(address, SendFailure::NoSuchAccount, turn),
            Err(Refusal::Because(v1::ErrorReason::AccessDenied)) if presented.0.is_some() => {
                self.access_denied(address, presented, turn);
                // Whoever waits for this account is answered by name, or with the key that has come since.
                self.fetch_account(address, turn);
            }
            _ => {}
        }
        if self.is_own(address) {
            self.advance(address, turn);
            self.account_refreshed(address, turn);
            return;
        }
        self.drive_channels(turn);
        let unneeded = self.peers.get(address).is_some_and(|peer| !peer.pinned)
            && self.outbox.head(address).is_none()
            && !self.inbox.waits_for(address)
            && !self.channels_need(address);
        if unneeded {
            self.peers.remove(address);
            self.sessions.forget(address, turn);
        }
    }

    fn account_shown(&mut self, address: &Address, account: VerifiedAccount, turn: &mut Turn<'_>) {
        let peer = self
            .peers
            .entry(address.clone())
            .or_insert_with(|| Peer::new(TrustedAccount::trust_on_first_use(account.clone())));
        let shown = peer.see(account);
        if peer.pinned && shown != Shown::Same {
            peer.persist(turn);
        }
        // Where the peer speaks of a newer manifest than it is shown with, the server keeps it back.
        let kept_back = std::mem::take(&mut peer.claimed) > peer.account.manifest().version;
        let proposed = peer.proposed.as_ref().map(|proposed| *proposed.account_key());
        match (shown, proposed) {
            (Shown::KeyChanged, Some(account_key)) => {
                turn.event(EventKind::AccountKeyChanged {
                    address: address.clone(),
                    account_key,
                });
            }
            (Shown::Conflict, _) => self.tell_conflict(address, turn),
            _ if kept_back => self.tell_conflict(address, turn),
            _ => {}
        }
        self.advance(address, turn);
        self.account_refreshed(address, turn);
    }

    fn account_not_to_be_had(&mut self, address: &Address, reason: SendFailure, turn: &mut Turn<'_>) {
        self.fail_all(address, reason, turn);
        self.account_refreshed(address, turn);
    }

    /// Tells of a contradiction, unless the app has stopped listening: a server can go on for ever.
    pub(crate) fn tell_conflict(&self, address: &Address, turn: &mut Turn<'_>) {
        if !self.app_is_behind(turn) {
            turn.event(EventKind::ManifestConflict {
                address: address.clone(),
            });
        }
    }

    /// Looks again at addresses whose changed account key waits for the user: it may have been a lie, and
    /// be over.
    pub(crate) fn look_again(&mut self, turn: &mut Turn<'_>) {
        if turn.now.saturating_sub(self.looked_again_at) < LOOK_AGAIN_MS {
            return;
        }
        self.looked_again_at = turn.now;
        let held: Vec<Address> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.proposed.is_some())
            .map(|(address, _)| address.clone())
            .collect();
        for address in held {
            self.fetch_account(&address, turn);
        }
    }

    /// Asks for an account, unless that is under way.
    pub(crate) fn fetch_account(&mut self, address: &Address, turn: &mut Turn<'_>) {
        if self.online && self.fetching.insert(address.clone()) {
            let presented = self.presented(address);
            let request = v1::GetAccountRequest {
                address: address.to_string(),
                access_key: presented.to_field(),
            };
            turn.call(
                Purpose::Account(address.clone(), presented),
                Call::GetAccount(request),
            );
        }
    }

    pub(crate) fn accept_account_key(
        &mut self,
        address: &Address,
        account_key: &AccountKey,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        let peer = self.peers.get_mut(address).ok_or(InputError::NoSuchAccountKey)?;
        if !peer.accept(account_key) {
            return Err(InputError::NoSuchAccountKey);
        }
        peer.persist(turn);
        self.sessions.forget(address, turn);
        // After a rejection what was encrypted is still right, and perhaps taken: it goes out as it is.
        if self.outbox.head(address).is_some_and(|head| head.cancelled) {
            self.drop_cancelled(address, turn);
        } else {
            self.discard_encrypted(address, turn);
        }
        self.key_decided(address, turn);
        Ok(())
    }

    pub(crate) fn reject_account_key(
        &mut self,
        address: &Address,
        account_key: &AccountKey,
        turn: &mut Turn<'_>,
    ) -> Result<(), InputError> {
        let peer = self.peers.get_mut(address).ok_or(InputError::NoSuchAccountKey)?;
        if !peer.reject(account_key) {
            return Err(InputError::NoSuchAccountKey);
        }
        peer.persist(turn);
        self.key_decided(address, turn);
        Ok(())
    }

    /// Goes on with an address under the account that is trusted now.
    fn key_decided(&mut self, address: &Address, turn: &mut Turn<'_>) {
        // Answers to what was asked under the other state would be taken for answers to this one.
        self.abandon_calls(address);
        self.advance(address, turn);
        self.account_refreshed(address, turn);
    }
}

impl Peer {
    /// From now on this address is this account, across restarts.
    pub(crate) fn persist(&mut self, turn: &mut Turn<'_>) {
        self.pinned = true;
        turn.put(peer_key(self.account.address()), self.to_record());
    }
}
