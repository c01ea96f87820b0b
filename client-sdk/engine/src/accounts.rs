//! What the server shows of accounts, and what is made of it: believed, fetched again, or told.

use sottovoce_crypto::statements::{AccountKey, Address};
use sottovoce_proto::v1;

use crate::engine::{Engine, InputError};
use crate::event::EventKind;
use crate::io::{Call, Refusal, Reply};
use crate::peers::{Peer, Shown, peer_key};
use crate::turn::{Purpose, Turn};
use crate::wire;

impl Engine {
    pub(crate) fn account_answered(
        &mut self,
        address: &Address,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        self.fetching.remove(address);
        match answer {
            Ok(Reply::Account(shown)) => match wire::verify_account(address, &shown) {
                Ok(account) => self.account_shown(address, account, turn),
                Err(wire::NotVerified) => self.account_not_to_be_had(address, true, turn),
            },
            Err(Refusal::Because(
                v1::ErrorReason::AccountUnknown
                | v1::ErrorReason::ServerNotLocal
                | v1::ErrorReason::FieldInvalid,
            )) => self.account_not_to_be_had(address, false, turn),
            _ => {}
        }
        let unneeded = self.peers.get(address).is_some_and(|peer| !peer.pinned)
            && self.outbox.head(address).is_none()
            && !self.inbox.waits_for(address);
        if unneeded {
            self.peers.remove(address);
        }
    }

    fn account_shown(&mut self, address: &Address, account: wire::VerifiedAccount, turn: &mut Turn<'_>) {
        let peer = self
            .peers
            .entry(address.clone())
            .or_insert_with(|| Peer::new(account.clone()));
        match peer.see(account) {
            Shown::Same => {}
            Shown::Newer => peer.persist(turn),
            Shown::KeyChanged => {
                peer.persist(turn);
                let account_key = peer
                    .proposed
                    .as_ref()
                    .map_or(peer.account.key, |proposed| proposed.key);
                turn.event(EventKind::AccountKeyChanged {
                    address: address.clone(),
                    account_key,
                });
            }
            Shown::Conflict => turn.event(EventKind::ManifestConflict {
                address: address.clone(),
            }),
        }
        if std::mem::take(&mut peer.claimed) > peer.account.manifest.version {
            // The peer has a newer manifest and the server keeps it to itself.
            turn.event(EventKind::ManifestConflict {
                address: address.clone(),
            });
        }
        self.advance(address, turn);
        self.account_refreshed(address, turn);
    }

    fn account_not_to_be_had(&mut self, address: &Address, forged: bool, turn: &mut Turn<'_>) {
        if forged {
            turn.event(EventKind::ManifestConflict {
                address: address.clone(),
            });
        }
        self.fail_all(address, forged, turn);
        self.account_refreshed(address, turn);
    }

    /// Asks for an account, unless that is under way.
    pub(crate) fn fetch_account(&mut self, address: &Address, turn: &mut Turn<'_>) {
        if self.online && self.fetching.insert(address.clone()) {
            let request = v1::GetAccountRequest {
                address: address.to_string(),
            };
            turn.call(Purpose::Account(address.clone()), Call::GetAccount(request));
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
        self.discard_encrypted(address, turn);
        self.advance(address, turn);
        self.drive_inbox(turn);
        Ok(())
    }
}

impl Peer {
    /// From now on this address is this account, across restarts.
    pub(crate) fn persist(&mut self, turn: &mut Turn<'_>) {
        self.pinned = true;
        turn.put(peer_key(&self.account.manifest.address), self.to_record());
    }
}
