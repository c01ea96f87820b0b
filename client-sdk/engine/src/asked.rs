//! What may be asked of an engine, without anything changing.

use sottovoce_crypto::AccountMaterial;
use sottovoce_crypto::statements::{
    AccountDeletion, AccountKey, Address, AuthChallenge, ChannelId, DeviceId, Roster,
};
use sottovoce_proto::v1;

use crate::engine::Engine;
use crate::error::InputError;
use crate::event::Event;
use crate::wire;

impl Engine {
    /// The channels this account is in.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        let channels = self
            .channels
            .values()
            .filter(|channel| channel.roster().is_some());
        channels.map(|channel| channel.id)
    }

    /// Who is in a channel, as this device knows it; none where this account is not.
    #[must_use]
    pub fn roster(&self, channel: ChannelId) -> Option<&Roster> {
        self.channels.get(&channel)?.roster()
    }

    /// This account's address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.own.party.address
    }

    /// This device's id.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.own.party.device_id
    }

    /// This account's key, for comparing out of band.
    #[must_use]
    pub fn account_key(&self) -> AccountKey {
        self.own.party.account_key
    }

    /// The account key trusted for an address, if any.
    #[must_use]
    pub fn trusted_account_key(&self, address: &Address) -> Option<AccountKey> {
        self.peers
            .get(address)
            .filter(|peer| peer.pinned)
            .map(|peer| *peer.account.account_key())
    }

    /// The registration to make before signing in, until [`Input::Registered`](crate::Input::Registered) has been given.
    #[must_use]
    pub fn registration(&self) -> Option<v1::RegisterRequest> {
        (!self.own.registered && self.own.is_first()).then(|| self.own.registration())
    }

    /// The manifest to publish before signing in, where this device joins an account or recovers one,
    /// until [`Input::Registered`](crate::Input::Registered) has been given. The call needs no token.
    #[must_use]
    pub fn joining(&self) -> Option<v1::UpdateManifestRequest> {
        (!self.own.registered && !self.own.is_first()).then(|| self.own.joining())
    }

    /// The devices of this account, this one among them.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceId> {
        let devices = self.own.account().manifest().devices.iter();
        devices.map(|device| device.device_id).collect()
    }

    /// What a recovery code is to seal; none on a device without the account's secret.
    #[must_use]
    pub fn material(&self) -> Option<AccountMaterial> {
        self.own.material()
    }

    /// Whether the server holds this device's prekeys, so that others can begin sessions with it.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.prekeys.unpublished().is_none()
    }

    /// Signs the server's challenge, for this device's own server and nobody else's.
    ///
    /// # Errors
    /// [`InputError::Challenge`] when the nonce is not one a challenge may hold.
    pub fn sign_challenge(
        &self,
        challenge: &v1::BeginAuthenticationResponse,
    ) -> Result<v1::CompleteAuthenticationRequest, InputError> {
        let signed = self
            .own
            .identity
            .sign_challenge(self.answer(challenge)?)
            .map_err(|_| InputError::Challenge)?;
        Ok(v1::CompleteAuthenticationRequest {
            challenge: Some(wire::from_signed(&signed)),
        })
    }

    /// Signs the deletion of this device's account, in answer to the server's challenge. It lets nobody in.
    ///
    /// # Errors
    /// [`InputError::Challenge`] when the nonce is not one a challenge may hold.
    pub fn sign_deletion(
        &self,
        challenge: &v1::BeginAuthenticationResponse,
    ) -> Result<v1::DeleteAccountRequest, InputError> {
        let signed = self
            .own
            .identity
            .sign_deletion(AccountDeletion(self.answer(challenge)?))
            .map_err(|_| InputError::Challenge)?;
        Ok(v1::DeleteAccountRequest {
            deletion: Some(wire::from_signed(&signed)),
        })
    }

    fn answer(&self, challenge: &v1::BeginAuthenticationResponse) -> Result<AuthChallenge, InputError> {
        Ok(AuthChallenge {
            server: self.own.server().ok_or(InputError::Internal)?,
            device_id: self.own.party.device_id,
            nonce: challenge.nonce.clone(),
            expires_at_ms: challenge.expires_at_ms,
        })
    }

    /// Every event the app has not acknowledged, oldest first: what to tell it after a start.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<Event> {
        self.events
            .iter()
            .map(|(id, kind)| Event {
                id: *id,
                kind: kind.clone(),
            })
            .collect()
    }
}
