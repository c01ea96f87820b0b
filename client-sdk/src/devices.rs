//! The devices of an account: seen, linked and revoked; and the account itself, recovered and deleted.

use sottovoce_crypto::statements::{Address, DeviceId, DeviceManifest, Signed};
use sottovoce_crypto::{LinkingOffer, RecoveryCode};
use sottovoce_engine::Input;
use sottovoce_proto::v1;

use crate::client::Client;
use crate::driver::Command;
use crate::error::ClientError;

/// A device of one's own account, as the server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// The day it last signed in, in days since 1970-01-01 UTC; 0 when it never has.
    pub last_seen_day: u32,
    /// Whether the operator has shut it out.
    pub blocked: bool,
}

/// A device manifest that a newer one has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastManifest {
    /// Its version.
    pub version: u64,
    /// The devices it named.
    pub devices: Vec<DeviceId>,
}

impl Client {
    /// The devices of this account, as the server has them. The server's word: what counts is told by
    /// [`DevicesChanged`](crate::EventKind::DevicesChanged).
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses.
    pub async fn devices(&self) -> Result<Vec<Device>, ClientError> {
        let devices = self.caller().await?.list_devices().await?;
        let read = |device: &v1::Device| {
            Ok(Device {
                id: DeviceId::from_slice(&device.device_id).map_err(|_| ClientError::Unavailable)?,
                last_seen_day: device.last_seen_day,
                blocked: device.blocked,
            })
        };
        devices.iter().map(read).collect()
    }

    /// Puts a device on this account: the one that shows `offer`, which is its
    /// [`LinkingOffer::to_text`] or was scanned from it. Do so only for a device that the user holds.
    /// [`DevicesChanged`](crate::EventKind::DevicesChanged) tells when it has joined.
    ///
    /// # Errors
    /// [`ClientError`]; only the device that the account was made on can link others.
    pub async fn link_device(&self, offer: LinkingOffer) -> Result<(), ClientError> {
        self.tell(Input::LinkDevice(Box::new(offer))).await
    }

    /// Takes a device off this account: it is sent nothing more, and its sessions at the server end.
    /// [`DevicesChanged`](crate::EventKind::DevicesChanged) tells when it is gone.
    ///
    /// # Errors
    /// [`ClientError`]; only the device that the account was made on can revoke others.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), ClientError> {
        self.tell(Input::RevokeDevice(device)).await
    }

    /// Leaves what recovering this account takes with the server, sealed under `code`, which the user
    /// keeps. To be done again after every [`DevicesChanged`](crate::EventKind::DevicesChanged).
    ///
    /// # Errors
    /// [`ClientError`]; only the device that the account was made on has the secret to leave.
    pub async fn put_recovery(&self, code: &RecoveryCode) -> Result<(), ClientError> {
        let material = self.ask(Command::Material).await?;
        let material = material.ok_or(sottovoce_engine::InputError::NotPrimary)?;
        let blob = code.seal(&mut rand_core::UnwrapErr(getrandom::SysRng), &material);
        let token = code.fetch_token(self.address());
        self.caller().await?.put_recovery(&token, blob).await
    }

    /// Has the server forget what [`put_recovery`](Self::put_recovery) left.
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses.
    pub async fn remove_recovery(&self) -> Result<(), ClientError> {
        self.caller().await?.remove_recovery().await
    }

    /// Manifests of an account that newer ones have replaced, oldest first, from the one after
    /// `after_version`.
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses.
    pub async fn manifest_history(
        &self,
        address: &Address,
        after_version: u64,
    ) -> Result<Vec<PastManifest>, ClientError> {
        let manifests = self
            .caller()
            .await?
            .manifest_history(address, after_version)
            .await?;
        manifests.iter().map(read_manifest).collect()
    }

    /// Deletes this account and everything the server has of it, and then everything in the store. The
    /// client has stopped when this returns.
    ///
    /// # Errors
    /// [`ClientError`] when not connected, or when the server refuses: the account is there still.
    pub async fn delete_account(self) -> Result<(), ClientError> {
        let caller = self.caller().await?;
        let challenge = caller.challenge(self.device_id()).await?;
        let signed = self
            .ask(|reply| Command::SignDeletion(challenge, reply))
            .await??;
        caller.delete_account(signed).await?;
        self.ask(Command::Forget).await
    }
}

fn read_manifest(message: &v1::SignedStatement) -> Result<PastManifest, ClientError> {
    let signed = Signed::<DeviceManifest>::from_parts(&message.statement, &message.signature)
        .map_err(|_| ClientError::Unavailable)?;
    let manifest = signed.claimed();
    Ok(PastManifest {
        version: manifest.version,
        devices: manifest.devices.iter().map(|device| device.device_id).collect(),
    })
}
