//! Writing unseen: who has told us their access key gets sealed envelopes, on a connection that says
//! nothing of us; who has not, a message request by name (`crypto/SPEC.md` 14.11).

use prost::Message;
use sottovoce_crypto::statements::Address;
use sottovoce_crypto::{AccessKey, EnvelopeSender, Party, seal_envelope};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::event::EventKind;
use crate::io::Call;
use crate::peers::Peer;
use crate::records::RecordError;
use crate::turn::{Presented, Turn};

/// An encrypted message as the server is to have it. Every repeat sends these very bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Encrypted {
    /// By name.
    Open(v1::SendRequest),
    /// Sealed, with the recipient's access key.
    Sealed(v1::SendSealedRequest),
}

impl Encrypted {
    pub(crate) fn into_call(self) -> Call {
        match self {
            Self::Open(request) => Call::Send(request),
            Self::Sealed(request) => Call::SendSealed(request),
        }
    }

    pub(crate) fn messages(&self) -> &[v1::DeviceMessage] {
        match self {
            Self::Open(request) => &request.messages,
            Self::Sealed(request) => &request.messages,
        }
    }

    /// The access key it presents; none where it goes by name.
    pub(crate) fn presented(&self) -> Presented {
        match self {
            Self::Open(_) => Presented(None),
            Self::Sealed(request) => Presented::from_field(&request.access_key),
        }
    }

    /// The two fields of its record: one of them is empty.
    pub(crate) fn to_fields(this: Option<&Self>) -> [Vec<u8>; 2] {
        match this {
            None => [Vec::new(), Vec::new()],
            Some(Self::Open(request)) => [request.encode_to_vec(), Vec::new()],
            Some(Self::Sealed(request)) => [Vec::new(), request.encode_to_vec()],
        }
    }

    pub(crate) fn from_fields(open: &[u8], sealed: &[u8]) -> Result<Option<Self>, RecordError> {
        match (open, sealed) {
            ([], []) => Ok(None),
            (open, []) => Ok(Some(Self::Open(
                v1::SendRequest::decode(open).map_err(|_| RecordError)?,
            ))),
            ([], sealed) => Ok(Some(Self::Sealed(
                v1::SendSealedRequest::decode(sealed).map_err(|_| RecordError)?,
            ))),
            _ => Err(RecordError),
        }
    }
}

impl Peer {
    /// The access key to present for this peer: none where it has told us none.
    pub(crate) fn presented(&self) -> Presented {
        Presented(self.access_key.clone())
    }
}

impl Engine {
    /// The access key to present for an address.
    pub(crate) fn presented(&self, address: &Address) -> Presented {
        let peer = self.peers.get(address);
        peer.map_or(Presented(None), Peer::presented)
    }

    /// Seals a session message to one device. `None` should it not fit, which no session message does.
    pub(crate) fn seal(&self, them: &Party, ciphertext: &[u8], turn: &mut Turn<'_>) -> Option<Vec<u8>> {
        let view = self.own.view();
        let sender = EnvelopeSender {
            address: self.own.party.address.clone(),
            device_id: self.own.party.device_id,
            manifest_version: view.version,
            manifest_hash: view.hash,
        };
        seal_envelope(turn.rng, &sender, them, ciphertext).ok()
    }

    /// The server refused the access key that was presented for an address: what waits goes by name, once
    /// the user was told, unless another key has come meanwhile. Of a call that presented none it is no
    /// answer, and what waits is tried again with the next chance.
    pub(crate) fn access_denied(&mut self, address: &Address, presented: &Presented, turn: &mut Turn<'_>) {
        if presented.0.is_none() {
            return;
        }
        if let Some(peer) = self.peers.get_mut(address)
            && peer.presented() == *presented
        {
            peer.access_key = None;
            peer.persist(turn);
            turn.event(EventKind::SealedRefused {
                address: address.clone(),
            });
        }
        // What is under way gets its own answer, and perhaps was taken; what goes by name, or with another
        // key, was not refused.
        let head = self.outbox.head(address).and_then(|head| head.encrypted.as_ref());
        let refused = head.is_some_and(|encrypted| encrypted.presented() == *presented);
        if refused && !self.busy.contains(address) {
            self.discard_encrypted(address, turn);
        }
        self.advance(address, turn);
    }

    /// The message has authenticated: the key in it is how the sender wants to be written to.
    pub(crate) fn note_access_key(&mut self, from: &Address, key: Option<AccessKey>, turn: &mut Turn<'_>) {
        if self.is_own(from) {
            // Copies go by name: a sealed send is for every device of an account, this one included.
            return self.note_own_access_key(key, turn);
        }
        if let (Some(peer), Some(key)) = (self.peers.get_mut(from), key)
            && peer.access_key.as_ref() != Some(&key)
        {
            peer.access_key = Some(key);
            peer.persist(turn);
        }
    }
}
