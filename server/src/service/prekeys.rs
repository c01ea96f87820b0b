//! Prekeys: published by their device, handed out to those who would write to it.

use std::sync::Arc;

use sottovoce_proto::v1::prekey_service_server::PrekeyService;
use sottovoce_proto::v1::{
    CountPrekeysRequest, CountPrekeysResponse, ErrorReason, FetchPrekeyBundlesRequest,
    FetchPrekeyBundlesResponse, OneTimePrekey, PrekeyBundle, PublishPrekeysRequest, PublishPrekeysResponse,
};
use sottovoce_statements::{IdentityKey, SignedPrekey, Verified, X25519Key};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::fields;
use crate::gate::caller;
use crate::limits::{MAX_DEVICES, MAX_PUBLISHED_PREKEYS};
use crate::refusal::Refusal;
use crate::store::{Bundle, Caller, FetchBundles, FetchRefusal, OneTime, PublishPrekeys, PublishRefusal};

/// `sottovoce.v1.PrekeyService`.
#[derive(Clone, Debug)]
pub(crate) struct Prekeys(pub(crate) Arc<App>);

#[tonic::async_trait]
impl PrekeyService for Prekeys {
    async fn publish_prekeys(
        &self,
        request: Request<PublishPrekeysRequest>,
    ) -> Result<Response<PublishPrekeysResponse>, Status> {
        let caller = caller(&request)?;
        let max_one_time = self.0.limits.max_one_time_prekeys;
        let change = read_prekeys(&caller, request.get_ref(), max_one_time)?;
        let remaining = self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(PublishPrekeysResponse {
            one_time_remaining: saturated(remaining),
        }))
    }

    async fn fetch_prekey_bundles(
        &self,
        request: Request<FetchPrekeyBundlesRequest>,
    ) -> Result<Response<FetchPrekeyBundlesResponse>, Status> {
        caller(&request)?;
        let change = self.0.read_fetch(request.get_ref())?;
        let bundles = self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(FetchPrekeyBundlesResponse {
            bundles: bundles.into_iter().map(to_message).collect(),
        }))
    }

    async fn count_prekeys(
        &self,
        request: Request<CountPrekeysRequest>,
    ) -> Result<Response<CountPrekeysResponse>, Status> {
        let caller = caller(&request)?;
        let remaining = self.0.store.one_time_prekeys(&caller.device).await;
        Ok(Response::new(CountPrekeysResponse {
            one_time_remaining: saturated(remaining.map_err(Refusal::from)?),
        }))
    }
}

fn read_prekeys(
    caller: &Caller,
    request: &PublishPrekeysRequest,
    max_one_time: u32,
) -> Result<PublishPrekeys, Refusal> {
    let signed = request
        .signed_prekey
        .as_ref()
        .map(|_| read_signed(caller, request))
        .transpose()?;
    let one_time = &request.one_time_prekeys;
    if signed.is_none() || !one_time.is_empty() {
        fields::count(one_time.len(), MAX_PUBLISHED_PREKEYS, "one_time_prekeys")?;
    }
    fields::distinct(
        one_time.iter().map(|prekey| prekey.id).collect(),
        "one_time_prekeys.id",
    )?;
    Ok(PublishPrekeys {
        device: caller.device,
        signed,
        one_time: one_time.iter().map(read_one_time).collect::<Result<_, _>>()?,
        max_one_time,
    })
}

fn read_signed(caller: &Caller, request: &PublishPrekeysRequest) -> Result<Verified<SignedPrekey>, Refusal> {
    let prekey = fields::signed::<SignedPrekey>(request.signed_prekey.as_ref(), "signed_prekey")?;
    let key = IdentityKey::from_slice(&caller.identity_key).map_err(|error| {
        tracing::error!(%error, "a stored identity key is damaged");
        Refusal::because(ErrorReason::Internal)
    })?;
    let prekey = prekey
        .verify(&key)
        .map_err(|_| fields::unsigned("signed_prekey"))?;
    if prekey.device_id == caller.device {
        Ok(prekey)
    } else {
        Err(Refusal::field("signed_prekey"))
    }
}

fn read_one_time(prekey: &OneTimePrekey) -> Result<OneTime, Refusal> {
    if prekey.id == 0 {
        return Err(Refusal::field("one_time_prekeys.id"));
    }
    Ok(OneTime {
        id: prekey.id,
        key: X25519Key::from_slice(&prekey.public_key)
            .map_err(|_| Refusal::field("one_time_prekeys.public_key"))?,
    })
}

impl App {
    fn read_fetch(&self, request: &FetchPrekeyBundlesRequest) -> Result<FetchBundles, Refusal> {
        let address = fields::local_address(&request.address, &self.server_name, "address")?;
        fields::count(request.device_ids.len(), MAX_DEVICES, "device_ids")?;
        let devices: Vec<_> = request
            .device_ids
            .iter()
            .map(|device| fields::device_id(device, "device_ids"))
            .collect::<Result<_, _>>()?;
        fields::distinct(devices.clone(), "device_ids")?;
        Ok(FetchBundles { address, devices })
    }
}

fn to_message(bundle: Bundle) -> PrekeyBundle {
    PrekeyBundle {
        device_id: bundle.device.as_bytes().to_vec(),
        signed_prekey: Some(bundle.signed),
        one_time_prekey: bundle
            .one_time
            .map(|(id, public_key)| OneTimePrekey { id, public_key }),
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl From<PublishRefusal> for Refusal {
    fn from(refusal: PublishRefusal) -> Self {
        match refusal {
            PublishRefusal::Conflict(field) => Self::because(ErrorReason::PrekeyConflict).at(field),
            PublishRefusal::TooMany { limit } => {
                Self::because(ErrorReason::PrekeyLimit).limit(u64::from(limit))
            }
        }
    }
}

impl From<FetchRefusal> for Refusal {
    fn from(refusal: FetchRefusal) -> Self {
        Self::because(match refusal {
            FetchRefusal::AccountUnknown => ErrorReason::AccountUnknown,
            FetchRefusal::DeviceUnknown => ErrorReason::DeviceUnknown,
            FetchRefusal::PrekeysMissing => ErrorReason::PrekeysMissing,
        })
    }
}
