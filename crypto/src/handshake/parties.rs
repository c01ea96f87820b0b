//! Who is at the two ends of a session, and what one of them left for the other to begin it with.

use sottovoce_statements::{AccountKey, Address, DeviceId, IdentityKey, SignedPrekey, Verified};

use crate::keys::OneTimePrekey;

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

/// A peer's prekeys, as fetched from the server.
#[derive(Clone, Debug)]
pub struct PrekeyBundle {
    /// The signed prekey, its signature checked with the device's identity key.
    pub signed_prekey: Verified<SignedPrekey>,
    /// A one-time prekey, if the device has any left. Without one the first messages can be replayed
    /// for as long as the signed prekey lives (X3DH section 4.2): keep handshake digests that long.
    pub one_time_prekey: Option<OneTimePrekey>,
}
