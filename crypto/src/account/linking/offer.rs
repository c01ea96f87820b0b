//! The offer: what a new device shows, for the primary device to read off its screen.

use alloc::string::String;
use alloc::vec::Vec;

use sottovoce_statements::{DeviceId, IdentityKey, ManifestDevice, X25519Key};
use zeroize::Zeroizing;

use crate::account::error::CodeError;
use crate::account::text::{TextLabel, from_text, to_text};
use crate::codec::{Reader, Write};
use crate::secret::{Secret32, redacted_debug};

/// A device that wants to be linked: its id and identity key, the key to seal the grant to, and a secret
/// that only who sees its screen has.
///
/// Whole keys stand in it, not digests: nothing about it is asked of a server.
pub struct LinkingOffer {
    pub(super) device: ManifestDevice,
    pub(super) ephemeral: X25519Key,
    pub(super) pairing_secret: PairingSecret,
}

/// Goes from the new device's screen into the primary's camera, and never through a network: what makes a
/// grant for this offer out of reach of who can only listen there, whatever they can compute.
pub(super) struct PairingSecret(pub(super) Secret32);

redacted_debug!(PairingSecret);

impl LinkingOffer {
    /// Bytes of an offer.
    pub const LEN: usize = Self::PUBLIC_LEN + 32;

    pub(super) const PUBLIC_LEN: usize = 1 + 16 + 32 + 32;

    /// Reads the bytes of a QR code.
    ///
    /// # Errors
    /// [`CodeError`] when they are not an offer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != OFFER_VERSION {
            return Err(CodeError::UnsupportedVersion);
        }
        let device_id = DeviceId::from_bytes(*reader.array()?);
        let identity_key = IdentityKey::from_slice(reader.bytes(32)?).map_err(|_| CodeError::NotACode)?;
        let ephemeral = X25519Key::from_slice(reader.bytes(32)?).map_err(|_| CodeError::NotACode)?;
        let pairing_secret = PairingSecret(Secret32::copy_from(reader.array()?));
        reader.finish()?;
        Ok(Self {
            device: ManifestDevice {
                device_id,
                identity_key,
            },
            ephemeral,
            pairing_secret,
        })
    }

    /// The [`LEN`](Self::LEN) bytes, for a QR code. They are secret from all but who is to scan them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::LEN));
        bytes.put(&self.public_bytes());
        bytes.put(self.pairing_secret.0.as_bytes());
        bytes
    }

    /// Reads a text that was pasted or typed: white space, hyphens and case do not matter.
    ///
    /// # Errors
    /// [`CodeError`] when it is not an offer, or mistyped.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        Self::from_bytes(&from_text(LABEL_OFFER, text, Self::LEN)?)
    }

    /// The offer as 188 digits and capitals, for where nothing can be scanned, or for a QR code in its
    /// alphanumeric mode.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        to_text(LABEL_OFFER, &self.to_bytes())
    }

    /// The device, to be added to the account's next manifest.
    #[must_use]
    pub fn device(&self) -> ManifestDevice {
        self.device
    }

    /// All but the secret.
    pub(super) fn public_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::PUBLIC_LEN);
        bytes.put_u8(OFFER_VERSION);
        bytes.put(self.device.device_id.as_bytes());
        bytes.put(self.device.identity_key.as_bytes());
        bytes.put(self.ephemeral.as_bytes());
        bytes
    }
}

redacted_debug!(LinkingOffer);

/// First byte of an offer.
const OFFER_VERSION: u8 = 0x01;

/// Opens the checksum's input of an offer's text.
const LABEL_OFFER: TextLabel = b"Sottovoce-v1 linking offer";
