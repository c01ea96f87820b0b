//! Channels as the model of the server keeps them. It believes every entry: what is allowed is the
//! clients' to see, and the real server's own tests say what that one sees.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use sottovoce_crypto::statements::{DeviceId, RosterChange, RosterEntry, Signed};
use sottovoce_engine::{Refusal, Reply};
use sottovoce_proto::v1::{self, ErrorReason};

#[derive(Default)]
pub(crate) struct ModelChannels {
    pub(crate) all: BTreeMap<Vec<u8>, ModelChannel>,
    pub(crate) posted: BTreeSet<(DeviceId, Vec<u8>)>,
    /// How many of the newest entries are shown to nobody.
    pub(crate) withheld: u64,
}

#[derive(Default)]
pub(crate) struct ModelChannel {
    pub(crate) entries: Vec<v1::SignedStatement>,
    members: BTreeSet<String>,
    /// Up to which height those who are no members any more may read.
    left: BTreeMap<String, u64>,
}

impl ModelChannels {
    pub(crate) fn create(&mut self, request: &v1::CreateChannelRequest) -> Result<Reply, Refusal> {
        let genesis = request.genesis.clone().expect("a genesis");
        let channel = self.all.entry(hash_of(&genesis)).or_default();
        if channel.entries.is_empty() {
            channel.take(genesis);
        }
        Ok(Reply::ChannelCreated)
    }

    pub(crate) fn append(&mut self, request: &v1::AppendRosterEntryRequest) -> Result<Reply, Refusal> {
        let signed = request.entry.clone().expect("an entry");
        let entry = entry_in(&signed);
        let id = entry.claimed().channel_id.as_bytes().to_vec();
        let channel = self
            .all
            .get_mut(&id)
            .ok_or(Refusal::Because(ErrorReason::ChannelUnknown))?;
        if channel.entries.last() == Some(&signed) {
            return Ok(Reply::EntryTaken);
        }
        let newest = hash_of(channel.entries.last().expect("a genesis"));
        if entry.claimed().previous.as_slice() != newest {
            return Err(Refusal::Because(ErrorReason::RosterConflict));
        }
        channel.take(signed);
        Ok(Reply::EntryTaken)
    }

    pub(crate) fn entries(
        &self,
        address: &str,
        request: &v1::GetRosterEntriesRequest,
    ) -> Result<Reply, Refusal> {
        let unknown = Refusal::Because(ErrorReason::ChannelUnknown);
        let channel = self.all.get(&request.channel_id).ok_or(unknown)?;
        let upto = if channel.members.contains(address) {
            channel.head() - self.withheld
        } else {
            *channel.left.get(address).ok_or(unknown)?
        };
        let from = usize::try_from(request.from_height).expect("small");
        let entries = channel
            .entries
            .iter()
            .take(usize::try_from(upto).expect("small") + 1);
        Ok(Reply::Entries(v1::GetRosterEntriesResponse {
            entries: entries.skip(from).cloned().collect(),
            head_height: upto,
        }))
    }

    pub(crate) fn list(&self, address: &str) -> Reply {
        let channels = self.all.iter();
        let ours = channels.filter(|(_, channel)| channel.members.contains(address));
        let summaries = ours.map(|(id, channel)| v1::ChannelSummary {
            channel_id: id.clone(),
            head_height: channel.head() - self.withheld,
            head_hash: hash_of(channel.entries.last().expect("one")),
        });
        Reply::Channels(v1::ListChannelsResponse {
            channels: summaries.collect(),
        })
    }

    /// The members that a post goes to.
    pub(crate) fn post(&self, sender: &str, request: &v1::PostRequest) -> Result<BTreeSet<String>, Refusal> {
        let channel = self.all.get(&request.channel_id);
        let channel = channel
            .filter(|channel| channel.members.contains(sender))
            .ok_or(Refusal::Because(ErrorReason::ChannelUnknown))?;
        if request.roster_height != channel.head() {
            return Err(Refusal::Because(ErrorReason::RosterStale));
        }
        Ok(channel.members.clone())
    }
}

impl ModelChannel {
    fn head(&self) -> u64 {
        self.entries.len() as u64 - 1
    }

    fn take(&mut self, signed: v1::SignedStatement) {
        let entry = entry_in(&signed).claimed().clone();
        self.entries.push(signed);
        let gone = match &entry.change {
            RosterChange::Genesis { .. } => {
                self.members.insert(entry.signer.account.address.to_string());
                return;
            }
            RosterChange::Add(account) => {
                self.members.insert(account.address.to_string());
                return;
            }
            RosterChange::Remove(address) | RosterChange::Ban(address) => address.to_string(),
            RosterChange::Leave => entry.signer.account.address.to_string(),
            _ => return,
        };
        self.members.remove(&gone);
        self.left.insert(gone, entry.height);
    }
}

fn hash_of(signed: &v1::SignedStatement) -> Vec<u8> {
    Sha256::digest(&signed.statement).to_vec()
}

fn entry_in(signed: &v1::SignedStatement) -> Signed<RosterEntry> {
    Signed::from_parts(&signed.statement, &signed.signature).expect("a well-formed entry")
}
