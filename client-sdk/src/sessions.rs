//! The sign-ins of an account's devices: seen, and ended.

use sottovoce_crypto::statements::DeviceId;

use crate::client::Client;
use crate::error::ClientError;

/// One sign-in of a device, and all that was refreshed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSession {
    /// What to revoke it by.
    pub id: [u8; 16],
    /// Which device signed in.
    pub device_id: DeviceId,
    /// When, in days since 1970-01-01 UTC.
    pub created_day: u32,
    /// When its tokens were last refreshed or used, in days since 1970-01-01 UTC.
    pub last_used_day: u32,
    /// Whether a web page began it.
    pub web: bool,
    /// Whether it is the one this client uses now.
    pub current: bool,
}

impl Client {
    /// The sessions of all devices of this account, as the server has them.
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses.
    pub async fn sessions(&self) -> Result<Vec<DeviceSession>, ClientError> {
        let sessions = self.caller().await?.list_sessions().await?;
        sessions.iter().map(read).collect()
    }

    /// Ends a session: its tokens are void and its stream ends. Ending the current one has this client
    /// sign in anew.
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses.
    pub async fn revoke_session(&self, id: [u8; 16]) -> Result<(), ClientError> {
        self.caller().await?.revoke_session(&id).await
    }
}

fn read(session: &sottovoce_proto::v1::Session) -> Result<DeviceSession, ClientError> {
    let malformed = ClientError::Unavailable;
    Ok(DeviceSession {
        id: session.session_id.as_slice().try_into().map_err(|_| malformed)?,
        device_id: DeviceId::from_slice(&session.device_id).map_err(|_| malformed)?,
        created_day: session.created_day,
        last_used_day: session.last_used_day,
        web: session.web,
        current: session.current,
    })
}
