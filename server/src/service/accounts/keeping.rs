//! Reading what an account leaves with the server, and takes away.

use sottovoce_proto::v1::{
    ErrorReason, GetAccountRequest, PutLinkingGrantRequest, PutRecoveryBlobRequest, SetAccessKeyRequest,
};
use sottovoce_statements::{AccessKeyHash, DeviceId};

use crate::app::App;
use crate::clock::{millis, now_ms};
use crate::fields;
use crate::limits::{GRANT_LIFETIME, MAX_GRANT_LEN, MAX_RECOVERY_BLOB_LEN};
use crate::refusal::Refusal;
use crate::store::{
    Caller, DeleteRefusal, GrantBounds, GrantRefusal, PutGrant, PutRecoveryBlob, SetAccessKey, StoredAccount,
};

impl App {
    /// With a token any account there is; with an access key the one that it belongs to.
    pub(super) async fn find_account(
        &self,
        request: &GetAccountRequest,
        caller: Option<&Caller>,
    ) -> Result<StoredAccount, Refusal> {
        let access_key = fields::access_key(&request.access_key, caller)?;
        let address = fields::local_address(&request.address, &self.server_name, "address")?;
        let (account, otherwise) = match access_key {
            None => (self.store.account(&address).await?, ErrorReason::AccountUnknown),
            Some(key) => (
                self.store.account_unseen(&address, &key).await?,
                ErrorReason::AccessDenied,
            ),
        };
        account.ok_or_else(|| Refusal::because(otherwise))
    }

    pub(super) fn read_grant(
        &self,
        by: DeviceId,
        request: PutLinkingGrantRequest,
    ) -> Result<PutGrant, Refusal> {
        let now_ms = now_ms();
        fields::count(request.grant.len(), MAX_GRANT_LEN, "grant")?;
        Ok(PutGrant {
            by,
            device: fields::device_id(&request.device_id, "device_id")?,
            sealed: request.grant,
            now_ms,
            expires_at_ms: now_ms.saturating_add(millis(GRANT_LIFETIME)),
            bounds: GrantBounds {
                per_account: self.limits.max_linking_grants_per_account,
                all: self.limits.max_linking_grants,
                bytes: self.limits.max_linking_bytes,
            },
        })
    }
}

pub(super) fn read_access_key(
    device: DeviceId,
    request: &SetAccessKeyRequest,
) -> Result<SetAccessKey, Refusal> {
    let hash = request.access_key_hash.as_slice();
    let read = || AccessKeyHash::from_slice(hash).map_err(|_| Refusal::field("access_key_hash"));
    Ok(SetAccessKey {
        device,
        hash: (!hash.is_empty()).then(read).transpose()?,
    })
}

pub(super) fn read_recovery(
    device: DeviceId,
    request: PutRecoveryBlobRequest,
) -> Result<PutRecoveryBlob, Refusal> {
    if request.blob.len() > MAX_RECOVERY_BLOB_LEN {
        return Err(Refusal::too_large("blob", MAX_RECOVERY_BLOB_LEN));
    }
    let kept = if request.blob.is_empty() {
        if !request.fetch_token_hash.is_empty() {
            return Err(Refusal::field("fetch_token_hash"));
        }
        None
    } else {
        Some((
            fields::secret(&request.fetch_token_hash, "fetch_token_hash")?,
            request.blob,
        ))
    };
    Ok(PutRecoveryBlob { device, kept })
}

impl From<GrantRefusal> for Refusal {
    fn from(refusal: GrantRefusal) -> Self {
        match refusal {
            GrantRefusal::DeviceUnknown => Self::because(ErrorReason::TokenInvalid),
            GrantRefusal::TooMany { limit } => {
                Self::because(ErrorReason::ServerFull).at("grant").limit(limit)
            }
            GrantRefusal::Full => Self::because(ErrorReason::ServerFull).at("grant"),
        }
    }
}

impl From<DeleteRefusal> for Refusal {
    fn from(refusal: DeleteRefusal) -> Self {
        Self::because(match refusal {
            DeleteRefusal::DeviceUnknown => ErrorReason::DeviceUnknown,
            DeleteRefusal::ChallengeUsed => ErrorReason::ChallengeUsed,
        })
    }
}
