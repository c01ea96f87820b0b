//! The device's identity key pair.

use alloc::boxed::Box;

use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use sottovoce_statements::{
    AccountDeletion, AuthChallenge, DeviceBinding, EntrySigner, IdentityKey, KemPrekey, KeyError,
    ROSTER_SALT_LEN, RosterEntry, Signed, SignedPrekey, Statement, StatementError,
};
use zeroize::Zeroizing;

use crate::primitives::dh::{X25519Secret, identity_secret};
use crate::secret::{Secret32, redacted_debug};

/// A device's Ed25519 key pair (RFC 8032). It signs prekeys, bindings, auth challenges and roster entries; its
/// X25519 form does the Diffie-Hellman of the handshake (X3DH section 2.4, by way of the birational map).
pub struct IdentityKeyPair {
    /// Boxed so that moving it leaves no copy; erased on drop.
    signing_key: Box<SigningKey>,
    public: IdentityKey,
}

impl IdentityKeyPair {
    /// Draws a new key pair.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        // Every Ed25519 secret has a public key of prime order, so the first draw always serves.
        loop {
            if let Ok(pair) = Self::from_secret_bytes(Secret32::random(rng).as_bytes()) {
                return pair;
            }
        }
    }

    /// Reads a key pair from its 32-byte secret (RFC 8032's private key).
    ///
    /// # Errors
    /// [`KeyError`] if the secret has no proper public key, which no 32 bytes are known to bring about.
    pub fn from_secret_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let signing_key = Box::new(SigningKey::from_bytes(secret));
        let public = IdentityKey::from_slice(signing_key.verifying_key().as_bytes())?;
        Ok(Self { signing_key, public })
    }

    /// The 32-byte secret, to be sealed before it is kept.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing_key.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> IdentityKey {
        self.public
    }

    /// Signs this device's word on the account it belongs to.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_binding(&self, binding: DeviceBinding) -> Result<Signed<DeviceBinding>, StatementError> {
        self.sign(binding)
    }

    /// Signs a prekey.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_prekey(&self, prekey: SignedPrekey) -> Result<Signed<SignedPrekey>, StatementError> {
        self.sign(prekey)
    }

    /// Signs a KEM prekey.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_kem_prekey(&self, prekey: KemPrekey) -> Result<Signed<KemPrekey>, StatementError> {
        self.sign(prekey)
    }

    /// Signs a server's challenge.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_challenge(&self, challenge: AuthChallenge) -> Result<Signed<AuthChallenge>, StatementError> {
        self.sign(challenge)
    }

    /// Signs the deletion of this device's account.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_deletion(
        &self,
        deletion: AccountDeletion,
    ) -> Result<Signed<AccountDeletion>, StatementError> {
        self.sign(deletion)
    }

    /// Signs an entry of a channel's roster, as [`Roster::next_entry`](sottovoce_statements::Roster::next_entry)
    /// gives it.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_roster_entry(&self, entry: RosterEntry) -> Result<Signed<RosterEntry>, StatementError> {
        self.sign(entry)
    }

    /// Draws and signs the entry that begins a channel, owned by the account of `signer`.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_genesis<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        signer: EntrySigner,
    ) -> Result<Signed<RosterEntry>, StatementError> {
        let mut salt = [0; ROSTER_SALT_LEN];
        rng.fill_bytes(&mut salt);
        self.sign(RosterEntry::genesis(signer, salt))
    }

    pub(crate) fn x25519_secret(&self) -> X25519Secret {
        identity_secret(&self.signing_key)
    }

    fn sign<S: Statement<Signer = IdentityKey>>(&self, statement: S) -> Result<Signed<S>, StatementError> {
        Signed::sign_with(statement, |bytes| self.signing_key.sign(bytes).to_bytes())
    }
}

redacted_debug!(IdentityKeyPair);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AccountKeyPair;
    use alloc::format;

    #[test]
    fn key_pairs_print_no_secret() {
        let identity = IdentityKeyPair::from_secret_bytes(&[0x42; 32]).unwrap();
        let account = AccountKeyPair::from_secret_bytes(&[0x42; 32]).unwrap();
        assert_eq!(format!("{identity:?}"), "IdentityKeyPair([redacted])");
        assert_eq!(format!("{account:?}"), "AccountKeyPair([redacted])");
    }

    #[test]
    fn key_pairs_come_back_from_their_secrets() {
        let identity = IdentityKeyPair::from_secret_bytes(&[3; 32]).unwrap();
        let again = IdentityKeyPair::from_secret_bytes(&identity.to_secret_bytes()).unwrap();
        assert_eq!(identity.public(), again.public());
        let account = AccountKeyPair::from_secret_bytes(&[3; 32]).unwrap();
        let again = AccountKeyPair::from_secret_bytes(&account.to_secret_bytes()).unwrap();
        assert_eq!(account.public(), again.public());
    }
}
