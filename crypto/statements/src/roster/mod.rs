//! The channel roster: who is in a channel, as a chain of signed changes that client and server verify alike.

mod apply;
mod bytes;
mod catch_up;
mod check;
mod entry;
mod head;
mod invitation;
mod recent;
mod rules;
mod state;

pub use apply::{Applied, ApplyError, HeadStanding, NotAGenesis};
pub use bytes::{MAX_ROSTER_LEN, RosterStateError};
pub use catch_up::{CatchUpError, RunEntry};
pub use check::{CheckError, CheckedEntry, CurrentEntry, PastEntry};
pub use entry::{
    Account, EntrySigner, MAX_ROSTER_ENTRY_LEN, ROSTER_SALT_LEN, Role, RosterChange, RosterEntry,
};
pub use head::{ChannelId, RosterHead, RosterView};
pub use invitation::{JoinError, ROSTER_INVITATION_LEN, RosterInvitation};
pub use recent::MAX_RECENT_ENTRIES;
pub use rules::ChangeError;
pub use state::{MAX_BANNED, MAX_MEMBERS, Roster, RosterMember};
