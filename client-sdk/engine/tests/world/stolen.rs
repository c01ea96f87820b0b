//! What a thief of a node's records can do with them.

use sottovoce_crypto::{IdentityKeyPair, SealedEnvelope, Session};

use super::World;
use super::scripted::party_of;

/// What a thief of nothing but the session records holds.
pub(crate) fn sessions_on_disk(world: &World, node: usize) -> Vec<Session> {
    let records = world
        .disk(node)
        .iter()
        .filter(|(key, _)| key.starts_with("session/"));
    records
        .map(|(_, record)| {
            // The last field of the record, each field with four bytes of length before it.
            let mut rest = &record[1..];
            let mut last = rest;
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                (last, rest) = after.split_at(u32::from_be_bytes(*length) as usize);
            }
            Session::from_bytes(last, [] as [&[u8]; 0]).expect("a session")
        })
        .collect()
}

/// What is in an envelope sealed to a node, whose identity key is in its records.
pub(crate) fn unsealed(world: &World, node: usize, envelope: &[u8]) -> Vec<u8> {
    let own = &world.disk(node)["own"];
    let (mut rest, mut fields) = (&own[1..], Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field);
        rest = after;
    }
    let secret = fields[4].try_into().expect("a secret key");
    let identity = IdentityKeyPair::from_secret_bytes(&secret).expect("a secret key");
    let name = world.nodes[node].engine.address().to_string();
    let party = party_of(world, name.split_once('@').expect("an address").0);
    let envelope = SealedEnvelope::decode(envelope).expect("an envelope");
    envelope
        .open(&identity, &party)
        .expect("to this device")
        .message()
        .to_vec()
}
