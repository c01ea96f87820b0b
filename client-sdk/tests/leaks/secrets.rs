//! The secrets in a client's store.

use std::collections::BTreeMap;
use std::path::Path;

use sottovoce_crypto::StorageKey;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

/// Every secret in a client's store, by the record it is in.
pub(crate) async fn secrets_of(folder: &Path, who: &str, when: &str) -> BTreeMap<String, Vec<u8>> {
    let key = StorageKey::from_bytes([7; 32]);
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.join(format!("{who}.db")))
        .connect()
        .await
        .expect("the client has closed it");
    let rows = sqlx::query("SELECT name, value FROM record")
        .fetch_all(&mut connection)
        .await
        .expect("rows");
    let mut secrets = BTreeMap::new();
    for row in rows {
        let (name, sealed): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        let record = key.open(&name, &sealed).expect("the right key");
        let (length, rest) = record.split_first_chunk::<2>().expect("a length");
        let (name, value) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        let record = String::from_utf8_lossy(name).into_owned();
        for (part, secret) in secrets_in(&record, &fields(&value[1..])) {
            secrets.insert(format!("{who} {when} {record}{part}"), secret);
        }
    }
    // Which device it is, is no secret.
    if !when.is_empty() {
        secrets.retain(|name, _| !name.ends_with(" own, id"));
    }
    secrets
}

/// The secrets in a record, by the formats of `crypto/SPEC.md` 11 and 13.
fn secrets_in(record: &str, fields: &[&[u8]]) -> Vec<(&'static str, Vec<u8>)> {
    let kind = record.split('/').next().unwrap_or_default();
    let mut found = Vec::new();
    let mut add = |part: &'static str, secret: &[u8]| found.push((part, secret.to_vec()));
    match kind {
        "own" => {
            add(", id", fields[2]);
            if !fields[3].is_empty() {
                add(", account", fields[3]);
            }
            add(", device", fields[4]);
        }
        "access-key" | "signed-prekey" => add("", &fields[0][2..34]),
        "one-time-prekey" => add("", &fields[0][6..38]),
        "last-resort-kem-prekey" | "one-time-kem-prekey" => add("", &fields[0][2..66]),
        "session" => {
            let state = fields.last().expect("the session");
            add(", root key", &state[67..99]);
            // A session of PQXDH: what heals it takes 12 bytes, then comes whose turn it is.
            match state[111] {
                1 => {
                    let end = state.len() - 9;
                    add(", ratchet secret", &state[end - 64..end - 32]);
                    add(", chain key", &state[end - 32..end]);
                }
                2 => {
                    add(", ratchet secret", &state[112..144]);
                    add(", chain key", &state[144..176]);
                }
                _ => add(", chain key", &state[144..176]),
            }
        }
        "sender-key" => {
            add(", chain key", &fields[0][86..118]);
            add(", signing secret", &fields[0][118..150]);
        }
        "member-key" => add(", chain key", &fields[0][86..118]),
        "skipped-key" | "member-key-skipped" => add("", &fields[0][fields[0].len() - 32..]),
        _ => {}
    }
    found
}

fn fields(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field);
        rest = after;
    }
    fields
}
