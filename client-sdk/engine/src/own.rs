//! This device: whose it is, its keys, and what it has signed about itself.

use rand_core::CryptoRng;
use sottovoce_crypto::statements::{
    Address, DeviceBinding, DeviceId, DeviceManifest, ManifestDevice, ServerName, Verified,
};
use sottovoce_crypto::{
    AccountKeyPair, AccountMaterial, IdentityKeyPair, ManifestView, Party, VerifiedAccount,
};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::records::{RecordError, id16, pack, secret32, text, unpack};
use crate::wire;

/// The account and device this engine acts for.
pub(crate) struct Own {
    pub(crate) party: Party,
    pub(crate) identity: IdentityKeyPair,
    /// Whether the server has this device on the account.
    pub(crate) registered: bool,
    /// On the device that may change the account's devices, and on no other.
    account_keys: Option<AccountKeyPair>,
    /// The account as we show it.
    account: VerifiedAccount,
    /// The newest manifest, where it was signed and is not in use yet: a device on it has not joined, or
    /// the server has not answered. It is the account's all the same, and the next one follows it.
    signed: Option<Verified<DeviceManifest>>,
}

impl Own {
    /// Makes a new account with this as its first device. `None` only if the address cannot be stated,
    /// which a parsed one always can.
    pub(crate) fn create(rng: &mut dyn CryptoRng, address: Address) -> Option<Self> {
        let account_keys = AccountKeyPair::generate(rng);
        let (device, identity) = new_device(rng);
        let manifest = account_keys.first_manifest(address, device).ok()?;
        Self::alone(account_keys, device.device_id, identity, manifest)
    }

    /// Takes an account over with a new device, which is then its only one.
    pub(crate) fn recovered(rng: &mut dyn CryptoRng, material: AccountMaterial) -> Option<Self> {
        let (account_keys, current) = material.into_parts();
        let (device, identity) = new_device(rng);
        let lost: Vec<DeviceId> = current.devices.iter().map(|device| device.device_id).collect();
        let manifest = account_keys.next_manifest(&current, &[device], &lost).ok()?;
        Self::alone(account_keys, device.device_id, identity, manifest)
    }

    fn alone(
        account_keys: AccountKeyPair,
        device_id: DeviceId,
        identity: IdentityKeyPair,
        manifest: Verified<DeviceManifest>,
    ) -> Option<Self> {
        let address = manifest.address.clone();
        let binding = identity
            .sign_binding(DeviceBinding {
                account_key: account_keys.public(),
                address: address.clone(),
                device_id,
            })
            .ok()?;
        let key = account_keys.public();
        let account =
            VerifiedAccount::verify(&address, &key, manifest.signed().clone(), vec![binding]).ok()?;
        Self::joined(Some(account_keys), device_id, identity, account)
    }

    /// A device of an account that names it; `None` where it does not.
    pub(crate) fn joined(
        account_keys: Option<AccountKeyPair>,
        device_id: DeviceId,
        identity: IdentityKeyPair,
        account: VerifiedAccount,
    ) -> Option<Self> {
        let party = Party {
            address: account.address().clone(),
            device_id,
            account_key: *account.account_key(),
            identity_key: identity.public(),
        };
        let named = account.manifest().identity_key(device_id) == Some(&party.identity_key);
        named.then_some(Self {
            party,
            identity,
            registered: false,
            account_keys,
            account,
            signed: None,
        })
    }

    /// Whether this is the first device of a new account.
    pub(crate) fn is_first(&self) -> bool {
        self.account.manifest().version == 1
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.account_keys.is_some()
    }

    pub(crate) fn account(&self) -> &VerifiedAccount {
        &self.account
    }

    pub(crate) fn account_keys(&self) -> Option<&AccountKeyPair> {
        self.account_keys.as_ref()
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

    /// What puts this device on its account: the manifest, and the one binding the server lacks.
    pub(crate) fn joining(&self) -> v1::UpdateManifestRequest {
        let bindings = self.account.bindings().iter();
        let ours = bindings.filter(|binding| binding.device_id == self.party.device_id);
        v1::UpdateManifestRequest {
            manifest: Some(wire::from_signed(self.account.manifest().signed())),
            bindings: ours.map(|binding| wire::from_signed(binding.signed())).collect(),
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

    /// What recovering the account takes.
    pub(crate) fn material(&self) -> Option<AccountMaterial> {
        let secret = self.account_keys.as_ref()?.to_secret_bytes();
        let keys = AccountKeyPair::from_secret_bytes(&secret).ok()?;
        AccountMaterial::new(keys, self.newest_manifest().clone())
    }

    /// The newest manifest that was signed, whoever has seen it: what the next one follows.
    pub(crate) fn newest_manifest(&self) -> &Verified<DeviceManifest> {
        self.signed.as_ref().unwrap_or(self.account.manifest())
    }

    /// From now on this is the account's newest manifest.
    pub(crate) fn sign_next(&mut self, manifest: Verified<DeviceManifest>) {
        self.signed = Some(manifest);
    }

    /// Whether a device on the newest manifest has not joined yet.
    pub(crate) fn is_linking(&self) -> bool {
        self.signed.is_some() && self.unpublished().is_none()
    }

    /// The newest manifest, where the server is to be given it: all its devices are known to it.
    pub(crate) fn unpublished(&self) -> Option<&Verified<DeviceManifest>> {
        let known = |device: &ManifestDevice| {
            self.account.manifest().identity_key(device.device_id) == Some(&device.identity_key)
        };
        self.signed
            .as_ref()
            .filter(|signed| signed.devices.iter().all(known))
    }

    /// The account under the manifest that the server has now been given.
    pub(crate) fn published(&self) -> Option<VerifiedAccount> {
        let manifest = self.unpublished()?;
        let bindings = self.account.bindings().iter();
        let left = bindings.filter(|binding| manifest.identity_key(binding.device_id).is_some());
        let left = left.map(|binding| binding.signed().clone()).collect();
        let (address, key) = (&self.party.address, &self.party.account_key);
        VerifiedAccount::verify(address, key, manifest.signed().clone(), left).ok()
    }

    /// Whether a manifest that is newer than ours can be one of this account's: the device that signs them
    /// knows what it signed, any other cannot know.
    pub(crate) fn may_have_signed(&self, shown: &VerifiedAccount) -> bool {
        !self.is_primary() || ManifestView::of(self.newest_manifest()) == shown.view()
    }

    pub(crate) fn take_up(&mut self, account: VerifiedAccount) {
        let newest = self.signed.as_ref();
        if newest.is_some_and(|signed| signed.version <= account.manifest().version) {
            self.signed = None;
        }
        self.account = account;
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.account_keys.as_ref().map(AccountKeyPair::to_secret_bytes);
        let signed = self
            .signed
            .as_ref()
            .map(|signed| wire::signed_to_bytes(signed.signed()));
        pack(&[
            &[u8::from(self.registered)],
            self.party.address.as_str().as_bytes(),
            self.party.device_id.as_bytes(),
            secret.as_ref().map_or(&[], |secret| secret.as_slice()),
            self.identity.to_secret_bytes().as_slice(),
            &wire::account_to_bytes(&self.account),
            &signed.unwrap_or_default(),
        ])
    }

    pub(crate) fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = unpack(bytes)?;
        let [
            registered,
            address,
            device_id,
            account_keys,
            identity,
            account,
            rest @ ..,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        let signed = match rest {
            // Kept before an account could have several devices.
            [] | [[]] => None,
            [signed] => Some(wire::signed_from_bytes(signed).map_err(|_| RecordError)?),
            _ => return Err(RecordError),
        };
        let account_keys = if account_keys.is_empty() {
            None
        } else {
            let secret = secret32(account_keys)?;
            Some(AccountKeyPair::from_secret_bytes(&secret).map_err(|_| RecordError)?)
        };
        let identity = IdentityKeyPair::from_secret_bytes(&*secret32(identity)?).map_err(|_| RecordError)?;
        let address = Address::parse(&text(address)?).map_err(|_| RecordError)?;
        let account = wire::account_from_bytes(&address, account).map_err(|_| RecordError)?;
        let is_ours = |keys: &AccountKeyPair| keys.public() == *account.account_key();
        if !account_keys.as_ref().is_none_or(is_ours) {
            return Err(RecordError);
        }
        let key = *account.account_key();
        let device_id = DeviceId::from_bytes(id16(device_id)?);
        let mut own = Self::joined(account_keys, device_id, identity, account).ok_or(RecordError)?;
        own.registered = *registered == [1];
        own.signed = signed
            .map(|signed| signed.verify(&key))
            .transpose()
            .map_err(|_| RecordError)?;
        Ok(own)
    }
}

fn new_device(rng: &mut dyn CryptoRng) -> (ManifestDevice, IdentityKeyPair) {
    let identity = IdentityKeyPair::generate(rng);
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let device = ManifestDevice {
        device_id: DeviceId::from_bytes(id),
        identity_key: identity.public(),
    };
    (device, identity)
}
