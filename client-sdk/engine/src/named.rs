//! What an app asks for and is given a name of: messages, channels, posts.

use rand_core::CryptoRng;
use sottovoce_crypto::statements::{Address, ChannelId};

use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::error::InputError;
use crate::io::Outputs;
use crate::message::{Body, MessageId};

impl Engine {
    /// Queues a message as [`Input::Send`](crate::Input::Send) does, and names it.
    ///
    /// # Errors
    /// [`InputError`] when the message cannot be sent as it is; nothing is queued then.
    pub fn send(
        &mut self,
        now: u64,
        rng: &mut dyn CryptoRng,
        to: &Address,
        body: Body,
    ) -> Result<(MessageId, Outputs), InputError> {
        self.send_as(now, rng, to, body, Delivery::default())
    }

    /// Queues a message that is to be delivered in another way than at once, and names it.
    ///
    /// # Errors
    /// [`InputError`] when the message cannot be sent as it is; nothing is queued then.
    pub fn send_as(
        &mut self,
        now: u64,
        rng: &mut dyn CryptoRng,
        to: &Address,
        body: Body,
        delivery: Delivery,
    ) -> Result<(MessageId, Outputs), InputError> {
        let mut queued = None;
        let outputs = self.turn(now, rng, |engine, turn| {
            queued = Some(engine.queue(to, body, delivery, turn)?);
            Ok(())
        })?;
        Ok((queued.ok_or(InputError::Internal)?, outputs))
    }

    /// Founds a channel, whose owner and only member is this account, and names it.
    ///
    /// # Errors
    /// [`InputError`] when this device keeps as many channels as it may.
    pub fn create_channel(
        &mut self,
        now: u64,
        rng: &mut dyn CryptoRng,
    ) -> Result<(ChannelId, Outputs), InputError> {
        let mut founded = None;
        let outputs = self.turn(now, rng, |engine, turn| {
            founded = Some(engine.found_channel(turn)?);
            Ok(())
        })?;
        Ok((founded.ok_or(InputError::Internal)?, outputs))
    }

    /// Queues a post to a channel, and names it.
    ///
    /// # Errors
    /// [`InputError`] when it cannot be posted as it is; nothing is queued then.
    pub fn post(
        &mut self,
        now: u64,
        rng: &mut dyn CryptoRng,
        channel: ChannelId,
        body: Body,
    ) -> Result<(MessageId, Outputs), InputError> {
        let mut queued = None;
        let outputs = self.turn(now, rng, |engine, turn| {
            queued = Some(engine.queue_post(channel, body, turn)?);
            Ok(())
        })?;
        Ok((queued.ok_or(InputError::Internal)?, outputs))
    }
}
