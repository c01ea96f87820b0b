//! Prekeys: published by their device, handed out to those who would write to it.

use std::sync::Arc;

use sottovoce_proto::v1::prekey_service_server::PrekeyService;
use sottovoce_proto::v1::{
    CountPrekeysRequest, CountPrekeysResponse, ErrorReason, FetchPrekeyBundlesRequest,
    FetchPrekeyBundlesResponse, OneTimePrekey, PrekeyBundle, PublishPrekeysRequest, PublishPrekeysResponse,
    SignedStatement,
};
use sottovoce_statements::{
    DeviceId, IdentityKey, KemPrekey, KemPrekeyRole, SignedPrekey, Statement, Verified, X25519Key,
};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::fields;
use crate::gate::caller;
use crate::limits::{Limits, MAX_DEVICES, MAX_PUBLISHED_KEM_PREKEYS, MAX_PUBLISHED_PREKEYS};
use crate::rates::AccountRate;
use crate::refusal::Refusal;
use crate::store::{
    Bundle, Caller, FetchBundles, FetchRefusal, KemPrekeys, OneTime, PublishPrekeys, PublishRefusal,
};

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
        let change = read_prekeys(&caller, request.get_ref(), &self.0.limits)?;
        let remaining = self.0.store.write(change).await.map_err(Refusal::from)?;
        Ok(Response::new(PublishPrekeysResponse {
            one_time_remaining: saturated(remaining.one_time),
            one_time_kem_remaining: saturated(remaining.one_time_kem),
        }))
    }

    async fn fetch_prekey_bundles(
        &self,
        request: Request<FetchPrekeyBundlesRequest>,
    ) -> Result<Response<FetchPrekeyBundlesResponse>, Status> {
        let caller = request.extensions().get::<Caller>();
        let change = self.0.read_fetch(request.get_ref(), caller)?;
        // First: who may not ask uses nothing up.
        self.0.store.check_access(&change).await.map_err(Refusal::from)?;
        // Whoever asks: prekeys that are gone are gone for everybody.
        self.0
            .rates
            .recipient(AccountRate::PrekeyFetches, &change.address, &[])?;
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
        let remaining = remaining.map_err(Refusal::from)?;
        Ok(Response::new(CountPrekeysResponse {
            one_time_remaining: saturated(remaining.one_time),
            one_time_kem_remaining: saturated(remaining.one_time_kem),
        }))
    }
}

fn read_prekeys(
    caller: &Caller,
    request: &PublishPrekeysRequest,
    limits: &Limits,
) -> Result<PublishPrekeys, Refusal> {
    let one_time = &request.one_time_prekeys;
    let anything_else = request.signed_prekey.is_some()
        || request.last_resort_kem_prekey.is_some()
        || !request.one_time_kem_prekeys.is_empty();
    if !anything_else || !one_time.is_empty() {
        fields::count(one_time.len(), MAX_PUBLISHED_PREKEYS, "one_time_prekeys")?;
    }
    fields::distinct(
        one_time.iter().map(|prekey| prekey.id).collect(),
        "one_time_prekeys.id",
    )?;
    let publisher = Publisher::of(caller)?;
    Ok(PublishPrekeys {
        device: caller.device,
        signed: publisher.read_signed(request.signed_prekey.as_ref())?,
        one_time: one_time.iter().map(read_one_time).collect::<Result<_, _>>()?,
        max_one_time: limits.max_one_time_prekeys,
        kem: publisher.read_kem(request, limits)?,
    })
}

/// Whose statements a request may hold.
struct Publisher {
    device: DeviceId,
    key: IdentityKey,
}

impl Publisher {
    fn of(caller: &Caller) -> Result<Self, Refusal> {
        let key = IdentityKey::from_slice(&caller.identity_key).map_err(|error| {
            tracing::error!(%error, "a stored identity key is damaged");
            Refusal::because(ErrorReason::Internal)
        })?;
        Ok(Self {
            device: caller.device,
            key,
        })
    }

    fn read_signed(
        &self,
        prekey: Option<&SignedStatement>,
    ) -> Result<Option<Verified<SignedPrekey>>, Refusal> {
        let Some(prekey) = prekey else { return Ok(None) };
        let prekey: Verified<SignedPrekey> = self.verify(prekey, "signed_prekey")?;
        if prekey.device_id == self.device {
            Ok(Some(prekey))
        } else {
            Err(Refusal::field("signed_prekey"))
        }
    }

    fn read_kem(&self, request: &PublishPrekeysRequest, limits: &Limits) -> Result<KemPrekeys, Refusal> {
        const LAST_RESORT: &str = "last_resort_kem_prekey";
        const ONE_TIME: &str = "one_time_kem_prekeys";
        // Before anything is verified, for that is what costs.
        if request.one_time_kem_prekeys.len() > MAX_PUBLISHED_KEM_PREKEYS {
            return Err(Refusal::too_large(ONE_TIME, MAX_PUBLISHED_KEM_PREKEYS));
        }
        let last_resort = request
            .last_resort_kem_prekey
            .as_ref()
            .map(|prekey| self.read_one_kem(prekey, KemPrekeyRole::LastResort, LAST_RESORT))
            .transpose()?;
        let one_time = request
            .one_time_kem_prekeys
            .iter()
            .map(|prekey| self.read_one_kem(prekey, KemPrekeyRole::OneTime, ONE_TIME))
            .collect::<Result<Vec<_>, _>>()?;
        let all = one_time.iter().chain(&last_resort);
        fields::distinct(all.map(|prekey| prekey.id).collect(), ONE_TIME)?;
        Ok(KemPrekeys {
            last_resort,
            one_time,
            max_one_time: limits.max_one_time_kem_prekeys,
        })
    }

    fn read_one_kem(
        &self,
        prekey: &SignedStatement,
        role: KemPrekeyRole,
        field: &'static str,
    ) -> Result<Verified<KemPrekey>, Refusal> {
        let prekey: Verified<KemPrekey> = self.verify(prekey, field)?;
        if prekey.device_id == self.device && prekey.role == role {
            Ok(prekey)
        } else {
            Err(Refusal::field(field))
        }
    }

    fn verify<S>(&self, statement: &SignedStatement, field: &'static str) -> Result<Verified<S>, Refusal>
    where
        S: Statement<Signer = IdentityKey>,
    {
        fields::signed::<S>(Some(statement), field)?
            .verify(&self.key)
            .map_err(|_| fields::unsigned(field))
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
    fn read_fetch(
        &self,
        request: &FetchPrekeyBundlesRequest,
        caller: Option<&Caller>,
    ) -> Result<FetchBundles, Refusal> {
        let access_key = fields::access_key(&request.access_key, caller)?;
        let address = fields::local_address(&request.address, &self.server_name, "address")?;
        fields::count(request.device_ids.len(), MAX_DEVICES, "device_ids")?;
        let devices: Vec<_> = request
            .device_ids
            .iter()
            .map(|device| fields::device_id(device, "device_ids"))
            .collect::<Result<_, _>>()?;
        fields::distinct(devices.clone(), "device_ids")?;
        Ok(FetchBundles {
            address,
            devices,
            access_key,
        })
    }
}

fn to_message(bundle: Bundle) -> PrekeyBundle {
    PrekeyBundle {
        device_id: bundle.device.as_bytes().to_vec(),
        signed_prekey: Some(bundle.signed),
        one_time_prekey: bundle
            .one_time
            .map(|(id, public_key)| OneTimePrekey { id, public_key }),
        kem_prekey: Some(bundle.kem),
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl From<PublishRefusal> for Refusal {
    fn from(refusal: PublishRefusal) -> Self {
        match refusal {
            PublishRefusal::Conflict(field) => Self::because(ErrorReason::PrekeyConflict).at(field),
            PublishRefusal::TooMany { field, limit } => Self::because(ErrorReason::PrekeyLimit)
                .at(field)
                .limit(u64::from(limit)),
        }
    }
}

impl From<FetchRefusal> for Refusal {
    fn from(refusal: FetchRefusal) -> Self {
        Self::because(match refusal {
            FetchRefusal::AccessDenied => ErrorReason::AccessDenied,
            FetchRefusal::AccountUnknown => ErrorReason::AccountUnknown,
            FetchRefusal::DeviceUnknown => ErrorReason::DeviceUnknown,
            FetchRefusal::PrekeysMissing => ErrorReason::PrekeysMissing,
        })
    }
}
