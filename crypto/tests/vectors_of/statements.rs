//! Signed statements of every purpose, and what is none.

use serde_json::{Value, json};
use sottovoce_crypto::IdentityKeyPair;
use sottovoce_crypto::statements::{
    AccountDeletion, AuthChallenge, DeviceBinding, DeviceId, DeviceManifest, KemPrekey, KemPrekeyRole,
    ManifestDevice, ServerName, Signed, SignedPrekey, SigningKeyKind, Statement, Verified,
};

use super::draws::Draws;
use super::json::{array, bytes, hex, list, text};
use super::people::{Device, NOW, signed_json};
use super::statement_refusals;

/// Everything here is about one account with two devices.
pub(crate) struct Signers {
    pub(crate) alice: Device,
    second: IdentityKeyPair,
}

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(6);
    let alice = Device::new(draws, "alice@one.example", 0xa1);
    let second = IdentityKeyPair::generate(draws);
    let signers = Signers { alice, second };
    let statements = statements(&signers);
    json!({
        "account secret": hex(*signers.alice.account.to_secret_bytes()),
        "identity secret": hex(*signers.alice.identity.to_secret_bytes()),
        "identity secret of the second device": hex(*signers.second.to_secret_bytes()),
        "statements": statements,
        "refused": statement_refusals::refused(&signers, &statements),
    })
}

fn statements(signers: &Signers) -> Value {
    let Signers { alice, second } = signers;
    let party = &alice.party;
    let first = alice.account.sign_manifest(manifest(signers)).unwrap();
    let hash = first.clone().verify(&party.account_key).unwrap().hash();
    let next = DeviceManifest {
        version: 2,
        previous: hash,
        devices: vec![device(0xa1, &alice.identity), device(0xa2, second)],
        ..manifest(signers)
    };
    let binding = DeviceBinding {
        account_key: party.account_key,
        address: party.address.clone(),
        device_id: party.device_id,
    };
    let challenge = AuthChallenge {
        server: ServerName::parse("one.example:7443").unwrap(),
        device_id: party.device_id,
        nonce: (1..=32).collect(),
        expires_at_ms: NOW + 60_000,
    };
    let (account, identity) = (party.account_key.as_bytes(), party.identity_key.as_bytes());
    json!([
        entry("device manifest", &first, account),
        entry(
            "device manifest",
            &alice.account.sign_manifest(next).unwrap(),
            account
        ),
        entry(
            "device binding",
            &alice.identity.sign_binding(binding).unwrap(),
            identity
        ),
        entry("signed prekey", alice.signed_prekey.statement(), identity),
        entry("KEM prekey", alice.kem_prekey.statement(), identity),
        entry("KEM prekey", alice.last_resort.statement(), identity),
        entry(
            "auth challenge",
            &alice.identity.sign_challenge(challenge.clone()).unwrap(),
            identity
        ),
        entry(
            "account deletion",
            &alice.identity.sign_deletion(AccountDeletion(challenge)).unwrap(),
            identity
        ),
    ])
}

fn manifest(signers: &Signers) -> DeviceManifest {
    DeviceManifest {
        address: signers.alice.party.address.clone(),
        version: 1,
        previous: [0; 32],
        devices: vec![device(0xa1, &signers.alice.identity)],
    }
}

fn device(id: u8, identity: &IdentityKeyPair) -> ManifestDevice {
    ManifestDevice {
        device_id: DeviceId::from_bytes([id; 16]),
        identity_key: identity.public(),
    }
}

fn entry<S: Statement>(kind: &str, signed: &Signed<S>, key: &[u8; 32]) -> Value {
    let mut json = signed_json(signed);
    json["kind"] = kind.into();
    json["signer's key"] = hex(key);
    let (fields, hash) = read(&json).unwrap();
    json["says"] = fields;
    json["SHA-256"] = hash;
    json
}

pub(crate) fn check(file: &Value) {
    for entry in list(&file["statements"]) {
        let (fields, hash) = read(entry).unwrap();
        assert_eq!((&fields, &hash), (&entry["says"], &entry["SHA-256"]));
        let secret = match text(&entry["kind"]) {
            "device manifest" => &file["account secret"],
            _ => &file["identity secret"],
        };
        assert_eq!(
            hex(sign(&array(secret), &bytes(&entry["statement"]))),
            entry["signature"]
        );
    }
    for form in list(&file["refused"]) {
        let reason = text(&form["reason"]);
        assert_eq!(read(form).expect_err(reason), text(&form["error"]), "{reason}");
    }
}

/// Believes a statement, or says why not. Returns what it says, and its hash.
pub(crate) fn read(form: &Value) -> Result<(Value, Value), String> {
    match text(&form["kind"]) {
        "device manifest" => verified::<DeviceManifest>(form).map(|manifest| {
            let devices: Vec<_> = manifest
                .devices
                .iter()
                .map(|device| {
                    json!({
                        "device id": hex(device.device_id.as_bytes()),
                        "identity key": hex(device.identity_key.as_bytes()),
                    })
                })
                .collect();
            let fields = json!({
                "address": manifest.address.as_str(),
                "version": manifest.version,
                "previous": hex(manifest.previous),
                "devices": devices,
            });
            (fields, hex(manifest.hash()))
        }),
        "device binding" => verified::<DeviceBinding>(form).map(|binding| {
            let fields = json!({
                "account key": hex(binding.account_key.as_bytes()),
                "address": binding.address.as_str(),
                "device id": hex(binding.device_id.as_bytes()),
            });
            (fields, hex(binding.hash()))
        }),
        "signed prekey" => verified::<SignedPrekey>(form).map(|prekey| {
            let fields = json!({
                "device id": hex(prekey.device_id.as_bytes()),
                "id": prekey.id,
                "key": hex(prekey.key.as_bytes()),
                "created at, ms": prekey.created_at_ms,
            });
            (fields, hex(prekey.hash()))
        }),
        "KEM prekey" => verified::<KemPrekey>(form).map(|prekey| {
            let fields = json!({
                "device id": hex(prekey.device_id.as_bytes()),
                "id": prekey.id,
                "role": match prekey.role {
                    KemPrekeyRole::LastResort => "last resort",
                    KemPrekeyRole::OneTime => "one-time",
                },
                "key": hex(prekey.key.as_bytes()),
                "created at, ms": prekey.created_at_ms,
            });
            (fields, hex(prekey.hash()))
        }),
        "auth challenge" => verified::<AuthChallenge>(form)
            .map(|challenge| (challenge_fields(&challenge), hex(challenge.hash()))),
        "account deletion" => verified::<AccountDeletion>(form)
            .map(|deletion| (challenge_fields(&deletion.0), hex(deletion.hash()))),
        other => panic!("a statement that nobody knows: {other}"),
    }
}

fn challenge_fields(challenge: &AuthChallenge) -> Value {
    json!({
        "server": challenge.server.as_str(),
        "device id": hex(challenge.device_id.as_bytes()),
        "nonce": hex(&challenge.nonce),
        "expires at, ms": challenge.expires_at_ms,
    })
}

fn verified<S: Statement<Signer: ReadKey>>(form: &Value) -> Result<Verified<S>, String> {
    let key = S::Signer::read(&bytes(&form["signer's key"]));
    Signed::<S>::from_parts(&bytes(&form["statement"]), &bytes(&form["signature"]))
        .map_err(|error| format!("{error:?}"))?
        .verify(&key)
        .map_err(|error| format!("{error:?}"))
}

/// Reads a key of the kind that signs.
trait ReadKey: SigningKeyKind {
    fn read(bytes: &[u8]) -> Self;
}

impl ReadKey for sottovoce_crypto::statements::AccountKey {
    fn read(bytes: &[u8]) -> Self {
        Self::from_slice(bytes).unwrap()
    }
}

impl ReadKey for sottovoce_crypto::statements::IdentityKey {
    fn read(bytes: &[u8]) -> Self {
        Self::from_slice(bytes).unwrap()
    }
}

/// The public key of an Ed25519 secret.
pub(crate) fn public(secret: &[u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(secret)
        .verifying_key()
        .to_bytes()
}

/// Ed25519 over any bytes.
pub(crate) fn sign(secret: &[u8; 32], bytes: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer;
    ed25519_dalek::SigningKey::from_bytes(secret)
        .sign(bytes)
        .to_bytes()
}
