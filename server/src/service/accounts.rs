//! Accounts: registering, and looking one up.

use std::sync::Arc;

use sottovoce_proto::v1;
use sottovoce_proto::v1::account_service_server::AccountService;
use sottovoce_proto::v1::{
    ErrorReason, GetAccountRequest, GetAccountResponse, RegisterRequest, RegisterResponse, SignedStatement,
};
use sottovoce_statements::{AccountKey, DeviceBinding, DeviceManifest, Verified};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::clock::now_ms;
use crate::config::Registration;
use crate::fields;
use crate::gate::caller;
use crate::refusal::Refusal;
use crate::service::unsupported;
use crate::store::{Register, RegisterRefusal};

/// `sottovoce.v1.AccountService`.
#[derive(Clone, Debug)]
pub(crate) struct Accounts(pub(crate) Arc<App>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let change = self.0.read_registration(&request.into_inner())?;
        self.0.store.register(change).await.map_err(Refusal::from)?;
        Ok(Response::new(RegisterResponse {}))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        caller(&request)?;
        let address = fields::local_address(&request.get_ref().address, &self.0.server_name, "address")?;
        let account = self.0.store.account(&address).await.map_err(Refusal::from)?;
        let account = account.ok_or_else(|| Refusal::because(ErrorReason::AccountUnknown))?;
        Ok(Response::new(GetAccountResponse {
            account_key: account.account_key,
            manifest: Some(account.manifest),
            bindings: account.bindings,
        }))
    }

    async fn get_manifest_history(
        &self,
        _: Request<v1::GetManifestHistoryRequest>,
    ) -> Result<Response<v1::GetManifestHistoryResponse>, Status> {
        Err(unsupported())
    }

    async fn update_manifest(
        &self,
        _: Request<v1::UpdateManifestRequest>,
    ) -> Result<Response<v1::UpdateManifestResponse>, Status> {
        Err(unsupported())
    }

    async fn list_devices(
        &self,
        _: Request<v1::ListDevicesRequest>,
    ) -> Result<Response<v1::ListDevicesResponse>, Status> {
        Err(unsupported())
    }

    async fn set_access_key(
        &self,
        _: Request<v1::SetAccessKeyRequest>,
    ) -> Result<Response<v1::SetAccessKeyResponse>, Status> {
        Err(unsupported())
    }

    async fn delete_account(
        &self,
        _: Request<v1::DeleteAccountRequest>,
    ) -> Result<Response<v1::DeleteAccountResponse>, Status> {
        Err(unsupported())
    }

    async fn put_recovery_blob(
        &self,
        _: Request<v1::PutRecoveryBlobRequest>,
    ) -> Result<Response<v1::PutRecoveryBlobResponse>, Status> {
        Err(unsupported())
    }

    async fn fetch_recovery_blob(
        &self,
        _: Request<v1::FetchRecoveryBlobRequest>,
    ) -> Result<Response<v1::FetchRecoveryBlobResponse>, Status> {
        Err(unsupported())
    }

    async fn put_linking_grant(
        &self,
        _: Request<v1::PutLinkingGrantRequest>,
    ) -> Result<Response<v1::PutLinkingGrantResponse>, Status> {
        Err(unsupported())
    }

    async fn fetch_linking_grants(
        &self,
        _: Request<v1::FetchLinkingGrantsRequest>,
    ) -> Result<Response<v1::FetchLinkingGrantsResponse>, Status> {
        Err(unsupported())
    }
}

impl App {
    fn read_registration(&self, request: &RegisterRequest) -> Result<Register, Refusal> {
        let account_key =
            AccountKey::from_slice(&request.account_key).map_err(|_| Refusal::field("account_key"))?;
        let manifest = fields::signed::<DeviceManifest>(request.manifest.as_ref(), "manifest")?
            .verify(&account_key)
            .map_err(|_| fields::unsigned("manifest"))?;
        if manifest.version != 1 || manifest.devices.len() != 1 {
            return Err(Refusal::field("manifest"));
        }
        fields::check_local(&manifest.address, &self.server_name, "manifest")?;
        let bindings = read_bindings(&account_key, &manifest, &request.bindings)?;
        Ok(Register {
            account_key,
            manifest,
            bindings,
            now_ms: now_ms(),
            open: self.registration == Registration::Open,
            max_accounts: self.limits.max_accounts,
        })
    }
}

fn read_bindings(
    account_key: &AccountKey,
    manifest: &DeviceManifest,
    bindings: &[SignedStatement],
) -> Result<Vec<Verified<DeviceBinding>>, Refusal> {
    if bindings.len() != manifest.devices.len() {
        return Err(Refusal::field("bindings"));
    }
    manifest
        .devices
        .iter()
        .zip(bindings)
        .map(|(device, binding)| {
            let binding = fields::signed::<DeviceBinding>(Some(binding), "bindings")?
                .verify(&device.identity_key)
                .map_err(|_| fields::unsigned("bindings"))?;
            let expected = DeviceBinding {
                account_key: *account_key,
                address: manifest.address.clone(),
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
            RegisterRefusal::Closed => Self::because(ErrorReason::RegistrationClosed),
            RegisterRefusal::Full => Self::because(ErrorReason::ServerFull),
        }
    }
}
