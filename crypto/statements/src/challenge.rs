//! What a device signs to show a server that it is there, now, and means that server: the auth challenge to sign
//! in, and, with the same fields under a purpose of its own, the deletion of its account.

use alloc::vec::Vec;

use crate::codec::{Reader, Writer};
use crate::keys::IdentityKey;
use crate::signed::{Purpose, Statement, StatementError};
use crate::{DeviceId, ServerName};

/// Longest challenge nonce, in bytes.
pub const MAX_NONCE_LEN: usize = 64;

/// A sign-in at one server, by one device, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthChallenge {
    /// The server signed in to: a signature for one server is worth nothing at another.
    pub server: ServerName,
    /// The device that signs.
    pub device_id: DeviceId,
    /// The server's nonce, 1 to [`MAX_NONCE_LEN`] bytes.
    pub nonce: Vec<u8>,
    /// The server's expiry, Unix time in milliseconds.
    pub expires_at_ms: u64,
}

impl Statement for AuthChallenge {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::AuthChallenge;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        check_nonce(&self.nonce)?;
        writer.server_name(&self.server)?;
        writer.device_id(self.device_id);
        writer.short(&self.nonce)?;
        writer.u64(self.expires_at_ms);
        Ok(())
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        let server = reader.server_name()?;
        let device_id = reader.device_id()?;
        let nonce = reader.short()?;
        check_nonce(nonce)?;
        Ok(Self {
            server,
            device_id,
            nonce: nonce.to_vec(),
            expires_at_ms: reader.u64()?,
        })
    }
}

/// The deletion of an account, ordered by one of its devices in answer to a challenge, once. What was signed to
/// sign in deletes nothing, and what was signed to delete lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDeletion(pub AuthChallenge);

impl Statement for AccountDeletion {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::AccountDeletion;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        self.0.encode_body(writer)
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        AuthChallenge::decode_body(reader).map(Self)
    }
}

impl AsRef<AuthChallenge> for AuthChallenge {
    fn as_ref(&self) -> &AuthChallenge {
        self
    }
}

impl AsRef<AuthChallenge> for AccountDeletion {
    fn as_ref(&self) -> &AuthChallenge {
        &self.0
    }
}

fn check_nonce(nonce: &[u8]) -> Result<(), StatementError> {
    if nonce.is_empty() || nonce.len() > MAX_NONCE_LEN {
        Err(StatementError::FieldRange)
    } else {
        Ok(())
    }
}
