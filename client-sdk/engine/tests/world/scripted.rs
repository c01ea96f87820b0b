//! Somebody who holds keys and does with them what no engine would: shows any manifest, begins any
//! session, sends anything. Plays the impostor, and the server that made him up.

use prost::Message;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    AccountKey, Address, DeviceBinding, DeviceId, DeviceManifest, IdentityKey, KemPrekeyRole, ManifestDevice,
    Signed, Statement, Verified,
};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, InitialMessage, KemPrekeyPair, OneTimePrekey, Party, PrekeyBundle,
    Prekeys, Session, SignedPrekeyPair, X3dhPrekeyBundle,
};
use sottovoce_proto::content::{Content, ManifestView, Text, content};
use sottovoce_proto::v1;

use super::{START, World, address};

pub(crate) struct Scripted {
    pub(crate) address: Address,
    pub(crate) account: AccountKeyPair,
    pub(crate) devices: Vec<(DeviceId, IdentityKeyPair)>,
    pub(crate) rng: ChaCha20Rng,
}

impl Scripted {
    /// Somebody of this name with these devices. The server knows nothing of it yet.
    pub(crate) fn new(seed: u64, name: &str, devices: &[DeviceId]) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let account = AccountKeyPair::generate(&mut rng);
        let devices = devices
            .iter()
            .map(|id| (*id, IdentityKeyPair::generate(&mut rng)))
            .collect();
        Self {
            address: address(name),
            account,
            devices,
            rng,
        }
    }

    pub(crate) fn party(&self) -> Party {
        let (device_id, identity) = &self.devices[0];
        Party {
            address: self.address.clone(),
            device_id: *device_id,
            account_key: self.account.public(),
            identity_key: identity.public(),
        }
    }

    pub(crate) fn manifest(
        &self,
        version: u64,
        previous: [u8; 32],
        devices: &[usize],
    ) -> Verified<DeviceManifest> {
        let devices = devices
            .iter()
            .map(|number| ManifestDevice {
                device_id: self.devices[*number].0,
                identity_key: self.devices[*number].1.public(),
            })
            .collect();
        self.account
            .sign_manifest(DeviceManifest {
                address: self.address.clone(),
                version,
                previous,
                devices,
            })
            .expect("a manifest can be signed")
            .verify(&self.account.public())
            .expect("signed by this key")
    }

    /// Has the server show this manifest. It does not yet take messages for these devices.
    pub(crate) fn show(&self, world: &mut World, manifest: &Verified<DeviceManifest>) {
        let bindings = manifest
            .devices
            .iter()
            .map(|device| {
                let (device_id, identity) = self.device(device.device_id);
                let binding = DeviceBinding {
                    account_key: self.account.public(),
                    address: self.address.clone(),
                    device_id: *device_id,
                };
                wire(&identity.sign_binding(binding).expect("a binding can be signed"))
            })
            .collect();
        let account = v1::GetAccountResponse {
            account_key: self.account.public().as_bytes().to_vec(),
            manifest: Some(wire(manifest.signed())),
            bindings,
        };
        world.server.accounts.insert(self.address.to_string(), account);
    }

    /// Has the server take messages for exactly these devices, with a signed prekey and a KEM prekey of
    /// last resort for each.
    pub(crate) fn serve(
        &mut self,
        world: &mut World,
        devices: &[usize],
    ) -> Vec<(SignedPrekeyPair, KemPrekeyPair)> {
        world
            .server
            .devices
            .retain(|_, device| device.address != self.address.to_string());
        let mut prekeys = Vec::new();
        for number in devices {
            let (device_id, identity) = &self.devices[*number];
            let prekey = SignedPrekeyPair::generate(&mut self.rng, identity, *device_id, 1, START)
                .expect("a prekey can be signed");
            let role = KemPrekeyRole::LastResort;
            let kem_prekey = KemPrekeyPair::generate(&mut self.rng, identity, *device_id, role, 1, START)
                .expect("a prekey can be signed");
            let device = world.server.devices.entry(*device_id).or_default();
            device.address = self.address.to_string();
            device.signed_prekey = Some(wire(prekey.statement()));
            device.last_resort_kem = Some(wire(kem_prekey.statement()));
            prekeys.push((prekey, kem_prekey));
        }
        prekeys
    }

    /// Takes up a session that was begun with the first device, from what [`serve`](Self::serve) made.
    pub(crate) fn accept(
        &self,
        them: &Party,
        (signed_prekey, kem_prekey): &(SignedPrekeyPair, KemPrekeyPair),
        initial: &InitialMessage,
    ) -> Session {
        let prekeys = Prekeys {
            signed_prekey,
            one_time_prekey: None,
            kem_prekey,
        };
        let us = self.party();
        Session::accept(START, &self.devices[0].1, &us, them, &prekeys, initial)
            .expect("what was meant for it")
            .0
    }

    /// Begins a session with somebody's device, with one-time prekeys or without.
    pub(crate) fn begin(&mut self, world: &mut World, them: &Party, one_time: bool) -> Session {
        let bundle = bundle_of(world, them, one_time);
        let us = self.party();
        let identity = &self.devices[0].1;
        Session::initiate(&mut self.rng, world.now, identity, &us, them, &bundle).expect("a session begins")
    }

    /// Begins a session by plain X3DH, as no engine does.
    pub(crate) fn begin_x3dh(&mut self, world: &mut World, them: &Party) -> Session {
        let bundle = bundle_of(world, them, true);
        let bundle = X3dhPrekeyBundle {
            signed_prekey: bundle.signed_prekey,
            one_time_prekey: bundle.one_time_prekey,
        };
        let (us, identity) = (self.party(), &self.devices[0].1);
        Session::initiate_x3dh(&mut self.rng, world.now, identity, &us, them, &bundle)
            .expect("a session begins")
    }

    /// Has the server deliver these bytes, encrypted in this session, as from the first device.
    pub(crate) fn deliver(&mut self, world: &mut World, to: &Party, session: &mut Session, plaintext: &[u8]) {
        let ciphertext = session
            .encrypt(&mut self.rng, world.now, plaintext)
            .expect("it can be encrypted");
        let envelope = self.envelope(ciphertext);
        world.server.inject(to.device_id, envelope);
    }

    pub(crate) fn envelope(&self, ciphertext: Vec<u8>) -> v1::Envelope {
        v1::Envelope {
            envelope_id: Vec::new(),
            sender: self.address.to_string(),
            sender_device_id: self.devices[0].0.as_bytes().to_vec(),
            ciphertext,
            received_at_ms: START,
            ..Default::default()
        }
    }

    fn device(&self, id: DeviceId) -> &(DeviceId, IdentityKeyPair) {
        self.devices
            .iter()
            .find(|(device_id, _)| *device_id == id)
            .expect("one of ours")
    }
}

/// A message as an engine would have it, from and to whoever the server shows.
pub(crate) fn words(world: &World, from: &Address, to: &Address, sequence: u64, text: &str) -> Vec<u8> {
    let view = |address: &Address| {
        let manifest = manifest_of(world, address);
        Some(ManifestView {
            version: manifest.version,
            hash: manifest.hash().to_vec(),
        })
    };
    let content = Content {
        message_id: vec![7; 16],
        sent_at_ms: START,
        sender_manifest: view(from),
        recipient_manifest: view(to),
        sequence,
        body: Some(content::Body::Text(Text { body: text.into() })),
        ..Default::default()
    };
    content.encode_to_vec()
}

/// Somebody's only device, as the server shows it.
pub(crate) fn party_of(world: &World, name: &str) -> Party {
    let manifest = manifest_of(world, &address(name));
    let shown = &world.server.accounts[&address(name).to_string()];
    Party {
        address: manifest.address.clone(),
        device_id: manifest.devices[0].device_id,
        account_key: AccountKey::from_slice(&shown.account_key).expect("a key"),
        identity_key: manifest.devices[0].identity_key,
    }
}

pub(crate) fn wire<S: Statement>(signed: &Signed<S>) -> v1::SignedStatement {
    v1::SignedStatement {
        statement: signed.statement_bytes().to_vec(),
        signature: signed.signature_bytes().to_vec(),
    }
}

fn manifest_of(world: &World, address: &Address) -> Verified<DeviceManifest> {
    let shown = &world.server.accounts[&address.to_string()];
    let key = AccountKey::from_slice(&shown.account_key).expect("a key");
    let signed = shown.manifest.as_ref().expect("a manifest");
    Signed::from_parts(&signed.statement, &signed.signature)
        .expect("well-formed")
        .verify(&key)
        .expect("signed")
}

fn bundle_of(world: &mut World, them: &Party, one_time: bool) -> PrekeyBundle {
    let device = world
        .server
        .devices
        .get_mut(&them.device_id)
        .expect("a known device");
    let signed = device.signed_prekey.clone().expect("a signed prekey");
    let (prekey, one_time_kem) = if one_time {
        (device.one_time.pop_front(), device.one_time_kem.pop_front())
    } else {
        (None, None)
    };
    let kem = one_time_kem.or_else(|| device.last_resort_kem.clone());
    PrekeyBundle {
        signed_prekey: verified(&signed, them),
        kem_prekey: verified(&kem.expect("a KEM prekey"), them),
        one_time_prekey: prekey.map(|prekey| OneTimePrekey {
            id: prekey.id,
            key: sottovoce_crypto::statements::X25519Key::from_slice(&prekey.public_key).expect("a key"),
        }),
    }
}

fn verified<S>(signed: &v1::SignedStatement, by: &Party) -> Verified<S>
where
    S: Statement<Signer = IdentityKey>,
{
    Signed::from_parts(&signed.statement, &signed.signature)
        .expect("well-formed")
        .verify(&by.identity_key)
        .expect("signed")
}
