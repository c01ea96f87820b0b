//! The channel roster: who is in a channel, as a chain of signed changes.

mod entry;
mod head;
mod recent;
mod state;

pub use entry::{
    Account, EntrySigner, MAX_ROSTER_ENTRY_LEN, ROSTER_SALT_LEN, Role, RosterChange, RosterEntry,
};
pub use head::{ChannelId, RosterHead, RosterView};
pub use recent::MAX_RECENT_ENTRIES;
pub use state::{MAX_BANNED, MAX_MEMBERS, Roster, RosterMember};
