//! The roster itself: what a chain of entries comes to.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Address;
use crate::roster::recent::RecentEntries;
use crate::roster::{ChannelId, Role, RosterHead, RosterView};

/// Most members of a channel. A message to all of them is one ciphertext; a roster of them is 2 MB at most.
pub const MAX_MEMBERS: usize = 10_000;

/// Most banned addresses of a channel.
pub const MAX_BANNED: usize = 10_000;

/// Who is in a channel, at one place of its chain.
///
/// ```
/// # use ed25519_dalek::{Signer, SigningKey};
/// # use sottovoce_statements::{AccountKey, DeviceId, DeviceManifest, IdentityKey, ManifestDevice};
/// use sottovoce_statements::{
///     Account, Address, CurrentEntry, EntrySigner, Roster, RosterChange, RosterEntry, Signed,
/// };
/// # let (account, device) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
/// # let account_key = AccountKey::from_slice(account.verifying_key().as_bytes())?;
/// # let device_id = DeviceId::from_bytes([1; 16]);
/// # let devices = vec![ManifestDevice {
/// #     device_id,
/// #     identity_key: IdentityKey::from_slice(device.verifying_key().as_bytes())?,
/// # }];
/// # let address = Address::parse("alice@chat.example")?;
/// # let manifest = DeviceManifest { address, version: 1, previous: [0; 32], devices };
/// # let manifest = Signed::sign_with(manifest, |bytes| account.sign(bytes).to_bytes())?.verify(&account_key)?;
/// # let bob = Account { address: Address::parse("bob@chat.example")?, account_key };
/// # let sign = |entry| Signed::sign_with(entry, |bytes| device.sign(bytes).to_bytes());
///
/// // Alice's device begins a channel; it is on the manifest of hers that everybody knows.
/// let alice = EntrySigner::on_manifest(&manifest, device_id).ok_or("not on the manifest")?;
/// let genesis = sign(RosterEntry::genesis(alice.clone(), [7; 16]))?;
/// let mut roster = Roster::found(&CurrentEntry::check(genesis, &manifest)?)?;
///
/// // Then she adds Bob. Everybody, the server too, takes the entry in by the same steps.
/// let entry = roster.next_entry(RosterChange::Add(bob.clone()), alice)?;
/// let applied = roster.apply(&CurrentEntry::check(sign(entry)?, &manifest)?)?;
/// assert_eq!((applied.head.height, applied.departed), (1, false));
///
/// // Bob gets an invitation in a pairwise message, and the roster from the server.
/// let (bytes, invitation) = (roster.to_bytes(), roster.invitation());
/// # let alice = Account { address: manifest.address.clone(), account_key };
/// let bobs = Roster::from_snapshot(&bytes, &invitation, &alice, &bob)?;
/// assert_eq!(bobs.head(), roster.head());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pub(super) channel_id: ChannelId,
    pub(super) recent: RecentEntries,
    pub(super) departed_at: u64,
    pub(super) owner: Address,
    pub(super) members: BTreeMap<Address, RosterMember>,
    pub(super) banned: BTreeSet<Address>,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterMember {
    /// The 32 bytes of the account key the member was added with.
    pub account_key: [u8; 32],
    /// What the member may do.
    pub role: Role,
    /// Version of the newest manifest that an entry of the member's was made under, 0 before the first.
    pub manifest_version: u64,
}

impl Roster {
    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// The last entry.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        self.recent.head()
    }

    /// Height of the last entry that took somebody's access away, 0 if none did.
    #[must_use]
    pub fn departed_at(&self) -> u64 {
        self.departed_at
    }

    /// What a sender of channel messages needs to know.
    #[must_use]
    pub fn view(&self) -> RosterView {
        let RosterHead { height, hash } = self.head();
        RosterView {
            height,
            head: hash,
            departed_at: self.departed_at,
        }
    }

    /// The owner.
    #[must_use]
    pub fn owner(&self) -> &Address {
        &self.owner
    }

    pub(super) fn owner_key(&self) -> Option<[u8; 32]> {
        self.member(&self.owner).map(|owner| owner.account_key)
    }

    /// One member, or `None` if the address is not one.
    #[must_use]
    pub fn member(&self, address: &Address) -> Option<&RosterMember> {
        self.members.get(address)
    }

    /// All members, in the order of their addresses.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Address, &RosterMember)> {
        self.members.iter()
    }

    /// Whether nobody may add the address.
    #[must_use]
    pub fn is_banned(&self, address: &Address) -> bool {
        self.banned.contains(address)
    }

    /// All banned addresses, in order.
    pub fn banned(&self) -> impl ExactSizeIterator<Item = &Address> {
        self.banned.iter()
    }
}
