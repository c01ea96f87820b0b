//! A device made by hand: two Ed25519 keys and the statements they sign.

use ed25519_dalek::{Signer, SigningKey};
use sottovoce_proto::v1::{
    BeginAuthenticationRequest, BeginAuthenticationResponse, CompleteAuthenticationRequest, RegisterRequest,
    SignedStatement,
};
use sottovoce_statements::{
    Account, AccountKey, Address, AuthChallenge, DeviceBinding, DeviceId, DeviceManifest, IdentityKey,
    ManifestDevice, ServerName, Signed, Statement,
};

use crate::calls::Calls;

/// The server's name, as it is without configuration.
pub(crate) const SERVER: &str = "localhost";

/// One device, alone in its account.
pub(crate) struct Device {
    account: SigningKey,
    identity: SigningKey,
    pub(crate) id: DeviceId,
    pub(crate) address: Address,
    /// What it signs in with; empty before it has.
    pub(crate) token: String,
}

impl Device {
    /// A new one, with random keys and a random name.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 88];
        getrandom::fill(&mut bytes).unwrap();
        let (account, rest) = bytes.split_first_chunk().unwrap();
        let (identity, rest) = rest.split_first_chunk().unwrap();
        let (id, rest) = rest.split_first_chunk().unwrap();
        let name: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            account: SigningKey::from_bytes(account),
            identity: SigningKey::from_bytes(identity),
            id: DeviceId::from_bytes(*id),
            address: Address::parse(&format!("l{name}@{SERVER}")).unwrap(),
            token: String::new(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        Account {
            address: self.address.clone(),
            account_key: AccountKey::from_slice(self.account.verifying_key().as_bytes()).unwrap(),
        }
    }

    /// Its account's first manifest, signed.
    pub(crate) fn manifest(&self) -> Signed<DeviceManifest> {
        let manifest = DeviceManifest {
            address: self.address.clone(),
            version: 1,
            previous: [0; 32],
            devices: vec![ManifestDevice {
                device_id: self.id,
                identity_key: IdentityKey::from_slice(self.identity.verifying_key().as_bytes()).unwrap(),
            }],
        };
        signed(manifest, &self.account)
    }

    /// Signs with the device's key.
    pub(crate) fn sign<S: Statement>(&self, statement: S) -> Signed<S> {
        signed(statement, &self.identity)
    }

    /// Registers, and signs in.
    pub(crate) async fn join(mut self, calls: &Calls) -> Self {
        calls
            .accounts
            .clone()
            .register(self.registration())
            .await
            .unwrap();
        let begin = BeginAuthenticationRequest {
            device_id: self.id.as_bytes().to_vec(),
        };
        let begun = calls.auth.clone().begin_authentication(begin).await.unwrap();
        let complete = CompleteAuthenticationRequest {
            challenge: Some(on_the_wire(&self.sign(self.challenge(begun.into_inner())))),
        };
        let completed = calls.auth.clone().complete_authentication(complete).await;
        self.token = completed.unwrap().into_inner().access_token;
        self
    }

    fn registration(&self) -> RegisterRequest {
        let Account { address, account_key } = self.account();
        let binding = self.sign(DeviceBinding {
            account_key,
            address,
            device_id: self.id,
        });
        RegisterRequest {
            account_key: account_key.as_bytes().to_vec(),
            manifest: Some(on_the_wire(&self.manifest())),
            bindings: vec![on_the_wire(&binding)],
            ..RegisterRequest::default()
        }
    }

    fn challenge(&self, begun: BeginAuthenticationResponse) -> AuthChallenge {
        AuthChallenge {
            server: ServerName::parse(SERVER).unwrap(),
            device_id: self.id,
            nonce: begun.nonce,
            expires_at_ms: begun.expires_at_ms,
        }
    }
}

fn signed<S: Statement>(statement: S, key: &SigningKey) -> Signed<S> {
    Signed::sign_with(statement, |bytes| key.sign(bytes).to_bytes()).unwrap()
}

pub(crate) fn on_the_wire<S: Statement>(signed: &Signed<S>) -> SignedStatement {
    SignedStatement {
        statement: signed.statement_bytes().to_vec(),
        signature: signed.signature_bytes().to_vec(),
    }
}
