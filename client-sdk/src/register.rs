//! Registering an account: its keys are made and kept first, and go again only when it is certain that
//! the server has not made the account.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use sottovoce_crypto::statements::Address;
use sottovoce_engine::{Engine, Input, Outputs, Refusal};
use sottovoce_proto::v1::ErrorReason;

use crate::driver::now_ms;
use crate::error::{OpenError, RegisterError};
use crate::store::Store;
use crate::transport::Transport;

pub(crate) async fn load(store: &mut Store) -> Result<Option<Engine>, OpenError> {
    let records = store.load().await?;
    if records.is_empty() {
        return Ok(None);
    }
    Engine::load(records).map(Some).map_err(|_| OpenError::Damaged)
}

pub(crate) async fn persist(store: &mut Store, outputs: Outputs) -> Result<(), OpenError> {
    store.commit(&outputs.records).await.map_err(OpenError::Store)
}

/// Closes the store before an error is told, so that it can be opened again at once.
pub(crate) async fn abandon<E>(store: Store, error: E) -> E {
    // There is an error to be told already, and nothing that closing could lose.
    let _ = store.close().await;
    error
}

/// The engine of a store, new or from an unfinished registration, once its account is registered.
pub(crate) async fn registered(
    store: &mut Store,
    transport: &Transport,
    address: &Address,
    invite: Option<&str>,
) -> Result<Engine, RegisterError> {
    let mut engine = match load(store).await? {
        Some(engine) if engine.registration().is_none() => return Err(RegisterError::AlreadyRegistered),
        Some(engine) if engine.address() == address => engine,
        Some(engine) => return Err(RegisterError::Unfinished(engine.address().clone())),
        None => {
            let (engine, outputs) = Engine::create(now_ms(), &mut UnwrapErr(SysRng), address.clone())
                .map_err(|_| OpenError::Damaged)?;
            persist(store, outputs).await?;
            engine
        }
    };
    complete_registration(&mut engine, store, transport, invite).await?;
    Ok(engine)
}

async fn complete_registration(
    engine: &mut Engine,
    store: &mut Store,
    transport: &Transport,
    invite: Option<&str>,
) -> Result<(), RegisterError> {
    let Some(mut request) = engine.registration() else {
        return Ok(());
    };
    request.invite = invite.unwrap_or_default().to_owned();
    match transport
        .register(request)
        .await
        .map_err(|refused| refused.because)
    {
        Ok(()) => {
            let outputs = engine
                .handle(now_ms(), &mut UnwrapErr(SysRng), Input::Registered)
                .map_err(|_| OpenError::Damaged)?;
            Ok(persist(store, outputs).await?)
        }
        Err(Refusal::Because(reason)) if is_final(reason) => {
            store.clear().await.map_err(OpenError::Store)?;
            store.erase_replaced().await;
            Err(match reason {
                ErrorReason::AddressTaken => RegisterError::AddressTaken,
                reason => RegisterError::Refused(reason),
            })
        }
        // An earlier try with another invite may have made the account.
        Err(Refusal::Because(ErrorReason::InviteInvalid)) => Err(RegisterError::InviteInvalid),
        // The account may have been made all the same, and these may be its only keys.
        Err(_) => Err(RegisterError::Unavailable),
    }
}

/// Whether a refusal to register proves that the server has not made this account and will not: only
/// then may its keys go. A server answers a repeated registration as it did the first, so an address
/// that is taken is taken by others, whatever became of earlier answers. (`proto/PROTOCOL.md`, Register)
fn is_final(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::AddressTaken
            | ErrorReason::IdentityTaken
            | ErrorReason::RegistrationClosed
            | ErrorReason::FieldInvalid
            | ErrorReason::SignatureInvalid
            | ErrorReason::ServerNotLocal
            | ErrorReason::TooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_refusals_destroy_keys() {
        let every = (0..64).filter_map(|value| ErrorReason::try_from(value).ok());
        let finals: Vec<_> = every.filter(|reason| is_final(*reason)).collect();
        assert_eq!(
            finals,
            [
                ErrorReason::FieldInvalid,
                ErrorReason::TooLarge,
                ErrorReason::SignatureInvalid,
                ErrorReason::AddressTaken,
                ErrorReason::ServerNotLocal,
                ErrorReason::RegistrationClosed,
                ErrorReason::IdentityTaken,
            ]
        );
    }
}
