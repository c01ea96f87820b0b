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
    /// Manifests after the account's that were signed and are not in use, oldest first: a device on it has
    /// not joined, or the server has not answered. Each is the account's all the same, and the next one
    /// follows it.
    signed: Vec<Verified<DeviceManifest>>,
}

/// Most manifests that wait at one time: what a server takes as skipped.
const MAX_SIGNED: usize = 8;

impl Own {
    /// Makes a new account with this as its first device. `None` only if the address cannot be stated,
    /// which a parsed one always can.
    pub(crate) fn create(rng: &mut dyn CryptoRng, address: Address) -> Option<Self> {
        let account_keys = AccountKeyPair::generate(rng);
        let (device, identity) = new_device(rng);
        let manifest = account_keys.first_manifest(address, device).ok()?;
        Self::alone(account_keys, device.device_id, identity, manifest)
    }

    /// Takes an account over with a new device, which is then its only one. What was sealed may have been
    /// replaced since, by what the server shows now.
    pub(crate) fn recovered(
        rng: &mut dyn CryptoRng,
        material: AccountMaterial,
        shown: Option<&v1::SignedStatement>,
    ) -> Option<Self> {
        let (account_keys, sealed) = material.into_parts();
        let newer = shown.and_then(|shown| newer_than(&sealed, shown));
        let current = newer.unwrap_or(sealed);
        let (device, identity) = new_device(rng);
        let lost: Vec<DeviceId> = current.devices.iter().map(|device| device.device_id).collect();
        let manifest = account_keys.next_manifest(&current, &[device], &lost).ok()?;
        let mut own = Self::alone(account_keys, device.device_id, identity, manifest)?;
        // Perhaps the server never had it: a device that was being linked when the account was lost.
        own.signed.push(current);
        Some(own)
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
            signed: Vec::new(),
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
            skipped: self.skipped_before(self.account.manifest().version),
        }
    }

    /// The device is on its account, as the server has it.
    pub(crate) fn joined_at_server(&mut self) {
        self.registered = true;
        self.forget_used();
    }

    /// The newest manifest as the server is to be given it, with all before it that were not in use.
    pub(crate) fn update(&self) -> Option<v1::UpdateManifestRequest> {
        let manifest = self.unpublished()?;
        Some(v1::UpdateManifestRequest {
            manifest: Some(wire::from_signed(manifest.signed())),
            bindings: Vec::new(),
            skipped: self.skipped_before(manifest.version),
        })
    }

    fn skipped_before(&self, version: u64) -> Vec<v1::SignedStatement> {
        let before = self.signed.iter().filter(|signed| signed.version < version);
        before.map(|signed| wire::from_signed(signed.signed())).collect()
    }

    /// What to say of our account in messages.
    pub(crate) fn view(&self) -> ManifestView {
        self.account.view()
    }

    /// The server this account lives on.
    pub(crate) fn server(&self) -> Option<ServerName> {
        ServerName::parse(self.party.address.server()).ok()
    }

    /// What recovering the account takes. Of several manifests that are not in use the server may have had
    /// none, and takes up only what follows its own: so the oldest of them. If it has had more, it shows
    /// that to who recovers.
    pub(crate) fn material(&self) -> Option<AccountMaterial> {
        let secret = self.account_keys.as_ref()?.to_secret_bytes();
        let keys = AccountKeyPair::from_secret_bytes(&secret).ok()?;
        let oldest = self.signed.first().unwrap_or(self.account.manifest());
        AccountMaterial::new(keys, oldest.clone())
    }

    /// The newest manifest that was signed, whoever has seen it: what the next one follows.
    pub(crate) fn newest_manifest(&self) -> &Verified<DeviceManifest> {
        self.signed.last().unwrap_or(self.account.manifest())
    }

    /// From now on this is the account's newest manifest.
    pub(crate) fn sign_next(&mut self, manifest: Verified<DeviceManifest>) {
        self.signed.push(manifest);
    }

    /// Whether as many wait as a server takes at one time.
    pub(crate) fn has_signed_too_many(&self) -> bool {
        self.signed.len() >= MAX_SIGNED
    }

    /// Whether the newest manifest is not in use yet.
    pub(crate) fn has_unused(&self) -> bool {
        !self.signed.is_empty()
    }

    /// Devices on the newest manifest that have not joined.
    pub(crate) fn linking(&self) -> Vec<DeviceId> {
        let devices = self.newest_manifest().devices.iter();
        let linking = devices.filter(|device| !self.knows(device));
        linking.map(|device| device.device_id).collect()
    }

    fn knows(&self, device: &ManifestDevice) -> bool {
        self.account.manifest().identity_key(device.device_id) == Some(&device.identity_key)
    }

    /// The newest manifest, where the server is to be given it: all its devices are known to it.
    fn unpublished(&self) -> Option<&Verified<DeviceManifest>> {
        let all_known =
            |signed: &&Verified<DeviceManifest>| signed.devices.iter().all(|device| self.knows(device));
        self.signed.last().filter(all_known)
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
        let is_shown = |signed: &Verified<DeviceManifest>| ManifestView::of(signed) == shown.view();
        !self.is_primary() || self.signed.iter().any(is_shown)
    }

    pub(crate) fn take_up(&mut self, account: VerifiedAccount) {
        self.account = account;
        self.forget_used();
    }

    fn forget_used(&mut self) {
        let used = self.account.manifest().version;
        self.signed.retain(|signed| signed.version > used);
    }

    pub(crate) fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.account_keys.as_ref().map(AccountKeyPair::to_secret_bytes);
        let identity = self.identity.to_secret_bytes();
        let account = wire::account_to_bytes(&self.account);
        let signed = self.signed.iter();
        let signed: Vec<_> = signed
            .map(|signed| wire::signed_to_bytes(signed.signed()))
            .collect();
        let registered = [u8::from(self.registered)];
        let mut fields: Vec<&[u8]> = vec![
            &registered,
            self.party.address.as_str().as_bytes(),
            self.party.device_id.as_bytes(),
            secret.as_ref().map_or(&[], |secret| secret.as_slice()),
            identity.as_slice(),
            &account,
        ];
        fields.extend(signed.iter().map(Vec::as_slice));
        pack(&fields)
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
            signed @ ..,
        ] = fields.as_slice()
        else {
            return Err(RecordError);
        };
        // There was an empty one where none waited, before several could.
        let signed = signed.iter().filter(|signed| !signed.is_empty());
        let signed: Vec<_> = signed
            .map(|signed| wire::signed_from_bytes(signed).map_err(|_| RecordError))
            .collect::<Result<_, _>>()?;
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
        let signed = signed.into_iter().map(|signed| signed.verify(&key));
        own.signed = signed.collect::<Result<_, _>>().map_err(|_| RecordError)?;
        Ok(own)
    }
}

/// What is shown of the same account, if it replaces this manifest (`crypto/SPEC.md` 15.2).
fn newer_than(
    sealed: &Verified<DeviceManifest>,
    shown: &v1::SignedStatement,
) -> Option<Verified<DeviceManifest>> {
    let shown = wire::read_signed::<DeviceManifest>(shown).ok()?;
    let shown = shown.verify(sealed.signer()).ok()?;
    let next = sealed.version.checked_add(1)?;
    let follows = shown.version > next || (shown.version == next && shown.previous == sealed.hash());
    (shown.address == sealed.address && follows).then_some(shown)
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
