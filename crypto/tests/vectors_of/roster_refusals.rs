//! What no roster takes in, what nobody joins by, and what no stored roster is.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    Account, Address, ChannelId, DeviceId, Role, Roster, RosterChange, RosterEntry, RosterInvitation,
};

use super::json::{bytes, hex, list, refusal, text};
use super::people::signed_json;
use super::roster::{Channel, after, catch_up, join, take};
use super::roster_joining_refusals::{invitations, joinings, states};
use super::statements::sign;

pub(crate) fn refused(file: &Value, channel: &Channel) -> Value {
    json!({
        "entries": entries(file, channel),
        "runs": runs(file),
        "joining": joinings(file, channel),
        "states": states(file),
        "invitations": invitations(file),
    })
}

pub(crate) fn check(file: &Value) {
    let refused = &file["refused"];
    for form in list(&refused["entries"]) {
        assert_eq!(
            entry_refusal(file, form),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    for form in list(&refused["runs"]) {
        assert_eq!(
            catch_up(file, form).unwrap_err(),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    for form in list(&refused["joining"]) {
        let [by_roster, _] = join(file, form, &bytes(&form["roster"]));
        assert_eq!(by_roster.unwrap_err(), text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&refused["states"]) {
        let error = refusal(Roster::from_bytes(&bytes(&form["state"])));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&refused["invitations"]) {
        let error = refusal(RosterInvitation::from_bytes(&bytes(&form["invitation"])));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
}

/// One entry that is not taken in, and after which one.
struct Form<'a> {
    reason: &'a str,
    after: usize,
    by: &'a str,
    device: usize,
    version: u64,
    change: RosterChange,
    alter: &'a dyn Fn(&mut RosterEntry),
}

fn entries(file: &Value, channel: &Channel) -> Value {
    let address = |name: &str| Address::parse(&format!("{name}@chat.example")).unwrap();
    let account = |name: &str| channel.person(name).account();
    let role = |name: &str, role| RosterChange::SetRole {
        address: address(name),
        role,
    };
    let nothing: &dyn Fn(&mut RosterEntry) = &|_| {};
    let form = |reason, after, by, change| Form {
        reason,
        after,
        by,
        device: 0,
        version: 1,
        change,
        alter: nothing,
    };
    let of_member = |reason, device, version, alter| Form {
        device,
        version,
        alter,
        ..form(reason, 6, "member", RosterChange::Confirm)
    };
    let altered = |reason, alter| Form {
        alter,
        ..form(reason, 7, "owner", RosterChange::Confirm)
    };
    let known = channel.rosters[6].head().hash;
    let linked = |entry: &mut RosterEntry| (entry.height, entry.previous) = (entry.height - 1, known);
    let forms = [
        form(
            "a plain member adds somebody",
            3,
            "member",
            RosterChange::Add(account("joiner")),
        ),
        form(
            "a plain member removes an admin",
            3,
            "member",
            RosterChange::Remove(address("admin")),
        ),
        form(
            "an admin removes the owner",
            3,
            "admin",
            RosterChange::Remove(address("owner")),
        ),
        form("an admin sets a role", 3, "admin", role("member", Role::Admin)),
        form(
            "an admin hands the channel over",
            3,
            "admin",
            RosterChange::HandOver(address("member")),
        ),
        form("the owner leaves", 3, "owner", RosterChange::Leave),
        form(
            "somebody who is no member confirms",
            3,
            "stranger",
            RosterChange::Confirm,
        ),
        form("somebody who left signs", 8, "joiner", RosterChange::Confirm),
        form(
            "a member is added again",
            4,
            "owner",
            RosterChange::Add(account("member")),
        ),
        form(
            "somebody who is banned is added",
            4,
            "owner",
            RosterChange::Add(account("banned")),
        ),
        form(
            "somebody is banned again",
            4,
            "owner",
            RosterChange::Ban(address("banned")),
        ),
        form(
            "a ban is lifted that there is not",
            4,
            "owner",
            RosterChange::Unban(address("stranger")),
        ),
        form(
            "somebody is removed who is no member",
            4,
            "owner",
            RosterChange::Remove(address("stranger")),
        ),
        form(
            "a role is set that it is already",
            4,
            "owner",
            role("admin", Role::Admin),
        ),
        form(
            "the owner's own role is set",
            4,
            "owner",
            role("owner", Role::Member),
        ),
        of_member("a device that was revoked", 1, 2, nothing),
        of_member("a manifest below that of the member's last entry", 0, 2, nothing),
        of_member("a manifest that nobody knows of yet", 0, 3, &|entry| {
            entry.signer.manifest_version = 4
        }),
        of_member("another manifest of this version", 0, 3, &|entry| {
            entry.signer.manifest_hash[0] ^= 1
        }),
        of_member("a device that never was", 0, 3, &|entry| {
            entry.signer.device_id = DeviceId::from_bytes([9; 16]);
        }),
        of_member("another account key", 0, 3, &|entry| {
            entry.signer.account = Account {
                account_key: sottovoce_crypto::statements::AccountKey::from_slice(
                    &super::statements::public(&[7; 32]),
                )
                .unwrap(),
                ..entry.signer.account.clone()
            };
        }),
        altered("another channel", &|entry| {
            entry.channel_id = ChannelId::from_bytes([0xcd; 32])
        }),
        altered("an entry too far on", &|entry| entry.height += 1),
        altered(
            "another entry at a known height, not on the one below",
            &|entry| entry.height -= 1,
        ),
        altered("another entry before it", &|entry| entry.previous[0] ^= 1),
        altered("another entry on a known one", &linked),
        Form {
            alter: &linked,
            ..form(
                "another entry on a known one that its signer may not make",
                7,
                "admin",
                RosterChange::HandOver(address("member")),
            )
        },
    ];
    let mut refused: Vec<_> = forms.iter().map(|form| entry_json(file, channel, form)).collect();
    refused.extend(byte_forms(file, channel));
    refused.into()
}

fn entry_json(file: &Value, channel: &Channel, form: &Form<'_>) -> Value {
    let person = channel.person(form.by);
    let roster = &channel.rosters[form.after];
    let mut entry = RosterEntry {
        channel_id: roster.channel_id(),
        height: roster.head().height + 1,
        previous: roster.head().hash,
        signer: person.signer(form.device, form.version),
        change: form.change.clone(),
    };
    (form.alter)(&mut entry);
    let signed = person.devices[form.device].sign_roster_entry(entry).unwrap();
    // Up to this entry of the file the member had two manifests, and three from the next on.
    let newest = if form.by == "member" && form.after >= 6 {
        3
    } else {
        1
    };
    let mut json = signed_json(&signed);
    json["reason"] = form.reason.into();
    json["after entry"] = form.after.into();
    json["signed by"] = form.by.into();
    json["newest manifest"] = newest.into();
    json["error"] = entry_refusal(file, &json).into();
    json
}

/// A good entry with other bytes in it, signed again or not.
fn byte_forms(file: &Value, channel: &Channel) -> Vec<Value> {
    let good = &file["entries"][2];
    let genesis = &file["entries"][0];
    let secret = channel.person("owner").devices[0].to_secret_bytes();
    let form = |reason: &str, of: &Value, after: usize, again: bool, change: &dyn Fn(&mut Vec<u8>)| {
        let mut statement = bytes(&of["statement"]);
        change(&mut statement);
        let signature = if again {
            sign(&secret, &statement).to_vec()
        } else {
            bytes(&of["signature"])
        };
        let mut json = json!({
            "reason": reason,
            "after entry": after,
            "signed by": "owner",
            "newest manifest": 1,
            "statement": hex(statement),
            "signature": hex(signature),
        });
        json["error"] = entry_refusal(file, &json).into();
        json
    };
    let end = bytes(&good["statement"]).len();
    // "Sottovoce-v1", purpose, signer, channel id, height, previous, then address, account key, device id.
    let manifest_version = 14 + 72 + 1 + 18 + 33 + 16;
    vec![
        form("an entry that is in already", good, 2, false, &|_| {}),
        form("a second genesis", genesis, 2, false, &|_| {}),
        form("a genesis of another channel", genesis, 2, true, &|statement| {
            *statement.last_mut().unwrap() ^= 1
        }),
        form("changed under its signature", good, 1, false, &|statement| {
            statement[end - 1] = 1
        }),
        form("the role of an owner", good, 1, true, &|statement| {
            statement[end - 1] = 3
        }),
        form("a change that there is not", good, 1, true, &|statement| {
            statement[manifest_version + 40] = 10
        }),
        form("a manifest of version 0", good, 1, true, &|statement| {
            statement[manifest_version..manifest_version + 8].fill(0);
        }),
        form("a height of 0", good, 1, true, &|statement| {
            statement[46..54].fill(0)
        }),
        form("an empty previous", good, 1, true, &|statement| {
            statement[54..86].fill(0)
        }),
        form("a byte too few", good, 1, true, &|statement| {
            statement.truncate(end - 1)
        }),
        form("a byte too many", good, 1, true, &|statement| statement.push(0)),
    ]
}

fn entry_refusal(file: &Value, form: &Value) -> String {
    let roster = Roster::from_bytes(&bytes(&after(file, &form["after entry"]))).unwrap();
    take(file, Some(roster), form)
        .map(|_| ())
        .expect_err(text(&form["reason"]))
}

fn runs(file: &Value) -> Value {
    let part = |entry: usize, taken_as: &str, newest: u64| json!({ "entry": entry, "taken as": taken_as, "newest manifest": newest });
    let forms = [
        ("a past entry that nobody confirms", vec![part(5, "past", 3)]),
        (
            "a past entry taken as a current one",
            vec![part(5, "current", 3), part(6, "current", 3)],
        ),
        ("a run with an entry missing", vec![part(6, "current", 3)]),
    ];
    forms
        .into_iter()
        .map(|(reason, run)| {
            let mut form = json!({ "reason": reason, "after entry": 4, "run": run });
            form["error"] = catch_up(file, &form).map(|_| ()).expect_err(reason).into();
            form
        })
        .collect()
}
