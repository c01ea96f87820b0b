//! This device: whose it is, its keys, and what it has signed about itself.

use rand_core::CryptoRng;
use sottovoce_crypto::statements::{
    Address, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice, ServerName, Signed, Verified,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair, ManifestView, Party};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::records::{RecordError, id16, pack, secret32, text, unpack};
use crate::wire;

/// The account and device this engine acts for.
pub(crate) struct Own {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) manifest: Verified<DeviceManifest>,
    pub(crate) registered: bool,
    account: AccountKeyPair,
    binding: Signed<DeviceBinding>,
}

impl Own {
    /// Makes a new account with this as its first device. `None` only if the address cannot be stated,
    /// which a parsed one always can.
    pub(crate) fn create(rng: &mut dyn CryptoRng, address: Address) -> Option<Self> {
        let account = AccountKeyPair::generate(rng);
        let identity = IdentityKeyPair::generate(rng);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let device_id = DeviceId::from_bytes(id);
        let device = ManifestDevice {
            device_id,
            identity_key: identity.public(),
        };
        let manifest = account.first_manifest(address.clone(), device).ok()?;
        let binding = identity
            .sign_binding(DeviceBinding {
                account_key: account.public(),
                address: address.clone(),
                device_id,
            })
            .ok()?;
        let party = Party {
            address,
            device_id,
            account_key: account.public(),
            identity_key: identity.public(),
        };
        Some(Self {
            party,
            identity,
            manifest,
            registered: false,
            account,
            binding,
        })
    }

    pub(crate) fn registration(&self) -> v1::RegisterRequest {
        v1::RegisterRequest {
            account_key: self.party.account_key.as_bytes().to_vec(),
            manifest: Some(wire::from_signed(self.manifest.signed())),
            bindings: vec![wire::from_signed(&self.binding)],
        }
    }

    /// What to say of our account in messages.
    pub(crate) fn view(&self) -> ManifestView {
        ManifestView::of(&self.manifest)
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
            self.account.to_secret_bytes().as_slice(),
            self.identity.to_secret_bytes().as_slice(),
            self.manifest.signed().statement_bytes(),
            self.manifest.signed().signature_bytes(),
            self.binding.statement_bytes(),
            self.binding.signature_bytes(),
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [
            registered,
            address,
            device_id,
            account,
            identity,
            manifest,
            manifest_signature,
            binding,
            binding_signature,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        let account = AccountKeyPair::from_secret_bytes(&*secret32(account)?).map_err(|_| RecordError)?;
        let identity = IdentityKeyPair::from_secret_bytes(&*secret32(identity)?).map_err(|_| RecordError)?;
        let party = Party {
            address: Address::parse(&text(address)?).map_err(|_| RecordError)?,
            device_id: DeviceId::from_bytes(id16(device_id)?),
            account_key: account.public(),
            identity_key: identity.public(),
        };
        let manifest = Signed::from_parts(manifest, manifest_signature)
            .map_err(|_| RecordError)?
            .verify(&account.public())
            .map_err(|_| RecordError)?;
        let binding = Signed::from_parts(binding, binding_signature).map_err(|_| RecordError)?;
        Ok(Self {
            party,
            identity,
            manifest,
            registered: *registered == [1],
            account,
            binding,
        })
    }
}
