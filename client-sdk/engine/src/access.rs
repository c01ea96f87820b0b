//! The account's own access key: made with the account, its hash kept by the server, told in messages to
//! those we write to, and replaced to shut somebody out (`crypto/SPEC.md` 14.8 to 14.11).

use sottovoce_crypto::AccessKey;
use sottovoce_crypto::statements::Address;
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::io::{Call, Refusal, Reply};
use crate::records::{RecordError, pack, unpack};
use crate::turn::{Purpose, Turn};

pub(crate) const ACCESS_KEY: &str = "access-key";

/// Our access key, and whether others can use it yet.
pub(crate) struct OwnAccess {
    key: AccessKey,
    /// Whether the server has its hash. Until then nobody is told the key: it would be refused.
    set: bool,
    /// Whether the server refused it on this connection: asked again on the next.
    refused: bool,
}

impl OwnAccess {
    fn new(key: AccessKey) -> Self {
        Self {
            key,
            set: false,
            refused: false,
        }
    }

    fn put(&self, turn: &mut Turn<'_>) {
        let record = pack(&[&self.key.to_bytes(), &[u8::from(self.set)]]);
        turn.put(ACCESS_KEY.into(), record);
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [key, [set]] = fields.as_slice() else {
            return Err(RecordError);
        };
        Ok(Self {
            key: AccessKey::from_bytes(key).map_err(|_| RecordError)?,
            set: *set == 1,
            refused: false,
        })
    }
}

impl Engine {
    /// The access key to tell those we write to.
    pub(crate) fn told_access_key(&self) -> Option<AccessKey> {
        let access = self.access.as_ref().filter(|access| access.set);
        access.map(|access| access.key.clone())
    }

    /// Sees to it that there is a key and that the server has its hash.
    pub(crate) fn maintain_access_key(&mut self, turn: &mut Turn<'_>) {
        if self.access.is_none() {
            self.rotate_access_key(turn);
        }
        let under_way = self.is_under_way(turn, |purpose| matches!(purpose, Purpose::AccessKey(_)));
        let Some(access) = self
            .access
            .as_ref()
            .filter(|access| !access.set && !access.refused)
        else {
            return;
        };
        if self.online && !under_way {
            let request = v1::SetAccessKeyRequest {
                access_key_hash: access.key.hash().as_bytes().to_vec(),
            };
            turn.call(
                Purpose::AccessKey(access.key.clone()),
                Call::SetAccessKey(request),
            );
        }
    }

    /// Draws another key. Nobody is told it before the server refuses the one before.
    pub(crate) fn rotate_access_key(&mut self, turn: &mut Turn<'_>) {
        let access = OwnAccess::new(AccessKey::generate(turn.rng));
        access.put(turn);
        self.access = Some(access);
    }

    /// Another device of this account has drawn a key and the server has it, or this one was told of it
    /// when it was linked.
    pub(crate) fn take_access_key(&mut self, key: AccessKey, turn: &mut Turn<'_>) {
        let mut access = OwnAccess::new(key);
        access.set = true;
        access.put(turn);
        self.access = Some(access);
    }

    pub(crate) fn access_key_answered(
        &mut self,
        key: &AccessKey,
        answer: Result<Reply, Refusal>,
        turn: &mut Turn<'_>,
    ) {
        let Some(access) = self.access.as_mut().filter(|access| access.key == *key) else {
            return self.maintain_access_key(turn); // another one was drawn meanwhile
        };
        match answer {
            Ok(_) => {
                access.set = true;
                access.put(turn);
            }
            Err(Refusal::Because(_)) => access.refused = true,
            Err(Refusal::Unavailable) => {}
        }
    }

    pub(crate) fn access_reconnected(&mut self) {
        if let Some(access) = &mut self.access {
            access.refused = false;
        }
    }

    /// Blocks an address, or not any more. Who is newly blocked loses the key.
    pub(crate) fn block(&mut self, address: &Address, blocked: bool, turn: &mut Turn<'_>) {
        let key = format!("blocked/{address}");
        if !blocked {
            self.blocked.remove(address);
            turn.delete(key);
        } else if self.blocked.insert(address.clone()) {
            turn.put(key, pack(&[]));
            self.rotate_access_key(turn);
            self.maintain_access_key(turn);
        }
    }
}
