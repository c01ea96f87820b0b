//! Who talks, and how they come to.

use rand_chacha::ChaCha20Rng;
use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole, Signed, SignedPrekey};
use sottovoce_crypto::{
    AccountKeyPair, Decrypted, IdentityKeyPair, InitialMessage, KemPrekeyPair, OneTimePrekeyPair, Party,
    PrekeyBundle, Prekeys, Session, SignedPrekeyPair, Suite, X3dhPrekeyBundle, X3dhPrekeys,
};

/// The one who writes first.
pub(crate) struct Alice {
    party: Party,
    identity: IdentityKeyPair,
}

/// The one who was away, and left prekeys.
pub(crate) struct Bob {
    party: Party,
    identity: IdentityKeyPair,
    pub(crate) signed_prekey: SignedPrekeyPair,
    pub(crate) one_time_prekey: OneTimePrekeyPair,
    pub(crate) kem_prekeys: [KemPrekeyPair; 2],
}

pub(crate) fn people(rng: &mut ChaCha20Rng, now_ms: u64) -> (Alice, Bob) {
    let (party, identity) = device(rng, "alice@one.example", 1);
    let alice = Alice { party, identity };
    let (party, identity) = device(rng, "bob@two.example", 2);
    let id = party.device_id;
    let roles = [(KemPrekeyRole::LastResort, 1), (KemPrekeyRole::OneTime, 2)];
    let bob = Bob {
        signed_prekey: SignedPrekeyPair::generate(rng, &identity, id, 1, now_ms).unwrap(),
        one_time_prekey: OneTimePrekeyPair::generate(rng, 1),
        kem_prekeys: roles
            .map(|(role, number)| KemPrekeyPair::generate(rng, &identity, id, role, number, now_ms).unwrap()),
        party,
        identity,
    };
    (alice, bob)
}

impl Alice {
    /// Begins a session with Bob; the lowest bits of `seed` choose the suite and the prekeys.
    pub(crate) fn begin(&self, rng: &mut ChaCha20Rng, now_ms: u64, bob: &Bob, seed: u8) -> Session {
        let us = (&self.identity, &self.party);
        let them = &bob.party;
        let statement: Signed<SignedPrekey> = bob.signed_prekey.statement().clone();
        let signed_prekey = statement.verify(&them.identity_key).unwrap();
        let one_time_prekey = (seed & 2 == 0).then(|| bob.one_time_prekey.public());
        let session = if seed & 1 == 0 {
            let [last_resort, one_time] = &bob.kem_prekeys;
            let kem_prekey = if seed & 4 == 0 { one_time } else { last_resort };
            let bundle = PrekeyBundle {
                signed_prekey,
                one_time_prekey,
                kem_prekey: kem_prekey.statement().clone().verify(&them.identity_key).unwrap(),
            };
            Session::initiate(rng, now_ms, us.0, us.1, them, &bundle)
        } else {
            let bundle = X3dhPrekeyBundle {
                signed_prekey,
                one_time_prekey,
            };
            Session::initiate_x3dh(rng, now_ms, us.0, us.1, them, &bundle)
        };
        session.unwrap()
    }
}

impl Bob {
    /// Takes up a session with the prekeys that the message names, if he has them.
    pub(crate) fn accept(
        &self,
        now_ms: u64,
        alice: &Alice,
        message: &InitialMessage,
    ) -> Option<(Session, Decrypted)> {
        let us = (&self.identity, &self.party);
        let them = &alice.party;
        let signed_prekey = &self.signed_prekey;
        let one_time_prekey = message.one_time_prekey_id().map(|_| &self.one_time_prekey);
        let accepted = if message.suite() == Suite::X3dh {
            let prekeys = X3dhPrekeys {
                signed_prekey,
                one_time_prekey,
            };
            Session::accept_x3dh(now_ms, us.0, us.1, them, &prekeys, message)
        } else {
            let named = Some(message.kem_prekey_id().unwrap());
            let prekeys = Prekeys {
                signed_prekey,
                one_time_prekey,
                kem_prekey: self
                    .kem_prekeys
                    .iter()
                    .find(|prekey| Some(prekey.id()) == named)?,
            };
            Session::accept(now_ms, us.0, us.1, them, &prekeys, message)
        };
        accepted.ok()
    }
}

fn device(rng: &mut ChaCha20Rng, address: &str, device: u8) -> (Party, IdentityKeyPair) {
    let identity = IdentityKeyPair::generate(rng);
    let party = Party {
        address: Address::parse(address).unwrap(),
        device_id: DeviceId::from_bytes([device; 16]),
        account_key: AccountKeyPair::generate(rng).public(),
        identity_key: identity.public(),
    };
    (party, identity)
}
