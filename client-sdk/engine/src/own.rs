//! This device: whose it is, its keys, and what it has signed about itself.

use rand_core::CryptoRng;
use sottovoce_crypto::statements::{Address, DeviceBinding, DeviceId, ManifestDevice, ServerName};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair, ManifestView, Party, VerifiedAccount};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::records::{RecordError, id16, pack, secret32, text, unpack};
use crate::wire;

/// The account and device this engine acts for.
pub(crate) struct Own {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) registered: bool,
    account_keys: AccountKeyPair,
    /// The account as we show it.
    account: VerifiedAccount,
}

impl Own {
    /// Makes a new account with this as its first device. `None` only if the address cannot be stated,
    /// which a parsed one always can.
    pub(crate) fn create(rng: &mut dyn CryptoRng, address: Address) -> Option<Self> {
        let account_keys = AccountKeyPair::generate(rng);
        let identity = IdentityKeyPair::generate(rng);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let device_id = DeviceId::from_bytes(id);
        let device = ManifestDevice {
            device_id,
            identity_key: identity.public(),
        };
        let manifest = account_keys.first_manifest(address.clone(), device).ok()?;
        let binding = identity
            .sign_binding(DeviceBinding {
                account_key: account_keys.public(),
                address: address.clone(),
                device_id,
            })
            .ok()?;
        let bindings = vec![binding];
        let account = VerifiedAccount::verify(
            &address,
            &account_keys.public(),
            manifest.signed().clone(),
            bindings,
        )
        .ok()?;
        let party = Party {
            address,
            device_id,
            account_key: account_keys.public(),
            identity_key: identity.public(),
        };
        Some(Self {
            party,
            identity,
            registered: false,
            account_keys,
            account,
        })
    }

    pub(crate) fn registration(&self) -> v1::RegisterRequest {
        let shown = wire::from_account(&self.account);
        v1::RegisterRequest {
            account_key: shown.account_key,
            manifest: shown.manifest,
            bindings: shown.bindings,
            ..Default::default()
        }
    }

    /// What to say of our account in messages.
    pub(crate) fn view(&self) -> ManifestView {
        self.account.view()
    }

    /// The server this account lives on.
    pub(crate) fn server(&self) -> Option<ServerName> {
        ServerName::parse(self.party.address.server()).ok()
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        pack(&[
            &[u8::from(self.registered)],
            self.party.address.as_str().as_bytes(),
            self.party.device_id.as_bytes(),
            self.account_keys.to_secret_bytes().as_slice(),
            self.identity.to_secret_bytes().as_slice(),
            &wire::account_to_bytes(&self.account),
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [registered, address, device_id, account_keys, identity, account] = fields.as_slice() else {
            return Err(RecordError);
        };
        let account_keys =
            AccountKeyPair::from_secret_bytes(&*secret32(account_keys)?).map_err(|_| RecordError)?;
        let identity = IdentityKeyPair::from_secret_bytes(&*secret32(identity)?).map_err(|_| RecordError)?;
        let party = Party {
            address: Address::parse(&text(address)?).map_err(|_| RecordError)?,
            device_id: DeviceId::from_bytes(id16(device_id)?),
            account_key: account_keys.public(),
            identity_key: identity.public(),
        };
        let account = wire::account_from_bytes(&party.address, account).map_err(|_| RecordError)?;
        let names_us = account.manifest().identity_key(party.device_id) == Some(&party.identity_key);
        if *account.account_key() != party.account_key || !names_us {
            return Err(RecordError);
        }
        Ok(Self {
            party,
            identity,
            registered: *registered == [1],
            account_keys,
            account,
        })
    }
}
