//! The seeds of every fuzz target, run as ordinary tests, and each shown to get past the front door.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use std::fs;
use std::path::Path;

use sottovoce_crypto::statements::{
    AccountDeletion, AuthChallenge, DeviceBinding, DeviceManifest, KemPrekey, Roster, RosterEntry,
    RosterInvitation, Signed, SignedPrekey,
};
use sottovoce_crypto::{
    AttachmentPointer, KemPrekeyPair, LinkingOffer, OneTimePrekeyPair, PendingLink, ReceivingSenderKey,
    RecoveryCode, SealedEnvelope, SenderKeyDistribution, SenderKeyMessage, SendingSenderKey, Session,
    SessionMessage, SignedPrekeyPair, TrustedAccount,
};

/// Runs a target on each of its seeds, on each with one byte changed, and on each cut short.
fn run(target: &str, fuzz: fn(&[u8]), is_good: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let seed = fs::read(&path).unwrap();
        assert!(is_good(&seed), "{} is no good as a seed", path.display());
        fuzz(&seed);
        for position in (0..seed.len()).step_by(seed.len() / 32 + 1) {
            let mut changed = seed.clone();
            changed[position] ^= 0x11;
            fuzz(&changed);
            fuzz(&seed[..position]);
        }
        count += 1;
    }
    assert!(count > 1, "{target} has seeds");
}

#[test]
fn the_seeds_of_account_hold() {
    run("account", sottovoce_fuzz::account, |seed| {
        let text = std::str::from_utf8(seed).unwrap_or_default();
        TrustedAccount::from_bytes(seed).is_ok()
            || PendingLink::from_bytes(seed).is_ok()
            || LinkingOffer::from_bytes(seed).is_ok()
            || RecoveryCode::parse(text).is_ok()
    });
}

#[test]
fn the_seeds_of_account_seals_hold() {
    run("account_seals", sottovoce_fuzz::account_seals, |seed| {
        !seed.is_empty()
    });
}

#[test]
fn the_seeds_of_attachment_hold() {
    run("attachment", sottovoce_fuzz::attachment, |seed| {
        AttachmentPointer::from_bytes(seed).is_ok()
    });
}

#[test]
fn the_seeds_of_roster_hold() {
    run("roster", sottovoce_fuzz::roster, |seed| {
        Signed::<RosterEntry>::from_parts(seed, &[0; 64]).is_ok()
            || Roster::from_bytes(seed).is_ok()
            || RosterInvitation::from_bytes(seed).is_ok()
    });
}

#[test]
fn the_seeds_of_sealed_envelope_hold() {
    run("sealed_envelope", sottovoce_fuzz::sealed_envelope, |seed| {
        SealedEnvelope::decode(seed).is_ok()
    });
}

#[test]
fn the_seeds_of_sender_key_hold() {
    run("sender_key", sottovoce_fuzz::sender_key, |seed| {
        let none: [&[u8]; 0] = [];
        SenderKeyMessage::decode(seed).is_ok()
            || SenderKeyDistribution::decode(seed).is_ok()
            || SendingSenderKey::from_bytes(seed).is_ok()
            || ReceivingSenderKey::from_bytes(seed, none).is_ok()
            || seed.starts_with(&[0x01, 0x0c])
    });
}

#[test]
fn the_seeds_of_session_message_hold() {
    run("session_message", sottovoce_fuzz::session_message, |seed| {
        SessionMessage::decode(seed).is_ok()
    });
}

#[test]
fn the_seeds_of_statement_hold() {
    run("statement", sottovoce_fuzz::statement, |seed| {
        let signature = [0; 64];
        Signed::<DeviceManifest>::from_parts(seed, &signature).is_ok()
            || Signed::<DeviceBinding>::from_parts(seed, &signature).is_ok()
            || Signed::<SignedPrekey>::from_parts(seed, &signature).is_ok()
            || Signed::<AuthChallenge>::from_parts(seed, &signature).is_ok()
            || Signed::<AccountDeletion>::from_parts(seed, &signature).is_ok()
            || Signed::<KemPrekey>::from_parts(seed, &signature).is_ok()
    });
}

#[test]
fn the_seeds_of_state_hold() {
    run("state", sottovoce_fuzz::state, |seed| {
        // Records of skipped keys stand behind the session they belong to.
        let is_session = |records: usize| {
            let (state, records) = seed.split_at(seed.len().saturating_sub(78 * records));
            Session::from_bytes(state, records.chunks(78)).is_ok()
        };
        (0..4).any(is_session)
            || SignedPrekeyPair::from_bytes(seed).is_ok()
            || OneTimePrekeyPair::from_bytes(seed).is_ok()
            || KemPrekeyPair::from_bytes(seed).is_ok()
    });
}

#[test]
fn the_seeds_of_two_parties_hold() {
    run("two_parties", sottovoce_fuzz::two_parties, |seed| seed.len() > 1);
}

#[test]
fn the_seeds_are_of_this_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, name, contents) in sottovoce_fuzz::seeds() {
        let stored = fs::read(folder.join(target).join(name)).unwrap();
        assert!(stored == contents, "{target}/{name}: write the seeds again");
    }
}
