//! Accounts: made, looked up, changed and deleted, and what they leave with the server.

mod keeping;
mod manifest;

use std::sync::Arc;

use sottovoce_proto::v1::account_service_server::AccountService;
use sottovoce_proto::v1::{
    DeleteAccountRequest, DeleteAccountResponse, Device, ErrorReason, FetchLinkingGrantsRequest,
    FetchLinkingGrantsResponse, FetchRecoveryBlobRequest, FetchRecoveryBlobResponse, GetAccountRequest,
    GetAccountResponse, GetManifestHistoryRequest, GetManifestHistoryResponse, ListDevicesRequest,
    ListDevicesResponse, PutLinkingGrantRequest, PutLinkingGrantResponse, PutRecoveryBlobRequest,
    PutRecoveryBlobResponse, RegisterRequest, RegisterResponse, SetAccessKeyRequest, SetAccessKeyResponse,
    UpdateManifestRequest, UpdateManifestResponse,
};
use sottovoce_statements::AccountDeletion;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::auth::random;
use crate::clock::{millis, now_ms};
use crate::fields;
use crate::gate::caller;
use crate::rates::AccountRate;
use crate::refusal::Refusal;
use crate::store::{Caller, DeleteAccount, StoredDevice};

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
        let caller = request.extensions().get::<Caller>();
        let account = self.0.find_account(request.get_ref(), caller).await?;
        Ok(Response::new(GetAccountResponse {
            account_key: account.account_key,
            manifest: Some(account.manifest),
            bindings: account.bindings,
        }))
    }

    async fn get_manifest_history(
        &self,
        request: Request<GetManifestHistoryRequest>,
    ) -> Result<Response<GetManifestHistoryResponse>, Status> {
        caller(&request)?;
        let request = request.get_ref();
        let address = fields::local_address(&request.address, &self.0.server_name, "address")?;
        let manifests = self.0.store.manifests(&address, request.after_version).await;
        let manifests = manifests.map_err(Refusal::from)?;
        let manifests = manifests.ok_or_else(|| Refusal::because(ErrorReason::AccountUnknown))?;
        Ok(Response::new(GetManifestHistoryResponse { manifests }))
    }

    async fn update_manifest(
        &self,
        request: Request<UpdateManifestRequest>,
    ) -> Result<Response<UpdateManifestResponse>, Status> {
        if let Some(change) = self.0.read_update(request.get_ref()).await? {
            for device in self.0.store.write(change).await.map_err(Refusal::from)? {
                self.0.store.remove_gone(device).await.map_err(Refusal::from)?;
            }
        }
        Ok(Response::new(UpdateManifestResponse {}))
    }

    async fn list_devices(
        &self,
        request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let caller = caller(&request)?;
        let devices = self.0.store.devices(&caller.device).await;
        let devices = devices.map_err(Refusal::from)?.into_iter();
        Ok(Response::new(ListDevicesResponse {
            devices: devices.map(to_message).collect(),
        }))
    }

    async fn set_access_key(
        &self,
        request: Request<SetAccessKeyRequest>,
    ) -> Result<Response<SetAccessKeyResponse>, Status> {
        let change = keeping::read_access_key(caller(&request)?.device, request.get_ref())?;
        self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(SetAccessKeyResponse {}))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let caller = caller(&request)?;
        let field = "deletion";
        let deletion = fields::signed::<AccountDeletion>(request.get_ref().deletion.as_ref(), field)?;
        if deletion.claimed().0.device_id != caller.device {
            return Err(Refusal::field(field).into());
        }
        let now_ms = now_ms();
        let change = DeleteAccount {
            deletion: self.0.verify_answer(deletion, field, now_ms).await?,
            retired_until_ms: now_ms.saturating_add(millis(self.0.limits.retired_name_lifetime)),
            fresh_key: random()?,
        };
        let gone = self.0.store.write(change).await.map_err(Refusal::from)?;
        self.0.store.remove_gone(gone).await.map_err(Refusal::from)?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    async fn put_recovery_blob(
        &self,
        request: Request<PutRecoveryBlobRequest>,
    ) -> Result<Response<PutRecoveryBlobResponse>, Status> {
        let device = caller(&request)?.device;
        let change = keeping::read_recovery(device, request.into_inner())?;
        self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(PutRecoveryBlobResponse {}))
    }

    async fn fetch_recovery_blob(
        &self,
        request: Request<FetchRecoveryBlobRequest>,
    ) -> Result<Response<FetchRecoveryBlobResponse>, Status> {
        let request = request.get_ref();
        let address = fields::local_address(&request.address, &self.0.server_name, "address")?;
        let token = fields::secret(&request.fetch_token, "fetch_token")?;
        let rates = &self.0.rates;
        rates.recipient(AccountRate::RecoveryFetches, &address, &token)?;
        let kept = self.0.store.recovery(&address, &token).await;
        let kept = kept.map_err(Refusal::from)?;
        let kept = kept.ok_or_else(|| Refusal::because(ErrorReason::RecoveryUnknown))?;
        Ok(Response::new(FetchRecoveryBlobResponse {
            blob: kept.blob,
            manifest: Some(kept.manifest),
        }))
    }

    async fn put_linking_grant(
        &self,
        request: Request<PutLinkingGrantRequest>,
    ) -> Result<Response<PutLinkingGrantResponse>, Status> {
        let device = caller(&request)?.device;
        let change = self.0.read_grant(device, request.into_inner())?;
        self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(PutLinkingGrantResponse {}))
    }

    async fn fetch_linking_grants(
        &self,
        request: Request<FetchLinkingGrantsRequest>,
    ) -> Result<Response<FetchLinkingGrantsResponse>, Status> {
        let device = fields::device_id(&request.get_ref().device_id, "device_id")?;
        let grants = self.0.store.grants(&device, now_ms()).await;
        Ok(Response::new(FetchLinkingGrantsResponse {
            grants: grants.map_err(Refusal::from)?,
        }))
    }
}

fn to_message(device: StoredDevice) -> Device {
    Device {
        device_id: device.id.as_bytes().to_vec(),
        last_seen_day: device.last_seen_day,
        blocked: device.blocked,
    }
}
