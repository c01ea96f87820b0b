//! A device made by hand: two Ed25519 keys and the statements they sign.

use ed25519_dalek::{Signer, SigningKey};
use sottovoce_proto::v1::{
    BeginAuthenticationRequest, BeginAuthenticationResponse, CompleteAuthenticationRequest,
    CompleteAuthenticationResponse, DeviceMessage, OneTimePrekey, PublishPrekeysRequest, RegisterRequest,
    SendRequest, SignedStatement,
};
use sottovoce_statements::{
    AccountDeletion, AccountKey, Address, AuthChallenge, DeviceBinding, DeviceId, DeviceManifest,
    IdentityKey, KemPrekey, KemPrekeyRole, ManifestDevice, MlKemKey, ServerName, Signed, SignedPrekey,
    Statement, X25519Key,
};

use tonic::Request;

use super::{Clients, id, with_token};

/// One device, alone in its account.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) account: SigningKey,
    pub(crate) identity: SigningKey,
    pub(crate) id: DeviceId,
    pub(crate) address: Address,
}

impl Device {
    /// `name@localhost`, with keys that follow from the name.
    pub(crate) fn named(name: &str) -> Self {
        let key = |kind: u8| {
            let mut seed = [kind; 32];
            seed.iter_mut().zip(name.bytes()).for_each(|(s, b)| *s ^= b);
            SigningKey::from_bytes(&seed)
        };
        let mut device_id = [0x1d; 16];
        device_id.iter_mut().zip(name.bytes()).for_each(|(s, b)| *s ^= b);
        Self {
            account: key(0x11),
            identity: key(0x22),
            id: DeviceId::from_bytes(device_id),
            address: Address::parse(&format!("{name}@localhost")).unwrap(),
        }
    }

    pub(crate) fn account_key(&self) -> AccountKey {
        AccountKey::from_slice(self.account.verifying_key().as_bytes()).unwrap()
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_slice(self.identity.verifying_key().as_bytes()).unwrap()
    }

    pub(crate) fn manifest(&self) -> DeviceManifest {
        DeviceManifest {
            address: self.address.clone(),
            version: 1,
            previous: [0; 32],
            devices: vec![ManifestDevice {
                device_id: self.id,
                identity_key: self.identity_key(),
            }],
        }
    }

    pub(crate) fn binding(&self) -> DeviceBinding {
        DeviceBinding {
            account_key: self.account_key(),
            address: self.address.clone(),
            device_id: self.id,
        }
    }

    pub(crate) fn registration(&self) -> RegisterRequest {
        RegisterRequest {
            account_key: self.account_key().as_bytes().to_vec(),
            manifest: Some(statement(self.manifest(), &self.account)),
            bindings: vec![statement(self.binding(), &self.identity)],
            ..Default::default()
        }
    }

    pub(crate) fn challenge(&self, begun: &BeginAuthenticationResponse) -> AuthChallenge {
        AuthChallenge {
            server: ServerName::parse("localhost").unwrap(),
            device_id: self.id,
            nonce: begun.nonce.clone(),
            expires_at_ms: begun.expires_at_ms,
        }
    }

    pub(crate) fn deletion(&self, begun: &BeginAuthenticationResponse) -> AccountDeletion {
        AccountDeletion(self.challenge(begun))
    }

    pub(crate) fn prekey(&self, prekey_id: u32) -> SignedPrekey {
        SignedPrekey {
            device_id: self.id,
            id: prekey_id,
            key: x25519(u64::from(prekey_id)),
            created_at_ms: 1,
        }
    }

    pub(crate) fn kem_prekey(&self, role: KemPrekeyRole, prekey_id: u32) -> KemPrekey {
        // The server takes any key whose coefficients are reduced; whether it has a secret is not its to know.
        let mut key = [0; MlKemKey::LEN];
        key[MlKemKey::LEN - 4..].copy_from_slice(&prekey_id.to_le_bytes());
        KemPrekey {
            device_id: self.id,
            id: prekey_id,
            role,
            key: MlKemKey::from_slice(&key).unwrap(),
            created_at_ms: 1,
        }
    }

    /// Nothing but a KEM prekey of last resort with id 1,000,000 and one-time ones with these ids.
    pub(crate) fn kem_prekeys(&self, one_time: std::ops::RangeInclusive<u32>) -> PublishPrekeysRequest {
        let signed = |role, id| statement(self.kem_prekey(role, id), &self.identity);
        PublishPrekeysRequest {
            last_resort_kem_prekey: Some(signed(KemPrekeyRole::LastResort, 1_000_000)),
            one_time_kem_prekeys: one_time.map(|id| signed(KemPrekeyRole::OneTime, id)).collect(),
            ..PublishPrekeysRequest::default()
        }
    }

    /// A signed prekey with id 1, a KEM prekey of last resort, and X25519 one-time prekeys with these ids.
    pub(crate) fn prekeys(&self, one_time: std::ops::RangeInclusive<u32>) -> PublishPrekeysRequest {
        let last_resort = self.kem_prekey(KemPrekeyRole::LastResort, 1_000_000);
        PublishPrekeysRequest {
            signed_prekey: Some(statement(self.prekey(1), &self.identity)),
            last_resort_kem_prekey: Some(statement(last_resort, &self.identity)),
            one_time_kem_prekeys: Vec::new(),
            one_time_prekeys: one_time
                .map(|id| OneTimePrekey {
                    id,
                    public_key: x25519(u64::from(id) + 1_000_000).as_bytes().to_vec(),
                })
                .collect(),
        }
    }

    pub(crate) async fn register(&self, clients: &Clients) {
        clients
            .accounts
            .clone()
            .register(self.registration())
            .await
            .unwrap();
    }

    pub(crate) async fn begin(&self, clients: &Clients) -> BeginAuthenticationResponse {
        let request = BeginAuthenticationRequest {
            device_id: self.id.as_bytes().to_vec(),
        };
        clients
            .auth
            .clone()
            .begin_authentication(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn sign_in(&self, clients: &Clients) -> String {
        self.sign_in_from(clients, None).await.access_token
    }

    /// Begins a session, from a web page of this origin.
    pub(crate) async fn sign_in_from(
        &self,
        clients: &Clients,
        origin: Option<&str>,
    ) -> CompleteAuthenticationResponse {
        let begun = self.begin(clients).await;
        let mut request = Request::new(CompleteAuthenticationRequest {
            challenge: Some(statement(self.challenge(&begun), &self.identity)),
        });
        if let Some(origin) = origin {
            request.metadata_mut().insert("origin", origin.parse().unwrap());
        }
        let answer = clients.auth.clone().complete_authentication(request).await;
        answer.unwrap().into_inner()
    }

    /// Registers and signs in.
    pub(crate) async fn join(&self, clients: &Clients) -> String {
        self.register(clients).await;
        self.sign_in(clients).await
    }

    /// The request that sends `ciphertext` to `to`, as message `n`.
    pub(crate) fn letter(to: &Self, n: u64, ciphertext: &[u8]) -> SendRequest {
        SendRequest {
            recipient: to.address.to_string(),
            client_message_id: id(n),
            messages: vec![DeviceMessage {
                device_id: to.id.as_bytes().to_vec(),
                ciphertext: ciphertext.to_vec(),
            }],
            ..Default::default()
        }
    }

    /// Sends messages `from..=to` whose ciphertexts are their numbers.
    pub(crate) async fn send_numbers(
        clients: &Clients,
        token: &str,
        to: &Self,
        numbers: std::ops::RangeInclusive<u64>,
    ) {
        for n in numbers {
            let request = with_token(token, Self::letter(to, n, n.to_string().as_bytes()));
            clients.mailbox.clone().send(request).await.unwrap();
        }
    }
}

/// Signs a statement, whoever should have.
pub(crate) fn statement<S: Statement>(statement: S, key: &SigningKey) -> SignedStatement {
    let signed = Signed::sign_with(statement, |bytes| key.sign(bytes).to_bytes()).unwrap();
    SignedStatement {
        statement: signed.statement_bytes().to_vec(),
        signature: signed.signature_bytes().to_vec(),
    }
}

fn x25519(n: u64) -> X25519Key {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    X25519Key::from_slice(&bytes).unwrap()
}
