//! Every limit of the server, each with its reason. What is a `const` here is part of the protocol;
//! what is a field of [`Limits`] is for the operator to choose.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{keepalive, seconds};
use crate::rates::RateLimits;

/// Longest ciphertext for one device, in bytes: the longest padded message of `crypto/SPEC.md` and its
/// header fit twice over.
pub const MAX_CIPHERTEXT_LEN: usize = 128 * 1024;

/// Devices an account may have, and so messages in one send and bundles in one fetch.
pub const MAX_DEVICES: usize = sottovoce_statements::MAX_DEVICES;

/// One-time prekeys in one request: a device's whole first supply.
pub const MAX_PUBLISHED_PREKEYS: usize = 100;

/// One-time KEM prekeys in one request: a device's whole first supply, some 65 KiB and as many signature
/// checks.
pub const MAX_PUBLISHED_KEM_PREKEYS: usize = 50;

/// What part of a mailbox may be scheduled, one in so many: its device cannot take that out before it is
/// due, and everybody else's mail must find room meanwhile.
pub(crate) const SCHEDULED_SHARE: u64 = 8;

/// Envelope ids in one acknowledgement: more than any window.
pub const MAX_ACKNOWLEDGED: usize = 256;

/// Largest request of every call but `PublishPrekeys` and `Send`, in bytes: a registration and an
/// acknowledgement of 256 envelopes each fit twice.
pub const MAX_REQUEST_LEN: usize = 16 * 1024;

/// Largest `PublishPrekeys`, in bytes: as many prekeys of each kind as may be in one, with statements as
/// long as they may be.
pub const MAX_PREKEYS_REQUEST_LEN: usize = 128 * 1024;

/// Largest `Send`, in bytes: the longest ciphertext for each device, and their frames.
pub const MAX_MAILBOX_REQUEST_LEN: usize = MAX_DEVICES * (MAX_CIPHERTEXT_LEN + 64) + 1024;

/// Largest `Post`, in bytes: the longest ciphertext, and its frame.
pub const MAX_POST_REQUEST_LEN: usize = MAX_CIPHERTEXT_LEN + 8 * 1024;

/// Largest `PutLinkingGrant`, in bytes: the longest padded grant of `crypto/SPEC.md` 15 fits.
pub const MAX_GRANT_REQUEST_LEN: usize = 80 * 1024;

/// Longest linking grant, in bytes: the longest padded one of `crypto/SPEC.md` 15.
pub(crate) const MAX_GRANT_LEN: usize = 72 * 1024;

/// How long a linking grant waits: as long as an offer is answered (`crypto/SPEC.md` 15.18).
pub(crate) const GRANT_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Manifests skipped in an update: a device that was to be linked and never answered leaves one, and a user
/// does not try that many in a row without the server having answered in between.
pub(crate) const MAX_SKIPPED_MANIFESTS: usize = 8;

/// Longest recovery blob, in bytes: that of `crypto/SPEC.md` 15.20 fits twice.
pub(crate) const MAX_RECOVERY_BLOB_LEN: usize = 4 * 1024;

/// Longest part of an upload, in bytes: few calls for a large blob, and little held for each.
pub const MAX_PART_LEN: usize = 1024 * 1024;

/// Largest `UploadPart`, in bytes: the longest part, and its frame.
pub const MAX_PART_REQUEST_LEN: usize = MAX_PART_LEN + 1024;

/// Longest piece of a download, in bytes.
pub const MAX_PIECE_LEN: usize = 64 * 1024;

/// Largest frame of a `Connect` stream, in bytes: a message to an account with one or two devices. What
/// is longer is for `Send`.
pub const MAX_FRAME_LEN: usize = 256 * 1024;

/// Messages in one `SendBatch`.
pub const MAX_BATCH: usize = 64;

/// Frames of a `Connect` stream that wait for their answers: beyond these no more are read.
pub(crate) const MAX_UNANSWERED: usize = 64;

/// How long a message may wait for its time, and how long it may be told to be kept.
pub(crate) const MAX_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Roster entries in one answer: with the longest addresses, 156 KiB.
pub const MAX_ROSTER_PAGE: usize = 256;

/// Channels in one answer.
pub const MAX_CHANNEL_PAGE: usize = 256;

/// Roster changes being worked out at one time: each may hold a roster of 3.5 MiB, and what is made of it.
/// More wait, within their deadline.
pub(crate) const MAX_ROSTER_CHANGES: usize = 4;

/// Fields in one request, each element of a repeated one counted: twice the longest acknowledgement.
/// An element costs its sender two bytes and the server fifty.
pub const MAX_REQUEST_PARTS: usize = 2 * MAX_ACKNOWLEDGED;

/// Fields in one `SendBatch`: 64 sends to sixteen devices each, what else is in a send, and room.
pub const MAX_BATCH_PARTS: usize = 2048;

/// Largest request to the health and reflection services, in bytes: they are asked for names.
pub(crate) const MAX_SIDE_REQUEST_LEN: usize = 1024;

/// Streams of these services at one time, of all and of one network address (IPv4) or customer (IPv6, 48
/// bits). Further ones are refused; health checks are none, and always answered.
pub(crate) const MAX_SIDE_STREAMS: usize = 256;
pub(crate) const MAX_SIDE_STREAMS_PER_ADDRESS: usize = 8;

/// How long such a stream lasts. Who watches begins another.
pub(crate) const SIDE_STREAM_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Bytes read of such a stream: reflection is asked for each message and service there is, and some more.
pub(crate) const MAX_SIDE_STREAM_LEN: usize = 64 * 1024;

/// What bodies are counted in, in bytes: most are no longer. Those that are not are short ones.
pub(crate) const BODY_UNIT: usize = 16 * 1024;

/// Short bodies that wait for their turn or are answered, 64 MiB, of calls with a token, and as many of calls
/// without; no long body keeps them waiting. More wait, within their deadline.
pub(crate) const MAX_SHORT_BODIES: usize = 4096;

/// Short bodies that are read or held at one time of one account, or network address as below.
pub(crate) const MAX_SHORT_BODIES_EACH: usize = 256;

/// Units of long bodies of calls without a token, being read or held until their call is answered, of all, as
/// they come, and of one network address (IPv4) or customer (IPv6, 48 bits), as they are announced: 64 MiB and
/// 4 MiB. More wait, within their deadline.
pub(crate) const MAX_OPEN_BODIES: usize = 4096;
pub(crate) const MAX_OPEN_BODIES_PER_ADDRESS: usize = 256;

/// Calls without a token being answered at one time. Few, because each may cost two signature checks
/// and a place in the writer's queue; more wait, within their deadline.
pub(crate) const MAX_OPEN_CALLS: usize = 32;

/// TLS handshakes under way at one time, some 30 KiB each, counted from when the client has said its
/// first; of all, and of one network address (IPv4) or customer (IPv6, 48 bits). More wait, within their time.
pub(crate) const MAX_HANDSHAKES: usize = 1024;
pub(crate) const MAX_HANDSHAKES_PER_ADDRESS: usize = 128;

/// What a connection may send beyond what the server has read, in bytes, all its calls together and one
/// alone (RFC 9113 section 6.9.1).
pub(crate) const CONNECTION_WINDOW: u32 = 256 * 1024;
pub(crate) const CALL_WINDOW: u32 = 64 * 1024;

/// Answers held for a call whose client does not read, in bytes, beyond the one message under way.
pub(crate) const SEND_BUFFER_LEN: usize = 64 * 1024;

/// Headers remembered to shorten the next ones of a connection, in bytes (RFC 7541 section 4.2): those of
/// a call fit several times, and an idle connection holds no more.
pub(crate) const HEADER_TABLE_LEN: u32 = 2 * 1024;

/// Calls taken back by their client before the server has looked at them, and refusals by the HTTP
/// library itself, before the connection is ended (CVE-2023-44487): nobody who means well has as many.
pub(crate) const MAX_RESETS: usize = 64;

/// What HTTP/1.1 buffers for a connection, in bytes: the longest head, with room for a piece of a body.
pub(crate) const HTTP1_BUFFER_LEN: usize = 64 * 1024;

/// Largest single response message, in bytes: an envelope with the longest ciphertext, twice.
pub const MAX_RESPONSE_LEN: usize = 2 * MAX_CIPHERTEXT_LEN;

/// Largest header list of a request, in bytes: a token and what clients and proxies add.
pub const MAX_HEADER_LIST_LEN: u32 = 16 * 1024;

/// What may differ between servers. The defaults suit one small machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections. Beyond these, new ones are closed at once. Default 20,000, or as many as the
    /// system lets the process have files open, less 200 for itself.
    pub max_connections: usize,
    /// Of these, from one network address (IPv4) or site (IPv6, 64 bits). Default 2,000: an office behind
    /// one address. Not counted for this machine itself and for trusted proxies.
    pub max_connections_per_address: usize,
    /// How long a TLS handshake may take, waiting for its turn included. Default 10 seconds.
    #[serde(with = "seconds")]
    pub handshake_timeout: Duration,
    /// How long a client may take nothing of an answer that is ready for it before its connection is
    /// closed. Default 30 seconds: until then the piece it does not take is held in memory.
    #[serde(with = "seconds")]
    pub stall_timeout: Duration,
    /// Concurrent calls on one connection. Default 100, what HTTP/2 (RFC 9113 section 6.5.2) recommends
    /// as a minimum.
    pub max_calls_per_connection: u32,
    /// Calls with a token being answered at one time, streams not counted once they flow; more wait,
    /// within their deadline. Default 256. A call has its turn once all of its body has come. Of bodies
    /// that come, wait or are answered as much is held as of so many of the longest, 512 MiB, 64 MiB of those
    /// of 16 KiB at most, and a copy of each that is answered while it is decoded. What is announced and has not
    /// come counts for its account alone.
    pub max_calls: usize,
    /// Of these, calls of one account, and of the bytes of bodies its share; more wait for the account's
    /// own. Default 32: it takes eight accounts to fill the server's turns.
    pub max_calls_per_account: usize,
    /// Of these, calls of one device; more wait for the device's own. Default 16: a client has a few
    /// under way.
    pub max_calls_per_device: usize,
    /// Open mailbox streams, one per device. Default 10,000.
    pub max_streams: usize,
    /// How long a call may take, however long its own deadline. Default 15 seconds: a healthy disk
    /// answers in milliseconds, and clients retry.
    #[serde(with = "seconds")]
    pub request_timeout: Duration,
    /// How long nothing of a request's body may come before the call is cut. Default 5 seconds: a
    /// client has its request ready, and only a lost connection pauses this long.
    #[serde(with = "seconds")]
    pub body_timeout: Duration,
    /// Bytes of a request's body that earn a second beyond `body_timeout`: who sends more slowly is cut once
    /// it was waited for so long altogether. Default 131,072, a megabit a second: the longest part of an upload
    /// has 13 seconds. 0 for no such bound.
    pub min_body_rate: u64,
    /// How long a new connection may stay silent. Default 10 seconds.
    #[serde(with = "seconds")]
    pub first_byte_timeout: Duration,
    /// Pause between HTTP/2 pings to a client, and how long its answer may take. Default 30 and
    /// 20 seconds: mobile networks forget idle connections, and dead ones must not hold their place.
    #[serde(with = "keepalive")]
    pub keepalive: (Duration, Duration),
    /// Accounts. Default 100,000.
    pub max_accounts: u64,
    /// How long a challenge is good for. Default 2 minutes.
    #[serde(with = "seconds")]
    pub challenge_lifetime: Duration,
    /// How long an access token is good for. Default 15 minutes.
    #[serde(with = "seconds")]
    pub access_token_lifetime: Duration,
    /// How long a node may go by what it knows of a token before it asks the database again. Default 5
    /// seconds: a revocation through another node, whose hint was lost, is noticed that late.
    #[serde(with = "seconds")]
    pub caller_memory: Duration,
    /// How long a session lasts unless it is refreshed, rounded down to a day. Default 30 days.
    #[serde(with = "seconds")]
    pub session_idle_lifetime: Duration,
    /// How long any session lasts, rounded down to a day. Default 365 days.
    #[serde(with = "seconds")]
    pub session_lifetime: Duration,
    /// Sessions per device; the one used longest ago gives way. Default 16: one is in use, the rest are
    /// leftovers of restarts.
    pub max_sessions_per_device: u32,
    /// Times a device may sign in, one right after the other, before it has to wait. Default 60: a client
    /// that loses its memory with every restart, in a bad hour.
    pub free_sign_ins: u32,
    /// How long it waits then, the first time; each time after that twice as long. Default 1 second.
    #[serde(with = "seconds")]
    pub sign_in_wait: Duration,
    /// The longest such wait. Default 15 minutes.
    #[serde(with = "seconds")]
    pub max_sign_in_wait: Duration,
    /// How long a device pauses for its sign-ins to be forgotten. Default 1 hour.
    #[serde(with = "seconds")]
    pub sign_in_memory: Duration,
    /// Replaced manifests kept per account; the oldest are forgotten. Default 1,000, up to 1.6 MiB: a
    /// device added or revoked every week for twenty years.
    pub max_manifests: u64,
    /// Linking grants that wait at one time. Default 1,000.
    pub max_linking_grants: u64,
    /// Of these, from one account. Default 4.
    pub max_linking_grants_per_account: u64,
    /// Bytes of all of them. Default 16 MiB.
    pub max_linking_bytes: u64,
    /// How long nobody may have the name of a deleted account, rounded down to a day. Default 30 days.
    #[serde(with = "seconds")]
    pub retired_name_lifetime: Duration,
    /// One-time prekeys kept per device. Default 200: two full supplies.
    pub max_one_time_prekeys: u32,
    /// One-time KEM prekeys kept per device. Default 100: two full supplies, 130 KiB.
    pub max_one_time_kem_prekeys: u32,
    /// Envelopes waiting in one mailbox. Default 10,000. A full mailbox refuses and drops nothing. An eighth
    /// at most may be scheduled for later.
    pub max_mailbox_messages: u64,
    /// Ciphertext waiting in one mailbox, in bytes. Default 64 MiB. An eighth at most may be scheduled for
    /// later.
    pub max_mailbox_bytes: u64,
    /// Envelopes a stream delivers beyond those acknowledged. Default 128.
    pub delivery_window: u64,
    /// On PostgreSQL: pause between looks after streams whose hints from other nodes were lost. Default 5
    /// seconds while hints come, 1 second without.
    #[serde(with = "seconds")]
    pub watch_interval: Duration,
    /// The same while there are no hints.
    #[serde(with = "seconds")]
    pub watch_interval_without_hints: Duration,
    /// How long the answer to a send is remembered for its repeats. Default 7 days.
    #[serde(with = "seconds")]
    pub receipt_lifetime: Duration,
    /// Answers remembered for one sending device, until a sweep has forgotten the oldest. Default
    /// 50,000, about 6 MiB: a message every twelve seconds for the seven days.
    pub max_receipts_per_device: u64,
    /// Largest blob, in bytes. Default 100 MiB.
    pub max_blob_size: u64,
    /// Bytes of all blobs an account holds, uploads counted whole from their beginning, and what it has given
    /// up until that is removed. Default 1 GiB.
    pub max_blob_bytes_per_account: u64,
    /// Blobs and uploads an account holds. Default 10,000.
    pub max_blobs_per_account: u64,
    /// Of these, uploads not finished. Default 16.
    pub max_uploads_per_account: u64,
    /// How long a blob may be held ahead; holding it again is always possible. Default 90 days.
    #[serde(with = "seconds")]
    pub max_blob_lifetime: Duration,
    /// How long an upload may take from its beginning to its end. Default 1 day: what is not finished
    /// counts for its account so long, unless it gives it up.
    #[serde(with = "seconds")]
    pub upload_lifetime: Duration,
    /// Downloads at one time; further ones are refused. Default 256: each may hold 640 KiB, 160 MiB in all.
    pub max_downloads: usize,
    /// Of these, to one network address (IPv4) or customer (IPv6, 48 bits). Default 32. Not counted for this
    /// machine itself and for trusted proxies.
    pub max_downloads_per_address: usize,
    /// How long a client may take for a piece of a download before it is cut. Default 30 seconds.
    #[serde(with = "seconds")]
    pub download_patience: Duration,
    /// Bytes of a download that earn a second beyond `download_patience`: who takes them more slowly is cut once
    /// it was waited for so long altogether, and may go on from where it was. Default 32,768: the largest blob
    /// keeps its place for 54 minutes at most. 0 for no such bound.
    pub min_download_rate: u64,
    /// How old objects in the storage must be that belong to no blob before they are removed. Default
    /// 1 day: time to notice that the wrong database was restored.
    #[serde(with = "seconds")]
    pub orphan_grace: Duration,
    /// Pause between looks for scheduled messages that are due and for envelopes that have expired. Default
    /// 1 second: that much later than asked for a message may come.
    #[serde(with = "seconds")]
    pub release_interval: Duration,
    /// Pause between sweeps of what has had its time. Default 1 hour.
    #[serde(with = "seconds")]
    pub sweep_interval: Duration,
    /// Channels an account may be in. Default 1,000.
    pub max_channels_per_account: u64,
    /// Entries of one roster. Default 100,000, some 60 MiB: room for every member of the largest channel
    /// to come and go five times.
    pub max_roster_entries: u64,
    /// Posts of one channel on their way to its members at one time. Default 1,000: beyond them posts are
    /// made faster than they are delivered.
    pub max_waiting_posts: u64,
    /// How long a server that was told to stop goes on as before while it says that it is not ready.
    /// Default 0; behind a load balancer, somewhat longer than it takes to notice.
    #[serde(with = "seconds")]
    pub drain_delay: Duration,
    /// How long open calls may take to end when the server stops. Default 10 seconds.
    #[serde(with = "seconds")]
    pub shutdown_grace: Duration,
    /// How often.
    pub rates: RateLimits,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            max_connections: 20_000,
            max_connections_per_address: 2_000,
            handshake_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            max_calls_per_connection: 100,
            max_calls: 256,
            max_calls_per_account: 32,
            max_calls_per_device: 16,
            max_streams: 10_000,
            request_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(5),
            min_body_rate: 128 * 1024,
            first_byte_timeout: Duration::from_secs(10),
            keepalive: (Duration::from_secs(30), Duration::from_secs(20)),
            max_accounts: 100_000,
            challenge_lifetime: Duration::from_secs(2 * MINUTE),
            access_token_lifetime: Duration::from_secs(15 * MINUTE),
            caller_memory: Duration::from_secs(5),
            session_idle_lifetime: Duration::from_secs(30 * 24 * HOUR),
            session_lifetime: Duration::from_secs(365 * 24 * HOUR),
            max_sessions_per_device: 16,
            free_sign_ins: 60,
            sign_in_wait: Duration::from_secs(1),
            max_sign_in_wait: Duration::from_secs(15 * MINUTE),
            sign_in_memory: Duration::from_secs(HOUR),
            max_manifests: 1_000,
            max_linking_grants: 1_000,
            max_linking_grants_per_account: 4,
            max_linking_bytes: 16 * 1024 * 1024,
            retired_name_lifetime: Duration::from_secs(30 * 24 * HOUR),
            max_one_time_prekeys: 200,
            max_one_time_kem_prekeys: 100,
            max_mailbox_messages: 10_000,
            max_mailbox_bytes: 64 * 1024 * 1024,
            delivery_window: 128,
            watch_interval: Duration::from_secs(5),
            watch_interval_without_hints: Duration::from_secs(1),
            receipt_lifetime: Duration::from_secs(7 * 24 * HOUR),
            max_receipts_per_device: 50_000,
            max_blob_size: 100 * 1024 * 1024,
            max_blob_bytes_per_account: 1024 * 1024 * 1024,
            max_blobs_per_account: 10_000,
            max_uploads_per_account: 16,
            max_blob_lifetime: Duration::from_secs(90 * 24 * HOUR),
            upload_lifetime: Duration::from_secs(24 * HOUR),
            max_downloads: 256,
            max_downloads_per_address: 32,
            download_patience: Duration::from_secs(30),
            min_download_rate: 32 * 1024,
            orphan_grace: Duration::from_secs(24 * HOUR),
            release_interval: Duration::from_secs(1),
            sweep_interval: Duration::from_secs(HOUR),
            max_channels_per_account: 1_000,
            max_roster_entries: 100_000,
            max_waiting_posts: 1_000,
            drain_delay: Duration::ZERO,
            shutdown_grace: Duration::from_secs(10),
            rates: RateLimits::default(),
        }
    }
}
