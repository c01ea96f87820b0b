//! How an account comes to another device: linked by one that has it, or recovered with a code.

use std::time::Duration;

use getrandom::SysRng;
use rand_core::{CryptoRng, Rng, UnwrapErr};
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    GrantedAccount, IdentityKeyPair, LinkingOffer, MAX_LINKING_AGE_MS, PendingLink, RecoveryCode,
};
use sottovoce_engine::{Engine, Input, Outputs, Refusal};
use sottovoce_proto::v1::ErrorReason;

use crate::client::{Client, Events, start_reachable};
use crate::config::Config;
use crate::driver::now_ms;
use crate::error::{JoinError, OpenError};
use crate::register::{abandon, load, persist};
use crate::store::Store;
use crate::transport::Transport;

/// How often a device that is being linked asks for its grant.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// A device that is to be put on an account: show its [`offer`](Self::offer), wait until it is
/// [`granted`](Self::granted), and have the user confirm.
#[derive(Debug)]
pub struct Linking {
    config: Config,
    transport: Transport,
    device_id: DeviceId,
    identity: IdentityKeyPair,
    pending: PendingLink,
    begun_at_ms: u64,
}

/// A place on an account, not taken yet.
#[derive(Debug)]
pub struct Granted {
    config: Config,
    transport: Transport,
    device_id: DeviceId,
    identity: IdentityKeyPair,
    account: GrantedAccount,
}

impl Linking {
    /// Makes the keys of a new device. Nothing is kept before it has joined; the offer is good for ten
    /// minutes.
    ///
    /// # Errors
    /// [`OpenError`] when the server's URL is not one.
    pub fn begin(config: Config) -> Result<Self, OpenError> {
        let transport = Transport::of(&config)?;
        let rng = &mut UnwrapErr(SysRng);
        let identity = IdentityKeyPair::generate(rng);
        let device_id = random_id(rng);
        let begun_at_ms = now_ms();
        let pending = PendingLink::new(rng, begun_at_ms, device_id, identity.public());
        Ok(Self {
            config,
            transport,
            device_id,
            identity,
            pending,
            begun_at_ms,
        })
    }

    /// What to show, as a QR code or as text, to the device that has the account.
    #[must_use]
    pub fn offer(&self) -> &LinkingOffer {
        self.pending.offer()
    }

    /// Waits for the grant. Anybody who saw the offer can have made it: show the
    /// [address](Granted::address), and ask.
    ///
    /// # Errors
    /// [`JoinError::Expired`] after ten minutes.
    pub async fn granted(mut self) -> Result<Granted, JoinError> {
        loop {
            let id = self.device_id.as_bytes().to_vec();
            // No answer and no grant are the same: asked again.
            let grants = self.transport.fetch_linking_grants(id).await.unwrap_or_default();
            for grant in grants {
                match self.pending.open(now_ms(), &grant) {
                    Ok(account) => {
                        return Ok(Granted {
                            config: self.config,
                            transport: self.transport,
                            device_id: self.device_id,
                            identity: self.identity,
                            account,
                        });
                    }
                    Err(failed) => self.pending = *failed.pending,
                }
            }
            if now_ms().saturating_sub(self.begun_at_ms) > MAX_LINKING_AGE_MS {
                return Err(JoinError::Expired);
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }
}

impl Granted {
    /// The account that was granted.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.account.address()
    }

    /// Joins, once the user has confirmed that the account is theirs.
    ///
    /// # Errors
    /// [`JoinError`]. After [`JoinError::Unavailable`] the store keeps the device, and opening it goes on.
    pub async fn join(self) -> Result<(Client, Events), JoinError> {
        let account = self
            .account
            .join(&self.identity)
            .map_err(|_| JoinError::Expired)?;
        let data = self.account.app_data().to_vec();
        let (device_id, identity) = (self.device_id, self.identity);
        begin(self.config, self.transport, |rng| {
            Engine::join(now_ms(), rng, device_id, identity, account, &data)
        })
        .await
    }
}

impl Client {
    /// Takes an account over with the code that its recovery blob is sealed under, on a new device, which
    /// is then its only one.
    ///
    /// # Errors
    /// [`JoinError`]. After [`JoinError::Unavailable`] the store keeps the device, and opening it goes on.
    pub async fn recover(
        config: Config,
        address: &Address,
        code: &RecoveryCode,
    ) -> Result<(Self, Events), JoinError> {
        let transport = Transport::of(&config)?;
        let kept = transport
            .fetch_recovery_blob(address, &code.fetch_token(address))
            .await
            .map_err(|refused| JoinError::because(refused.because))?;
        let material = code.open(address, &kept.blob).map_err(|_| JoinError::WrongCode)?;
        begin(config, transport, |rng| {
            Engine::recover(now_ms(), rng, material, kept.manifest.as_ref())
        })
        .await
    }
}

async fn begin(
    config: Config,
    transport: Transport,
    make: impl FnOnce(&mut dyn CryptoRng) -> Result<(Engine, Outputs), sottovoce_engine::InputError>,
) -> Result<(Client, Events), JoinError> {
    let mut store = Store::open(&config.store, &config.key).await?;
    let joined = async {
        if load(&mut store).await?.is_some() {
            return Err(JoinError::AlreadyRegistered);
        }
        let (mut engine, outputs) =
            make(&mut UnwrapErr(SysRng)).map_err(|_| JoinError::Open(OpenError::Damaged))?;
        persist(&mut store, outputs).await?;
        complete(&mut engine, &mut store, &transport).await?;
        Ok(engine)
    };
    match joined.await {
        Ok(engine) => Ok(start_reachable(engine, store, transport).await),
        Err(error) => Err(abandon(store, error).await),
    }
}

/// Has the server take the manifest up that this device joins by.
pub(crate) async fn complete(
    engine: &mut Engine,
    store: &mut Store,
    transport: &Transport,
) -> Result<(), JoinError> {
    let Some(request) = engine.joining() else {
        return Ok(());
    };
    match transport.update_manifest(request).await {
        Ok(()) => {
            let outputs = engine
                .handle(now_ms(), &mut UnwrapErr(SysRng), Input::Registered)
                .map_err(|_| OpenError::Damaged)?;
            Ok(persist(store, outputs).await?)
        }
        Err(refused) => {
            let error = JoinError::because(refused.because);
            if !matches!(error, JoinError::Unavailable) {
                // It can never join: its keys are of no use.
                store.clear().await.map_err(OpenError::Store)?;
                store.erase_replaced().await;
            }
            Err(error)
        }
    }
}

impl JoinError {
    fn because(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Because(ErrorReason::RecoveryUnknown) => Self::WrongCode,
            Refusal::Because(
                reason @ (ErrorReason::ManifestConflict
                | ErrorReason::IdentityTaken
                | ErrorReason::AccountUnknown
                | ErrorReason::ServerNotLocal
                | ErrorReason::SignatureInvalid
                | ErrorReason::FieldInvalid),
            ) => Self::Refused(reason),
            _ => Self::Unavailable,
        }
    }
}

fn random_id(rng: &mut dyn Rng) -> DeviceId {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    DeviceId::from_bytes(id)
}
