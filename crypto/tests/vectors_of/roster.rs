//! A channel's roster: entries one after another, a run caught up with, somebody who joins.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    Account, Address, CurrentEntry, DeviceManifest, PastEntry, Role, Roster, RosterChange, RosterEntry,
    RosterInvitation, RunEntry, Signed, Verified,
};

use super::by_hand::sha256;
use super::draws::Draws;
use super::json::{bytes, hex, list, name_of, number, text};
use super::people::{signed, signed_json};
use super::roster_people::{Person, account, manifest};
use super::roster_refusals;

/// The people of the channel, and it as it stands after each entry.
pub(crate) struct Channel {
    pub(crate) people: Vec<Person>,
    pub(crate) rosters: Vec<Roster>,
    pub(crate) entries: Vec<Value>,
}

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(61);
    let people = ["owner", "admin", "member", "joiner", "banned", "stranger"]
        .map(|name| Person::new(draws, name))
        .into_iter()
        .collect();
    let mut channel = Channel {
        people,
        rosters: Vec::new(),
        entries: Vec::new(),
    };
    channel.person_mut("member").add_device(draws);
    draws.drawn();
    let salt = found(&mut channel, draws);
    let add = |who: &Person| RosterChange::Add(who.account());
    let address = |name: &str| Address::parse(&format!("{name}@chat.example")).unwrap();
    let role = |name: &str, role| RosterChange::SetRole {
        address: address(name),
        role,
    };
    let change = add(channel.person("admin"));
    channel.change("owner", 0, change);
    channel.change("owner", 0, role("admin", Role::Admin));
    let change = add(channel.person("member"));
    channel.change("admin", 0, change);
    channel.change("owner", 0, RosterChange::Ban(address("banned")));
    // With a device that is then revoked; whoever was away until then confirms or is confirmed.
    channel.change("member", 1, RosterChange::Confirm);
    channel.person_mut("member").revoke_second_device();
    channel.change("member", 0, RosterChange::Confirm);
    let change = add(channel.person("joiner"));
    channel.change("admin", 0, change);
    let joined = channel.rosters.len() - 1;
    channel.change("joiner", 0, RosterChange::Leave);
    channel.change("owner", 0, RosterChange::Remove(address("member")));
    channel.change("owner", 0, RosterChange::HandOver(address("admin")));
    channel.change("admin", 0, role("owner", Role::Member));
    channel.change("admin", 0, RosterChange::Unban(address("banned")));

    let roster = &channel.rosters[joined];
    let mut file = json!({
        "people": channel.people.iter().map(|person| (person.name.clone(), person.json())).collect::<serde_json::Map<_, _>>(),
        "draws": salt,
        "channel id": hex(roster.channel_id().as_bytes()),
        "entries": channel.entries,
        "catching up": [{
            "after entry": 4,
            "run": [
                { "entry": 5, "taken as": "past", "newest manifest": 3 },
                { "entry": 6, "taken as": "current", "newest manifest": 3 },
            ],
            "roster after": hex(channel.rosters[6].to_bytes()),
        }],
        "joining": {
            "after entry": joined,
            "inviter": "admin",
            "joiner": "joiner",
            "invitation": hex(roster.invitation().to_bytes()),
        },
    });
    file["refused"] = roster_refusals::refused(&file, &channel);
    file
}

fn found(channel: &mut Channel, draws: &mut Draws) -> Value {
    let owner = channel.person("owner");
    let signed = owner.devices[0].sign_genesis(draws, owner.signer(0, 1)).unwrap();
    let genesis = CurrentEntry::check(signed.clone(), owner.newest()).unwrap();
    let roster = Roster::found(&genesis).unwrap();
    assert_eq!(*roster.channel_id().as_bytes(), sha256(signed.statement_bytes()));
    channel.note("owner", 1, &signed, roster);
    draws.take(&["salt"])
}

impl Channel {
    pub(crate) fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).unwrap()
    }

    fn person_mut(&mut self, name: &str) -> &mut Person {
        self.people.iter_mut().find(|person| person.name == name).unwrap()
    }

    /// Somebody makes a change that is theirs to make.
    fn change(&mut self, name: &str, device: usize, change: RosterChange) {
        let mut roster = self.rosters.last().unwrap().clone();
        let person = self.person(name);
        let version = person.newest().version;
        let entry = roster.next_entry(change, person.signer(device, version)).unwrap();
        let signed = person.devices[device].sign_roster_entry(entry).unwrap();
        let entry = CurrentEntry::check(signed.clone(), person.newest()).unwrap();
        roster.apply(&entry).unwrap();
        self.note(name, version, &signed, roster);
    }

    fn note(&mut self, name: &str, version: u64, signed: &Signed<RosterEntry>, roster: Roster) {
        let mut json = signed_json(signed);
        json["height"] = signed.claimed().height.into();
        json["change"] = change_json(&signed.claimed().change);
        json["signed by"] = name.into();
        json["device id"] = hex(signed.claimed().signer.device_id.as_bytes());
        json["newest manifest"] = version.into();
        json["SHA-256"] = hex(sha256(signed.statement_bytes()));
        json["roster after"] = hex(roster.to_bytes());
        self.entries.push(json);
        self.rosters.push(roster);
    }
}

/// A change in words.
fn change_json(change: &RosterChange) -> Value {
    let name = match change {
        RosterChange::Genesis { salt } => return json!({ "kind": "genesis", "salt": hex(salt) }),
        RosterChange::Add(account) => {
            let key = hex(account.account_key.as_bytes());
            return json!({ "kind": "add", "address": account.address.as_str(), "account key": key });
        }
        RosterChange::SetRole { address, role } => {
            let role = if *role == Role::Admin { "admin" } else { "member" };
            return json!({ "kind": "set a role", "address": address.as_str(), "role": role });
        }
        RosterChange::Remove(_) => "remove",
        RosterChange::Ban(_) => "ban",
        RosterChange::Unban(_) => "lift a ban",
        RosterChange::HandOver(_) => "hand over",
        RosterChange::Leave => "leave",
        RosterChange::Confirm => "confirm",
    };
    json!({ "kind": name, "address": change.about().map(Address::as_str) })
}

pub(crate) fn check(file: &Value) {
    let mut roster = None;
    for entry in list(&file["entries"]) {
        assert_eq!(hex(sha256(&bytes(&entry["statement"]))), entry["SHA-256"]);
        let claimed = signed::<RosterEntry>(entry).claimed().clone();
        assert_eq!(
            (claimed.height, change_json(&claimed.change)),
            (number(&entry["height"]), entry["change"].clone())
        );
        let after = bytes(&entry["roster after"]);
        let next = take(file, roster, entry).unwrap();
        assert_eq!(next.to_bytes(), after);
        roster = Some(Roster::from_bytes(&after).unwrap());
    }
    assert_eq!(hex(roster.unwrap().channel_id().as_bytes()), file["channel id"]);
    for case in list(&file["catching up"]) {
        assert_eq!(
            hex(catch_up(file, case).unwrap().to_bytes()),
            case["roster after"]
        );
    }
    let joining = &file["joining"];
    let roster = bytes(&after(file, &joining["after entry"]));
    for joined in join(file, joining, &roster) {
        assert_eq!(joined.unwrap().to_bytes(), roster);
    }
    roster_refusals::check(file);
}

/// Takes an entry in as it arrives, or says why not.
pub(crate) fn take(file: &Value, roster: Option<Roster>, entry: &Value) -> Result<Roster, String> {
    let signed = Signed::<RosterEntry>::from_parts(&bytes(&entry["statement"]), &bytes(&entry["signature"]))
        .map_err(|error| name_of(&error))?;
    let newest = manifest(file, text(&entry["signed by"]), number(&entry["newest manifest"]));
    let entry = CurrentEntry::check(signed, &newest).map_err(|error| name_of(&error))?;
    match roster {
        None => Roster::found(&entry).map_err(|error| name_of(&error)),
        Some(mut roster) => {
            let before = roster.to_bytes();
            if let Err(error) = roster.apply(&entry) {
                assert_eq!(roster.to_bytes(), before, "a refusal changes nothing");
                return Err(name_of(&error));
            }
            Ok(roster)
        }
    }
}

/// Takes in a run of the file's entries, some of them under manifests that are past.
pub(crate) fn catch_up(file: &Value, case: &Value) -> Result<Roster, String> {
    let mut roster = Roster::from_bytes(&bytes(&after(file, &case["after entry"]))).unwrap();
    let mut run = Vec::new();
    for part in list(&case["run"]) {
        let entry = &file["entries"][usize::try_from(number(&part["entry"])).unwrap()];
        let signed = signed::<RosterEntry>(entry);
        let version = signed.claimed().signer.manifest_version;
        let name = text(&entry["signed by"]);
        let newest: Verified<DeviceManifest> = manifest(file, name, number(&part["newest manifest"]));
        run.push(match text(&part["taken as"]) {
            "past" => RunEntry::Past(
                PastEntry::check(signed, &newest, &manifest(file, name, version))
                    .map_err(|error| name_of(&error))?,
            ),
            _ => RunEntry::Current(CurrentEntry::check(signed, &newest).map_err(|error| name_of(&error))?),
        });
    }
    roster.catch_up(&run).map_err(|error| name_of(&error))?;
    Ok(roster)
}

/// Joins by the roster that is handed over, and by all entries up to where the inviter stood.
pub(crate) fn join(file: &Value, joining: &Value, roster: &[u8]) -> [Result<Roster, String>; 2] {
    let invitation = RosterInvitation::from_bytes(&bytes(&joining["invitation"])).unwrap();
    let (inviter, joiner): (Account, Account) = (
        account(file, text(&joining["inviter"])),
        account(file, text(&joining["joiner"])),
    );
    let last = usize::try_from(number(&joining["after entry"])).unwrap();
    let entries: Vec<Signed<RosterEntry>> = list(&file["entries"])[..=last].iter().map(signed).collect();
    [
        Roster::from_snapshot(roster, &invitation, &inviter, &joiner),
        Roster::from_history(&entries, &invitation, &inviter, &joiner),
    ]
    .map(|joined| joined.map_err(|error| name_of(&error)))
}

/// The roster after an entry.
pub(crate) fn after(file: &Value, entry: &Value) -> Value {
    file["entries"][usize::try_from(number(entry)).unwrap()]["roster after"].clone()
}
