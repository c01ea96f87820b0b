//! What goes into the engine and what comes out: plain values, no sockets, no clock.

use std::collections::BTreeMap;

use sottovoce_crypto::LinkingOffer;
use sottovoce_crypto::statements::{AccountKey, Address, ChannelId, DeviceId, RosterChange};
use sottovoce_proto::v1;
use zeroize::Zeroizing;

use crate::event::{Event, EventId};
use crate::message::{Body, MessageId};

/// Something that happened, for the engine to deal with.
#[derive(Debug)]
pub enum Input {
    /// The app wants to send a message.
    Send {
        /// Whom to.
        to: Address,
        /// What.
        body: Body,
    },
    /// The app wants a message back that is to be delivered later.
    CancelScheduled(MessageId),
    /// The app has dealt with an event and need not see it again.
    AcknowledgeEvent(EventId),
    /// The app's user has looked at a changed account key and takes it for genuine.
    AcceptAccountKey {
        /// Whose.
        address: Address,
        /// The key that was looked at; another one is not accepted by this.
        account_key: AccountKey,
    },
    /// The app's user has looked at a changed account key and does not take it for genuine. The trusted
    /// one stays; should the server go on showing the other, the app is told again.
    RejectAccountKey {
        /// Whose.
        address: Address,
        /// The key that was looked at.
        account_key: AccountKey,
    },
    /// The app's user wants nothing to do with an address any more, or again.
    Block {
        /// Whose.
        address: Address,
        /// Whether it is to be blocked, or not any more.
        blocked: bool,
    },
    /// The app's user wants a new access key: who has the present one can no longer write unseen until
    /// told the new one.
    RotateAccessKey,
    /// The app's user wants a device on this account, and has its offer.
    LinkDevice(Box<LinkingOffer>),
    /// The app's user wants a device off this account.
    RevokeDevice(DeviceId),
    /// The app's user changes who is in a channel, and as what: adds, removes, bans, leaves, and so on.
    ChangeRoster {
        /// Which channel.
        channel: ChannelId,
        /// How.
        change: RosterChange,
    },
    /// The server says that a refresh token was used a second time, and has ended the session.
    TokenReused,
    /// The device is registered: the server has answered the request of [`Engine::registration`].
    ///
    /// [`Engine::registration`]: crate::Engine::registration
    Registered,
    /// The device is signed in at its server and calls can be made.
    Connected,
    /// The connection is gone. Calls in flight will not be answered; deliveries begin anew.
    Disconnected,
    /// The mailbox stream delivered an envelope.
    Delivered(v1::Envelope),
    /// The server says, unasked, how many one-time prekeys it has left: few.
    PrekeysLow(PrekeysLeft),
    /// A call was answered.
    Answered {
        /// Which one.
        call: CallId,
        /// With what.
        answer: Result<Reply, Refusal>,
    },
    /// Time has passed. Once in about 15 seconds is enough.
    Tick,
}

/// What the engine wants done. Persist [`Self::records`] in one durable transaction first; only then
/// make the calls and show the events. If persisting fails, drop the engine and load it anew.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Records to write, or to delete where there is no value, by key.
    pub records: BTreeMap<String, Option<Zeroizing<Vec<u8>>>>,
    /// Calls to make, in any order.
    pub calls: Vec<(CallId, Call)>,
    /// Events for the app, oldest first.
    pub events: Vec<Event>,
}

/// Ties an answer to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) u64);

/// A call to the server, made as [`Call::route`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `AccountService.GetAccount`
    GetAccount(v1::GetAccountRequest),
    /// `PrekeyService.PublishPrekeys`
    PublishPrekeys(v1::PublishPrekeysRequest),
    /// `PrekeyService.CountPrekeys`
    CountPrekeys(v1::CountPrekeysRequest),
    /// `PrekeyService.FetchPrekeyBundles`
    FetchPrekeyBundles(v1::FetchPrekeyBundlesRequest),
    /// `AccountService.SetAccessKey`
    SetAccessKey(v1::SetAccessKeyRequest),
    /// `AccountService.UpdateManifest`
    UpdateManifest(v1::UpdateManifestRequest),
    /// `AccountService.PutLinkingGrant`
    PutLinkingGrant(v1::PutLinkingGrantRequest),
    /// `ChannelService.CreateChannel`
    CreateChannel(v1::CreateChannelRequest),
    /// `ChannelService.AppendRosterEntry`
    AppendRosterEntry(v1::AppendRosterEntryRequest),
    /// `ChannelService.GetRosterEntries`
    GetRosterEntries(v1::GetRosterEntriesRequest),
    /// `ChannelService.ListChannels`
    ListChannels(v1::ListChannelsRequest),
    /// `ChannelService.Post`
    Post(v1::PostRequest),
    /// `MailboxService.Send`
    Send(v1::SendRequest),
    /// `MailboxService.SendSealed`
    SendSealed(v1::SendSealedRequest),
    /// `MailboxService.SendBatch`
    SendBatch(v1::SendBatchRequest),
    /// `MailboxService.CancelScheduled`
    CancelScheduled(v1::CancelScheduledRequest),
    /// `MailboxService.Acknowledge`
    Acknowledge(v1::AcknowledgeRequest),
}

/// Which connection a call is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The one that carries this device's access token.
    SignedIn,
    /// One that never carries a token: the server must not learn who calls. What entitles to the call is
    /// in the request.
    Anonymous,
}

impl Call {
    /// Which connection the call is made on. Making an anonymous one on the other, or beside a token,
    /// would tell the server what sealing hides.
    #[must_use]
    pub fn route(&self) -> Route {
        let anonymous = match self {
            Self::GetAccount(request) => !request.access_key.is_empty(),
            Self::FetchPrekeyBundles(request) => !request.access_key.is_empty(),
            Self::SendSealed(_) => true,
            _ => false,
        };
        if anonymous {
            Route::Anonymous
        } else {
            Route::SignedIn
        }
    }
}

/// The server's answer to a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Call::GetAccount`].
    Account(v1::GetAccountResponse),
    /// To [`Call::PublishPrekeys`] and [`Call::CountPrekeys`].
    PrekeysLeft(PrekeysLeft),
    /// To [`Call::FetchPrekeyBundles`].
    Bundles(v1::FetchPrekeyBundlesResponse),
    /// To [`Call::SetAccessKey`].
    AccessKeySet,
    /// To [`Call::UpdateManifest`].
    ManifestTaken,
    /// To [`Call::PutLinkingGrant`].
    GrantLeft,
    /// To [`Call::CreateChannel`].
    ChannelCreated,
    /// To [`Call::AppendRosterEntry`].
    EntryTaken,
    /// To [`Call::GetRosterEntries`].
    Entries(v1::GetRosterEntriesResponse),
    /// To [`Call::ListChannels`].
    Channels(v1::ListChannelsResponse),
    /// To [`Call::Post`].
    Posted,
    /// To [`Call::Send`] and [`Call::SendSealed`].
    Sent(v1::SendResponse),
    /// To [`Call::SendBatch`].
    SentBatch(v1::SendBatchResponse),
    /// To [`Call::CancelScheduled`]: whether there was something to take back.
    Cancelled(bool),
    /// To [`Call::Acknowledge`].
    Acknowledged,
}

/// How many one-time prekeys of this device the server still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrekeysLeft {
    /// X25519 ones.
    pub one_time: u32,
    /// KEM ones.
    pub one_time_kem: u32,
}

/// Why a call brought no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server refused, for this reason.
    Because(v1::ErrorReason),
    /// No answer that this protocol knows: lost, timed out, or refused without a reason.
    Unavailable,
}
