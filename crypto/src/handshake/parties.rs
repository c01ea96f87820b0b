//! Who is at the two ends of a session, and the prekeys it can begin with: theirs, as fetched, and ours,
//! as kept.

use sottovoce_statements::{AccountKey, Address, DeviceId, IdentityKey, KemPrekey, SignedPrekey, Verified};

use crate::keys::{KemPrekeyPair, OneTimePrekey, OneTimePrekeyPair, SignedPrekeyPair};

/// One end of a session: a device of an account. Everything here is bound into every message, so both
/// sides must name both parties alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The account's address.
    pub address: Address,
    /// The device.
    pub device_id: DeviceId,
    /// The account's key, which signed the manifest this device is on.
    pub account_key: AccountKey,
    /// The device's identity key, from that manifest.
    pub identity_key: IdentityKey,
}

/// A peer's prekeys for PQXDH, as fetched from the server.
#[derive(Clone, Debug)]
pub struct PrekeyBundle {
    /// The signed prekey, its signature checked with the device's identity key.
    pub signed_prekey: Verified<SignedPrekey>,
    /// A one-time prekey, if the device has any left.
    pub one_time_prekey: Option<OneTimePrekey>,
    /// A KEM prekey, its signature checked with the device's identity key: a one-time one, or the last
    /// resort if there is none left. If neither prekey is one-time, the first messages can be replayed
    /// for as long as the others live (PQXDH section 4.2): keep handshake digests that long.
    pub kem_prekey: Verified<KemPrekey>,
}

/// A peer's prekeys for plain X3DH, as fetched from the server.
#[derive(Clone, Debug)]
pub struct X3dhPrekeyBundle {
    /// The signed prekey, its signature checked with the device's identity key.
    pub signed_prekey: Verified<SignedPrekey>,
    /// A one-time prekey, if the device has any left. Without one the first messages can be replayed
    /// for as long as the signed prekey lives (X3DH section 4.2): keep handshake digests that long.
    pub one_time_prekey: Option<OneTimePrekey>,
}

/// Our prekeys that an initial message of PQXDH names.
#[derive(Clone, Copy, Debug)]
pub struct Prekeys<'a> {
    /// The one of [`InitialMessage::signed_prekey_id`](crate::InitialMessage::signed_prekey_id).
    pub signed_prekey: &'a SignedPrekeyPair,
    /// The one of [`InitialMessage::one_time_prekey_id`](crate::InitialMessage::one_time_prekey_id).
    pub one_time_prekey: Option<&'a OneTimePrekeyPair>,
    /// The one of [`InitialMessage::kem_prekey_id`](crate::InitialMessage::kem_prekey_id).
    pub kem_prekey: &'a KemPrekeyPair,
}

/// Our prekeys that an initial message of plain X3DH names.
#[derive(Clone, Copy, Debug)]
pub struct X3dhPrekeys<'a> {
    /// The one of [`InitialMessage::signed_prekey_id`](crate::InitialMessage::signed_prekey_id).
    pub signed_prekey: &'a SignedPrekeyPair,
    /// The one of [`InitialMessage::one_time_prekey_id`](crate::InitialMessage::one_time_prekey_id).
    pub one_time_prekey: Option<&'a OneTimePrekeyPair>,
}

/// A peer's prekeys, whichever the suite.
pub(crate) struct Theirs<'a> {
    pub(crate) signed_prekey: &'a Verified<SignedPrekey>,
    pub(crate) one_time_prekey: Option<OneTimePrekey>,
    pub(crate) kem_prekey: Option<&'a Verified<KemPrekey>>,
}

impl<'a> From<&'a PrekeyBundle> for Theirs<'a> {
    fn from(bundle: &'a PrekeyBundle) -> Self {
        Self {
            signed_prekey: &bundle.signed_prekey,
            one_time_prekey: bundle.one_time_prekey,
            kem_prekey: Some(&bundle.kem_prekey),
        }
    }
}

impl<'a> From<&'a X3dhPrekeyBundle> for Theirs<'a> {
    fn from(bundle: &'a X3dhPrekeyBundle) -> Self {
        Self {
            signed_prekey: &bundle.signed_prekey,
            one_time_prekey: bundle.one_time_prekey,
            kem_prekey: None,
        }
    }
}

/// Our prekeys, whichever the suite.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) signed_prekey: &'a SignedPrekeyPair,
    pub(crate) one_time_prekey: Option<&'a OneTimePrekeyPair>,
    pub(crate) kem_prekey: Option<&'a KemPrekeyPair>,
}

impl<'a> From<Prekeys<'a>> for Ours<'a> {
    fn from(prekeys: Prekeys<'a>) -> Self {
        Self {
            signed_prekey: prekeys.signed_prekey,
            one_time_prekey: prekeys.one_time_prekey,
            kem_prekey: Some(prekeys.kem_prekey),
        }
    }
}

impl<'a> From<X3dhPrekeys<'a>> for Ours<'a> {
    fn from(prekeys: X3dhPrekeys<'a>) -> Self {
        Self {
            signed_prekey: prekeys.signed_prekey,
            one_time_prekey: prekeys.one_time_prekey,
            kem_prekey: None,
        }
    }
}
