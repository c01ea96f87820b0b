//! Reading a post: its fields, and the digest that knows it again.

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::{ErrorReason, PostRequest};
use sottovoce_statements::{Address, ChannelId};

use super::{channel_id, unknown};
use crate::app::App;
use crate::auth::random;
use crate::clock::now_ms;
use crate::fields;
use crate::limits::MAX_CIPHERTEXT_LEN;
use crate::refusal::Refusal;
use crate::store::{Caller, Post, PostRefusal};

/// Opens every digest of a post, so that it is a digest of nothing else, a send least of all.
const DIGEST_LABEL: &[u8] = b"Sottovoce-v1 post request";

impl App {
    pub(super) fn read_post(&self, caller: &Caller, request: PostRequest) -> Result<Post, Refusal> {
        let channel = channel_id(&request.channel_id)?;
        let client_message_id = fields::id(&request.client_message_id, "client_message_id")?;
        fields::count(request.ciphertext.len(), MAX_CIPHERTEXT_LEN, "ciphertext")?;
        Ok(Post {
            channel,
            sender: Address::parse(&caller.address).map_err(|_| Refusal::because(ErrorReason::Internal))?,
            device: caller.device,
            client_message_id,
            request_digest: digest(&channel, request.roster_height, &request.ciphertext),
            height: request.roster_height,
            ciphertext: request.ciphertext,
            post_id: random()?,
            receipt_id: random()?,
            now_ms: now_ms(),
            max_receipts: self.limits.max_receipts_per_device,
            max_waiting: self.limits.max_waiting_posts,
        })
    }
}

/// The ciphertext comes last, and needs no length before it.
fn digest(channel: &ChannelId, roster_height: u64, ciphertext: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DIGEST_LABEL);
    hash.update(channel.as_bytes());
    hash.update(roster_height.to_be_bytes());
    hash.update(ciphertext);
    hash.finalize().into()
}

impl From<PostRefusal> for Refusal {
    fn from(refusal: PostRefusal) -> Self {
        match refusal {
            PostRefusal::MessageIdConflict => Self::because(ErrorReason::MessageIdConflict),
            PostRefusal::ChannelUnknown => unknown(),
            PostRefusal::Stale { height } => Self::because(ErrorReason::RosterStale).number("height", height),
            PostRefusal::ReceiptsFull { limit } => Self::because(ErrorReason::ServerFull).limit(limit),
            PostRefusal::TooManyWaiting => Self::because(ErrorReason::ServerFull),
        }
    }
}
