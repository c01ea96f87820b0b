//! People with devices and manifests, and a channel of theirs.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{
    Account, Address, CheckError, CurrentEntry, DeviceId, DeviceManifest, EntrySigner, ManifestDevice,
    PastEntry, Role, Roster, RosterChange, RosterEntry, Signed, Verified,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair};

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@chat.example")).unwrap()
}

/// An account with its devices, and every manifest it has had.
pub(crate) struct Person {
    pub(crate) account: AccountKeyPair,
    pub(crate) address: Address,
    pub(crate) devices: Vec<IdentityKeyPair>,
    pub(crate) manifests: Vec<Verified<DeviceManifest>>,
}

impl Person {
    /// Somebody with one device.
    pub(crate) fn new(rng: &mut ChaCha20Rng, name: &str) -> Self {
        let mut person = Self {
            account: AccountKeyPair::generate(rng),
            address: address(name),
            devices: vec![IdentityKeyPair::generate(rng)],
            manifests: Vec::new(),
        };
        person.publish(&[0]);
        person
    }

    /// A new manifest, with those of the devices ever had that are named by their index.
    pub(crate) fn publish(&mut self, devices: &[usize]) {
        let manifest = DeviceManifest {
            address: self.address.clone(),
            version: self.manifests.len() as u64 + 1,
            previous: self.manifests.last().map_or([0; 32], Verified::hash),
            devices: devices
                .iter()
                .map(|device| ManifestDevice {
                    device_id: device_id(*device),
                    identity_key: self.devices[*device].public(),
                })
                .collect(),
        };
        let signed = self.account.sign_manifest(manifest).unwrap();
        self.manifests
            .push(signed.verify(&self.account.public()).unwrap());
    }

    /// Links a second device.
    pub(crate) fn with_second_device(mut self, rng: &mut ChaCha20Rng) -> Self {
        self.devices.push(IdentityKeyPair::generate(rng));
        self.publish(&[0, 1]);
        self
    }

    pub(crate) fn newest(&self) -> &Verified<DeviceManifest> {
        self.manifests.last().unwrap()
    }

    pub(crate) fn account(&self) -> Account {
        Account {
            address: self.address.clone(),
            account_key: self.account.public(),
        }
    }

    /// A device as a signer, under one version of the manifest.
    pub(crate) fn signer_at(&self, device: usize, version: u64) -> EntrySigner {
        let manifest = &self.manifests[version as usize - 1];
        EntrySigner::on_manifest(manifest, device_id(device)).unwrap()
    }

    pub(crate) fn signer(&self) -> EntrySigner {
        self.signer_at(0, self.newest().version)
    }

    /// Signs any entry at all with the first device.
    pub(crate) fn sign(&self, entry: RosterEntry) -> Signed<RosterEntry> {
        self.devices[0].sign_roster_entry(entry).unwrap()
    }

    pub(crate) fn check(&self, signed: Signed<RosterEntry>) -> Result<CurrentEntry, CheckError> {
        CurrentEntry::check(signed, self.newest())
    }

    /// As somebody checks it who knows of the manifest it was made under.
    pub(crate) fn check_past(&self, signed: Signed<RosterEntry>) -> Result<PastEntry, CheckError> {
        let version = signed.claimed().signer.manifest_version;
        PastEntry::check(signed, self.newest(), &self.manifests[version as usize - 1])
    }

    /// The next entry, whether the roster's rules allow it or not.
    pub(crate) fn forge(&self, roster: &Roster, change: RosterChange) -> RosterEntry {
        next(roster, self.signer(), change)
    }

    /// The next entry, signed and checked, whether the rules allow it or not.
    pub(crate) fn entry(&self, roster: &Roster, change: RosterChange) -> CurrentEntry {
        self.check(self.sign(self.forge(roster, change))).unwrap()
    }

    /// Makes a change that must be allowed.
    pub(crate) fn changes(&self, roster: &mut Roster, change: RosterChange) -> CurrentEntry {
        let next = roster.next_entry(change, self.signer()).unwrap();
        let entry = self.check(self.sign(next)).unwrap();
        roster.apply(&entry).unwrap();
        entry
    }
}

pub(crate) fn next(roster: &Roster, signer: EntrySigner, change: RosterChange) -> RosterEntry {
    RosterEntry {
        channel_id: roster.channel_id(),
        height: roster.head().height + 1,
        previous: roster.head().hash,
        signer,
        change,
    }
}

pub(crate) fn device_id(device: usize) -> DeviceId {
    DeviceId::from_bytes([device as u8 + 1; 16])
}

pub(crate) fn found(rng: &mut ChaCha20Rng, owner: &Person) -> (Roster, CurrentEntry) {
    let signed = owner.devices[0].sign_genesis(rng, owner.signer()).unwrap();
    let genesis = owner.check(signed).unwrap();
    (Roster::found(&genesis).unwrap(), genesis)
}

/// A channel with somebody of every role, and all its entries.
pub(crate) struct Channel {
    pub(crate) owner: Person,
    pub(crate) admin: Person,
    pub(crate) other_admin: Person,
    pub(crate) member: Person,
    pub(crate) other_member: Person,
    pub(crate) outsider: Person,
    pub(crate) banned: Person,
    pub(crate) roster: Roster,
    pub(crate) entries: Vec<CurrentEntry>,
}

impl Channel {
    pub(crate) fn new(seed: u8) -> Self {
        let rng = &mut rng(seed);
        let [owner, admin, other_admin, member, other_member, outsider, banned] = [
            "owner", "admin", "admin2", "member", "member2", "outsider", "banned",
        ]
        .map(|name| Person::new(rng, name));
        let (mut roster, genesis) = found(rng, &owner);
        let mut entries = vec![genesis];
        for person in [&admin, &other_admin, &member, &other_member] {
            entries.push(owner.changes(&mut roster, RosterChange::Add(person.account())));
        }
        for person in [&admin, &other_admin] {
            let address = person.address.clone();
            let role = Role::Admin;
            entries.push(owner.changes(&mut roster, RosterChange::SetRole { address, role }));
        }
        entries.push(owner.changes(&mut roster, RosterChange::Ban(banned.address.clone())));
        Self {
            owner,
            admin,
            other_admin,
            member,
            other_member,
            outsider,
            banned,
            roster,
            entries,
        }
    }
}
