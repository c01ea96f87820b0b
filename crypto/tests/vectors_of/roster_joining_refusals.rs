//! What nobody joins a channel by, and what no stored roster and no invitation is.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{Roster, RosterInvitation};

use super::json::{bytes, hex, number, refusal};
use super::roster::{Channel, join};

pub(crate) fn joinings(file: &Value, channel: &Channel) -> Value {
    let good = &file["joining"];
    let at = usize::try_from(number(&good["after entry"])).unwrap();
    let roster = channel.rosters[at].to_bytes();
    let mut damaged = roster.clone();
    damaged[100] ^= 1;
    let other = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut invitation = bytes(&good["invitation"]);
        change(&mut invitation);
        hex(invitation)
    };
    let same = &|_: &mut Vec<u8>| {};
    let forms = [
        (
            "an earlier roster",
            channel.rosters[at - 1].to_bytes(),
            other(same),
            "admin",
            "joiner",
        ),
        (
            "a later roster",
            channel.rosters[at + 1].to_bytes(),
            other(same),
            "admin",
            "joiner",
        ),
        ("a damaged roster", damaged, other(same), "admin", "joiner"),
        (
            "an invitation to another channel",
            roster.clone(),
            other(&|bytes| bytes[1] ^= 1),
            "admin",
            "joiner",
        ),
        (
            "an invitation to another height",
            roster.clone(),
            other(&|bytes| bytes[40] ^= 1),
            "admin",
            "joiner",
        ),
        (
            "an invitation to another head",
            roster.clone(),
            other(&|bytes| bytes[41] ^= 1),
            "admin",
            "joiner",
        ),
        (
            "an invitation to another state",
            roster.clone(),
            other(&|bytes| bytes[73] ^= 1),
            "admin",
            "joiner",
        ),
        (
            "invited by a plain member",
            roster.clone(),
            other(same),
            "member",
            "joiner",
        ),
        (
            "invited by somebody who is no member",
            roster.clone(),
            other(same),
            "stranger",
            "joiner",
        ),
        (
            "joined by somebody who is no member",
            roster,
            other(same),
            "admin",
            "stranger",
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, roster, invitation, inviter, joiner)| {
            let mut form = json!({
                "reason": reason,
                "after entry": at,
                "inviter": inviter,
                "joiner": joiner,
                "invitation": invitation,
                "roster": hex(&roster),
            });
            let [by_roster, _] = join(file, &form, &roster);
            form["error"] = by_roster.map(|_| ()).expect_err(reason).into();
            form
        })
        .collect()
}

pub(crate) fn states(file: &Value) -> Value {
    let good = bytes(&file["entries"][7]["roster after"]);
    let with = |position: usize, field: &[u8]| {
        let mut changed = good.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let (height, departed_at) = (2 + 32, 2 + 32 + 40);
    let members = departed_at + 8 + 7 * 32;
    // The first member is the admin, by the address.
    let role = members + 4 + 1 + 18 + 32;
    let forms = [
        ("nothing", Vec::new()),
        ("another version", with(0, &[2])),
        ("another kind", with(1, &[1])),
        ("a channel that is not its genesis", with(2, &[0; 32])),
        ("a hash too few", with(height, &8_u64.to_be_bytes())),
        ("a hash too many", with(height, &6_u64.to_be_bytes())),
        ("somebody departed later", with(departed_at, &8_u64.to_be_bytes())),
        ("a member too few", with(members, &[0, 0, 0, 5])),
        ("no role", with(role, &[0])),
        ("a second owner", with(role, &[3])),
        ("members out of order", with(members + 5, b"z")),
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
    ];
    forms
        .into_iter()
        .map(|(reason, state)| {
            let error = refusal(Roster::from_bytes(&state));
            json!({ "reason": reason, "state": hex(state), "error": error })
        })
        .collect()
}

pub(crate) fn invitations(file: &Value) -> Value {
    let good = bytes(&file["joining"]["invitation"]);
    let forms = [
        ("nothing", Vec::new()),
        ("another version", [&[2], &good[1..]].concat()),
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
    ];
    forms
        .into_iter()
        .map(|(reason, invitation)| {
            let error = refusal(RosterInvitation::from_bytes(&invitation));
            json!({ "reason": reason, "invitation": hex(invitation), "error": error })
        })
        .collect()
}
