//! Between protocol messages and the types that mean something.

use sottovoce_crypto::statements::{
    AccountKey, Address, DeviceBinding, DeviceManifest, IdentityKey, KemPrekey, Signed, SignedPrekey,
    Statement, Verified, X25519Key,
};
use sottovoce_crypto::{OneTimePrekey, OneTimePrekeyPair, PrekeyBundle};
use sottovoce_proto::v1;

pub(crate) fn from_signed<S>(signed: &Signed<S>) -> v1::SignedStatement {
    v1::SignedStatement {
        statement: signed.statement_bytes().to_vec(),
        signature: signed.signature_bytes().to_vec(),
    }
}

pub(crate) fn from_one_time(prekey: &OneTimePrekeyPair) -> v1::OneTimePrekey {
    let public = prekey.public();
    v1::OneTimePrekey {
        id: public.id,
        public_key: public.key.as_bytes().to_vec(),
    }
}

/// What the server said does not hold together: malformed, wrongly signed, or about something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotVerified;

fn to_signed<S: Statement>(message: Option<&v1::SignedStatement>) -> Result<Signed<S>, NotVerified> {
    let message = message.ok_or(NotVerified)?;
    Signed::from_parts(&message.statement, &message.signature).map_err(|_| NotVerified)
}

/// An account as its server shows it, with every signature checked: the account key names the devices,
/// and each device names the account key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedAccount {
    pub(crate) key: AccountKey,
    pub(crate) manifest: Verified<DeviceManifest>,
}

/// Checks an account the server shows for `address`.
pub(crate) fn verify_account(
    address: &Address,
    shown: &v1::GetAccountResponse,
) -> Result<VerifiedAccount, NotVerified> {
    let key = AccountKey::from_slice(&shown.account_key).map_err(|_| NotVerified)?;
    let manifest: Verified<DeviceManifest> = to_signed(shown.manifest.as_ref())?
        .verify(&key)
        .map_err(|_| NotVerified)?;
    if manifest.address != *address || shown.bindings.len() != manifest.devices.len() {
        return Err(NotVerified);
    }
    for (device, binding) in manifest.devices.iter().zip(&shown.bindings) {
        let binding: Verified<DeviceBinding> = to_signed(Some(binding))?
            .verify(&device.identity_key)
            .map_err(|_| NotVerified)?;
        let says_the_same = binding.account_key == key
            && binding.address == *address
            && binding.device_id == device.device_id;
        if !says_the_same {
            return Err(NotVerified);
        }
    }
    Ok(VerifiedAccount { key, manifest })
}

/// Why no session is begun from a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BundleRefused {
    NotVerified,
    /// It lacks the KEM prekey: a session begun from it would not withstand a quantum computer.
    Downgraded,
}

impl From<NotVerified> for BundleRefused {
    fn from(_: NotVerified) -> Self {
        Self::NotVerified
    }
}

/// Checks a bundle the server hands out for the device with `identity_key`.
pub(crate) fn verify_bundle(
    bundle: &v1::PrekeyBundle,
    identity_key: &IdentityKey,
) -> Result<PrekeyBundle, BundleRefused> {
    let signed_prekey: Verified<SignedPrekey> = to_signed(bundle.signed_prekey.as_ref())?
        .verify(identity_key)
        .map_err(|_| NotVerified)?;
    if bundle.kem_prekey.is_none() {
        return Err(BundleRefused::Downgraded);
    }
    let kem_prekey: Verified<KemPrekey> = to_signed(bundle.kem_prekey.as_ref())?
        .verify(identity_key)
        .map_err(|_| NotVerified)?;
    let device_id = bundle.device_id.as_slice();
    if signed_prekey.device_id.as_bytes() != device_id || kem_prekey.device_id.as_bytes() != device_id {
        return Err(BundleRefused::NotVerified);
    }
    let one_time_prekey = bundle.one_time_prekey.as_ref().map(to_one_time).transpose()?;
    Ok(PrekeyBundle {
        signed_prekey,
        one_time_prekey,
        kem_prekey,
    })
}

fn to_one_time(prekey: &v1::OneTimePrekey) -> Result<OneTimePrekey, NotVerified> {
    if prekey.id == 0 {
        return Err(NotVerified); // ids begin at 1; nobody made this one
    }
    let key = X25519Key::from_slice(&prekey.public_key).map_err(|_| NotVerified)?;
    Ok(OneTimePrekey { id: prekey.id, key })
}
