//! Reading manifests and bindings: those of a new account, and those that replace one.

use std::time::Duration;

use sottovoce_proto::v1::{ErrorReason, RegisterRequest, SignedStatement, UpdateManifestRequest};
use sottovoce_statements::{AccountKey, Address, DeviceBinding, DeviceManifest, ManifestDevice, Verified};

use crate::app::App;
use crate::clock::now_ms;
use crate::config::Registration;
use crate::fields;
use crate::limits::MAX_SKIPPED_MANIFESTS;
use crate::refusal::Refusal;
use crate::store::{Admission, Judged, Register, RegisterRefusal, Standing, UpdateManifest, UpdateRefusal};

impl App {
    pub(super) fn read_registration(&self, request: &RegisterRequest) -> Result<Register, Refusal> {
        let account_key =
            AccountKey::from_slice(&request.account_key).map_err(|_| Refusal::field("account_key"))?;
        let manifest = fields::signed::<DeviceManifest>(request.manifest.as_ref(), "manifest")?
            .verify(&account_key)
            .map_err(|_| fields::unsigned("manifest"))?;
        if manifest.version != 1 || manifest.devices.len() != 1 {
            return Err(Refusal::field("manifest"));
        }
        fields::check_local(&manifest.address, &self.server_name, "manifest")?;
        let bindings = read_bindings(
            &account_key,
            &manifest.address,
            &manifest.devices.iter().collect::<Vec<_>>(),
            &request.bindings,
        )?;
        Ok(Register {
            account_key,
            manifest,
            bindings,
            now_ms: now_ms(),
            admission: match self.registration {
                Registration::Open => Admission::Anybody,
                Registration::Invite => Admission::Invited(request.invite.clone()),
                Registration::Closed => Admission::Nobody,
            },
            max_accounts: self.limits.max_accounts,
        })
    }

    /// A manifest that follows the newest one, as far as could be seen without waiting for the writer;
    /// none when it is the newest one.
    pub(super) async fn read_update(
        &self,
        request: &UpdateManifestRequest,
    ) -> Result<Option<UpdateManifest>, Refusal> {
        let manifest = fields::signed::<DeviceManifest>(request.manifest.as_ref(), "manifest")?;
        let address = &manifest.claimed().address;
        fields::check_local(address, &self.server_name, "manifest")?;
        let standing = self.store.standing(address).await?;
        // Whoever has not the account's key does not learn whether there is the account.
        let standing = standing.ok_or_else(|| fields::unsigned("manifest"))?;
        let account_key = AccountKey::from_slice(&standing.account_key).map_err(|error| {
            tracing::error!(%error, "a stored account key is damaged");
            Refusal::because(ErrorReason::Internal)
        })?;
        let manifest = manifest
            .verify(&account_key)
            .map_err(|_| fields::unsigned("manifest"))?;
        let skipped = read_skipped(&account_key, &manifest, &request.skipped)?;
        if let Judged::Newest = standing.judge(&skipped, &manifest)? {
            return Ok(None);
        }
        let bindings = read_new_bindings(&account_key, &standing, &manifest, &request.bindings)?;
        Ok(Some(UpdateManifest {
            manifest,
            skipped,
            bindings,
            max_manifests: self.limits.max_manifests,
        }))
    }
}

/// When to ask again for the id of a device that is gone, of which something is left.
const SOON: Duration = Duration::from_secs(1);

/// Manifests of the same account that came before this one.
fn read_skipped(
    account_key: &AccountKey,
    manifest: &DeviceManifest,
    skipped: &[SignedStatement],
) -> Result<Vec<Verified<DeviceManifest>>, Refusal> {
    if skipped.len() > MAX_SKIPPED_MANIFESTS {
        return Err(Refusal::too_large("skipped", MAX_SKIPPED_MANIFESTS));
    }
    let read = skipped.iter().map(|skipped| {
        let skipped = fields::signed::<DeviceManifest>(Some(skipped), "skipped")?;
        if skipped.claimed().address != manifest.address {
            return Err(Refusal::field("skipped"));
        }
        let verified = skipped.verify(account_key);
        verified.map_err(|_| fields::unsigned("skipped"))
    });
    read.collect()
}

fn read_new_bindings(
    account_key: &AccountKey,
    standing: &Standing,
    manifest: &DeviceManifest,
    bindings: &[SignedStatement],
) -> Result<Vec<Verified<DeviceBinding>>, Refusal> {
    let new: Vec<_> = standing.new_devices(manifest).map(|(_, device)| device).collect();
    read_bindings(account_key, &manifest.address, &new, bindings)
}

/// One binding for each of these devices, in their order.
fn read_bindings(
    account_key: &AccountKey,
    address: &Address,
    devices: &[&ManifestDevice],
    bindings: &[SignedStatement],
) -> Result<Vec<Verified<DeviceBinding>>, Refusal> {
    if bindings.len() != devices.len() {
        return Err(Refusal::field("bindings"));
    }
    devices
        .iter()
        .zip(bindings)
        .map(|(device, binding)| {
            let binding = fields::signed::<DeviceBinding>(Some(binding), "bindings")?
                .verify(&device.identity_key)
                .map_err(|_| fields::unsigned("bindings"))?;
            let expected = DeviceBinding {
                account_key: *account_key,
                address: address.clone(),
                device_id: device.device_id,
            };
            if *binding == expected {
                Ok(binding)
            } else {
                Err(Refusal::field("bindings"))
            }
        })
        .collect()
}

impl From<RegisterRefusal> for Refusal {
    fn from(refusal: RegisterRefusal) -> Self {
        match refusal {
            RegisterRefusal::AddressTaken => Self::because(ErrorReason::AddressTaken),
            RegisterRefusal::IdentityTaken(field) => Self::because(ErrorReason::IdentityTaken).at(field),
            RegisterRefusal::Leaving => Self::because(ErrorReason::RateLimited).retry_after(SOON),
            RegisterRefusal::InviteInvalid => Self::because(ErrorReason::InviteInvalid),
            RegisterRefusal::Closed => Self::because(ErrorReason::RegistrationClosed),
            RegisterRefusal::Full => Self::because(ErrorReason::ServerFull),
        }
    }
}

impl From<UpdateRefusal> for Refusal {
    fn from(refusal: UpdateRefusal) -> Self {
        match refusal {
            UpdateRefusal::AccountUnknown => Self::because(ErrorReason::AccountUnknown),
            UpdateRefusal::Conflict => Self::because(ErrorReason::ManifestConflict),
            UpdateRefusal::Bindings => Self::field("bindings"),
            UpdateRefusal::Leaving => Self::because(ErrorReason::RateLimited).retry_after(SOON),
            UpdateRefusal::IdentityTaken => Self::because(ErrorReason::IdentityTaken).at("manifest.devices"),
        }
    }
}
