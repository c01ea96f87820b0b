//! Channels, as an app sees them: founded, changed, posted to.

use sottovoce_crypto::statements::{Account, Address, ChannelId, Role, RosterChange};
use sottovoce_engine::{Body, Input, InputError, MessageId};

use crate::client::Client;
use crate::driver::Command;
use crate::error::ClientError;

impl Client {
    /// Founds a channel. This account is its owner and only member;
    /// [`ChannelJoined`](crate::EventKind::ChannelJoined) tells when the server has it.
    ///
    /// # Errors
    /// [`ClientError`] when this device keeps as many channels as it may.
    pub async fn create_channel(&self) -> Result<ChannelId, ClientError> {
        self.ask(Command::CreateChannel).await?
    }

    /// Adds somebody, under the account key that this device trusts for the address: somebody that was
    /// written to, or heard from, before. [`ChannelChanged`](crate::EventKind::ChannelChanged) tells when
    /// it is done, [`ChannelRefused`](crate::EventKind::ChannelRefused) that it will not be.
    ///
    /// # Errors
    /// [`ClientError`] when the channel's rules do not allow it, or a change is under way.
    pub async fn add_member(&self, channel: ChannelId, address: &Address) -> Result<(), ClientError> {
        let account_key = self.trusted_account_key(address).await?;
        let account_key = account_key.ok_or(ClientError::Input(InputError::NoSuchAccountKey))?;
        let address = address.clone();
        let account = Account { address, account_key };
        self.change_roster(channel, RosterChange::Add(account)).await
    }

    /// Takes a member out. What is posted from then on they cannot read.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn remove_member(&self, channel: ChannelId, address: &Address) -> Result<(), ClientError> {
        self.change_roster(channel, RosterChange::Remove(address.clone()))
            .await
    }

    /// Takes somebody out, if they are in, and has nobody add them again.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn ban(&self, channel: ChannelId, address: &Address) -> Result<(), ClientError> {
        self.change_roster(channel, RosterChange::Ban(address.clone()))
            .await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn lift_ban(&self, channel: ChannelId, address: &Address) -> Result<(), ClientError> {
        self.change_roster(channel, RosterChange::Unban(address.clone()))
            .await
    }

    /// Makes a member an admin, or an admin a member.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn set_role(
        &self,
        channel: ChannelId,
        address: &Address,
        role: Role,
    ) -> Result<(), ClientError> {
        let address = address.clone();
        self.change_roster(channel, RosterChange::SetRole { address, role })
            .await
    }

    /// Makes a member the owner, and this account an admin.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn hand_over(&self, channel: ChannelId, address: &Address) -> Result<(), ClientError> {
        self.change_roster(channel, RosterChange::HandOver(address.clone()))
            .await
    }

    /// Leaves a channel. An owner hands it over first.
    ///
    /// # Errors
    /// As [`add_member`](Self::add_member).
    pub async fn leave_channel(&self, channel: ChannelId) -> Result<(), ClientError> {
        self.change_roster(channel, RosterChange::Leave).await
    }

    /// Posts words. See [`post`](Self::post).
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn post_text(&self, channel: ChannelId, text: &str) -> Result<MessageId, ClientError> {
        self.post(channel, Body::Text(text.to_owned())).await
    }

    /// Queues a post to a channel, durably, as [`send`](Client::send) does a message: every member's devices
    /// get it, and an event tells when the server has it.
    ///
    /// # Errors
    /// [`ClientError::Input`], and nothing is queued.
    pub async fn post(&self, channel: ChannelId, body: Body) -> Result<MessageId, ClientError> {
        self.ask(|reply| Command::Post(channel, body, reply)).await?
    }

    /// The channels this account is in.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn channels(&self) -> Result<Vec<ChannelId>, ClientError> {
        self.ask(Command::Channels).await
    }

    /// Who is in a channel, as this device knows it; nobody where this account is not.
    ///
    /// # Errors
    /// [`ClientError::Stopped`].
    pub async fn members(&self, channel: ChannelId) -> Result<Vec<(Address, Role)>, ClientError> {
        self.ask(|reply| Command::Members(channel, reply)).await
    }

    async fn change_roster(&self, channel: ChannelId, change: RosterChange) -> Result<(), ClientError> {
        self.tell(Input::ChangeRoster { channel, change }).await
    }
}
