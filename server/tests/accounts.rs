//! Accounts: their manifests and devices, what opens them unseen, what they keep here, and their end.

mod deleting;
mod inviting;
mod keeping;
mod manifests;
mod seen;
mod unseen;

pub(crate) use deleting::{delete, furnish, until_swept};

use sottovoce_proto::v1::{SignedStatement, UpdateManifestRequest};
use sottovoce_statements::{DeviceManifest, ManifestDevice};

use crate::common::{Clients, Device, reason, statement, with_token};

/// Another device of the same account.
pub(crate) fn second(device: &Device, name: &str) -> Device {
    let other = Device::named(name);
    Device {
        account: device.account.clone(),
        address: device.address.clone(),
        identity: other.identity,
        id: other.id,
    }
}

/// The manifest that follows `previous`, with these devices.
pub(crate) fn following(previous: &SignedStatement, version: u64, devices: &[&Device]) -> SignedStatement {
    use sha2::Digest as _;
    let mut listed: Vec<_> = devices
        .iter()
        .map(|device| ManifestDevice {
            device_id: device.id,
            identity_key: device.identity_key(),
        })
        .collect();
    listed.sort_by_key(|device| device.device_id);
    let manifest = DeviceManifest {
        address: devices[0].address.clone(),
        version,
        previous: sha2::Sha256::digest(&previous.statement).into(),
        devices: listed,
    };
    statement(manifest, &devices[0].account)
}

fn binding(device: &Device) -> SignedStatement {
    statement(device.binding(), &device.identity)
}

pub(crate) async fn update(
    clients: &Clients,
    manifest: &SignedStatement,
    new: &[&Device],
) -> Result<(), tonic::Status> {
    update_after(clients, &[], manifest, new).await
}

/// Does what [`update`] does, after manifests that the server has perhaps not had.
async fn update_after(
    clients: &Clients,
    skipped: &[&SignedStatement],
    manifest: &SignedStatement,
    new: &[&Device],
) -> Result<(), tonic::Status> {
    let request = UpdateManifestRequest {
        manifest: Some(manifest.clone()),
        bindings: new.iter().map(|device| binding(device)).collect(),
        skipped: skipped.iter().copied().cloned().collect(),
    };
    let answer = clients.accounts.clone().update_manifest(request).await;
    answer.map(|_| ())
}

/// Registers, and gives the first manifest.
pub(crate) async fn register(clients: &Clients, device: &Device) -> SignedStatement {
    device.register(clients).await;
    device.registration().manifest.unwrap()
}

async fn works(clients: &Clients, token: &str) -> Result<(), String> {
    let request = with_token(token, sottovoce_proto::v1::CountPrekeysRequest {});
    let answer = clients.prekeys.clone().count_prekeys(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}
