//! Between protocol messages and the types that mean something.

use prost::Message;
use sottovoce_crypto::statements::{
    AccountKey, Address, IdentityKey, KemPrekey, Signed, SignedPrekey, Statement, Verified, X25519Key,
};
use sottovoce_crypto::{OneTimePrekey, OneTimePrekeyPair, PrekeyBundle, VerifiedAccount};
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

/// Checks an account the server shows for `address`.
pub(crate) fn verify_account(
    address: &Address,
    shown: &v1::GetAccountResponse,
) -> Result<VerifiedAccount, NotVerified> {
    let key = AccountKey::from_slice(&shown.account_key).map_err(|_| NotVerified)?;
    let bindings = shown.bindings.iter().map(|binding| to_signed(Some(binding)));
    let bindings = bindings.collect::<Result<_, _>>()?;
    VerifiedAccount::verify(address, &key, to_signed(shown.manifest.as_ref())?, bindings)
        .map_err(|_| NotVerified)
}

/// An account as its server shows it.
pub(crate) fn from_account(account: &VerifiedAccount) -> v1::GetAccountResponse {
    let bindings = account.bindings().iter();
    v1::GetAccountResponse {
        account_key: account.account_key().as_bytes().to_vec(),
        manifest: Some(from_signed(account.manifest().signed())),
        bindings: bindings.map(|binding| from_signed(binding.signed())).collect(),
    }
}

/// An account to be kept.
pub(crate) fn account_to_bytes(account: &VerifiedAccount) -> Vec<u8> {
    from_account(account).encode_to_vec()
}

/// Reads what [`account_to_bytes`] wrote, and checks it again.
pub(crate) fn account_from_bytes(address: &Address, bytes: &[u8]) -> Result<VerifiedAccount, NotVerified> {
    verify_account(
        address,
        &v1::GetAccountResponse::decode(bytes).map_err(|_| NotVerified)?,
    )
}

/// Reads a statement the server shows; who signed it is not checked by this.
pub(crate) fn read_signed<S: Statement>(message: &v1::SignedStatement) -> Result<Signed<S>, NotVerified> {
    to_signed(Some(message))
}

/// A signed statement to be kept.
pub(crate) fn signed_to_bytes<S>(signed: &Signed<S>) -> Vec<u8> {
    from_signed(signed).encode_to_vec()
}

/// Reads what [`signed_to_bytes`] wrote.
pub(crate) fn signed_from_bytes<S: Statement>(bytes: &[u8]) -> Result<Signed<S>, NotVerified> {
    let message = v1::SignedStatement::decode(bytes).map_err(|_| NotVerified)?;
    to_signed(Some(&message))
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
