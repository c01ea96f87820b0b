//! Devices and what they keep, written to the files and read back from them.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    AccountKey, Address, DeviceId, IdentityKey, KemPrekey, KemPrekeyRole, Signed, SignedPrekey, Statement,
    X25519Key,
};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekey, OneTimePrekeyPair, Party, SignedPrekeyPair,
};

use super::by_hand::{identity_x25519, x25519_public};
use super::draws::Draws;
use super::json::{array, bytes, hex, number, text};

/// When everything begins, Unix time in milliseconds.
pub(crate) const NOW: u64 = 1_800_000_000_000;

/// A device with prekeys of every kind.
pub(crate) struct Device {
    pub(crate) account: AccountKeyPair,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) party: Party,
    pub(crate) signed_prekey: SignedPrekeyPair,
    pub(crate) one_time_prekey: OneTimePrekeyPair,
    pub(crate) kem_prekey: KemPrekeyPair,
    pub(crate) last_resort: KemPrekeyPair,
}

impl Device {
    pub(crate) fn new(draws: &mut Draws, address: &str, device: u8) -> Self {
        let account = AccountKeyPair::generate(draws);
        let identity = IdentityKeyPair::generate(draws);
        let device_id = DeviceId::from_bytes([device; 16]);
        let party = Party {
            address: Address::parse(address).unwrap(),
            device_id,
            account_key: account.public(),
            identity_key: identity.public(),
        };
        let signed_prekey = SignedPrekeyPair::generate(draws, &identity, device_id, 11, NOW).unwrap();
        let one_time_prekey = OneTimePrekeyPair::generate(draws, 22);
        let mut kem = |role, id| KemPrekeyPair::generate(draws, &identity, device_id, role, id, NOW).unwrap();
        let last_resort = kem(KemPrekeyRole::LastResort, 33);
        let kem_prekey = kem(KemPrekeyRole::OneTime, 44);
        // Everything drawn is in the keys.
        draws.drawn();
        Self {
            account,
            identity,
            party,
            signed_prekey,
            one_time_prekey,
            kem_prekey,
            last_resort,
        }
    }

    /// Who the device is, secrets included.
    pub(crate) fn json(&self) -> Value {
        let mut person = party_json(&self.party);
        let secret = self.identity.to_secret_bytes();
        person["account secret"] = hex(*self.account.to_secret_bytes());
        person["identity secret"] = hex(*secret);
        person["identity secret, X25519"] = hex(identity_x25519(&secret));
        person["identity key, X25519"] = hex(x25519_public(&identity_x25519(&secret)));
        person
    }
}

pub(crate) fn party_json(party: &Party) -> Value {
    json!({
        "address": party.address.as_str(),
        "device id": hex(party.device_id.as_bytes()),
        "account key": hex(party.account_key.as_bytes()),
        "identity key": hex(party.identity_key.as_bytes()),
    })
}

pub(crate) fn party(value: &Value) -> Party {
    Party {
        address: Address::parse(text(&value["address"])).unwrap(),
        device_id: DeviceId::from_slice(&bytes(&value["device id"])).unwrap(),
        account_key: AccountKey::from_slice(&bytes(&value["account key"])).unwrap(),
        identity_key: IdentityKey::from_slice(&bytes(&value["identity key"])).unwrap(),
    }
}

pub(crate) fn identity(value: &Value) -> IdentityKeyPair {
    IdentityKeyPair::from_secret_bytes(&array(&value["identity secret"])).unwrap()
}

/// A statement and its signature, and whose it is by its own word.
pub(crate) fn signed_json<S: Statement>(signed: &Signed<S>) -> Value {
    json!({
        "statement": hex(signed.statement_bytes()),
        "signature": hex(signed.signature_bytes()),
    })
}

pub(crate) fn signed<S: Statement>(value: &Value) -> Signed<S> {
    Signed::from_parts(&bytes(&value["statement"]), &bytes(&value["signature"])).unwrap()
}

pub(crate) fn signed_prekey_json(prekey: &SignedPrekeyPair) -> Value {
    let mut json = signed_json(prekey.statement());
    let stored = prekey.to_bytes();
    json["id"] = prekey.id().into();
    json["created at, ms"] = prekey.created_at_ms().into();
    json["secret"] = hex(&stored[2..34]);
    json["key"] = hex(prekey.statement().claimed().key.as_bytes());
    json["stored"] = hex(&*stored);
    json
}

pub(crate) fn one_time_prekey_json(prekey: &OneTimePrekeyPair) -> Value {
    let stored = prekey.to_bytes();
    json!({
        "id": prekey.id(),
        "secret": hex(&stored[6..]),
        "key": hex(prekey.public().key.as_bytes()),
        "stored": hex(&*stored),
    })
}

pub(crate) fn kem_prekey_json(prekey: &KemPrekeyPair) -> Value {
    let mut json = signed_json(prekey.statement());
    let stored = prekey.to_bytes();
    json["id"] = prekey.id().into();
    json["role"] = match prekey.role() {
        KemPrekeyRole::LastResort => "last resort",
        KemPrekeyRole::OneTime => "one-time",
    }
    .into();
    json["created at, ms"] = prekey.created_at_ms().into();
    json["seed d, z"] = hex(&stored[2..66]);
    json["key"] = hex(prekey.statement().claimed().key.as_bytes());
    json["stored"] = hex(&*stored);
    json
}

/// A prekey as it is handed out, checked under the key of the device that should have signed it.
pub(crate) fn verified_signed_prekey(
    value: &Value,
    key: &IdentityKey,
) -> sottovoce_crypto::statements::Verified<SignedPrekey> {
    signed::<SignedPrekey>(value).verify(key).unwrap()
}

pub(crate) fn verified_kem_prekey(
    value: &Value,
    key: &IdentityKey,
) -> sottovoce_crypto::statements::Verified<KemPrekey> {
    signed::<KemPrekey>(value).verify(key).unwrap()
}

pub(crate) fn one_time_prekey(value: &Value) -> OneTimePrekey {
    OneTimePrekey {
        id: u32::try_from(number(&value["id"])).unwrap(),
        key: X25519Key::from_slice(&bytes(&value["key"])).unwrap(),
    }
}
