//! Backups: what they bring back, and what is refused in place of one.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{Account, AccountKey, Address};
use sottovoce_crypto::{
    BACKUP_HEADER_LEN, BackupCode, BackupContact, BackupReader, BackupRecord, BackupWriter, ManifestView,
};

use super::accounts::manifest;
use super::by_hand::{hkdf, seal};
use super::draws::Draws;
use super::json::{array, bytes, hex, list, name_of, number, text};
use super::recovery::{material, material_bytes};

pub(crate) fn backup(file: &Value, draws: &mut Draws) -> Value {
    let code = BackupCode::generate(draws);
    let code_draws = draws.take(&["backup code"]);
    let bob = manifest(2, "bob@two.example", 3, [7; 32], &[1]);
    let mut json = json!({
        "draws of the code": code_draws,
        "code": code.to_text().as_str(),
        "contact": {
            "address": "bob@two.example",
            "account key": hex(bob.signer().as_bytes()),
            "verified": true,
            "version": bob.version,
            "hash": hex(bob.hash()),
        },
        "history": [hex("the first of two"), hex("the second")],
    });
    let written = write_backup(file, &json, draws);
    let drawn = draws.take(&["salt"]);
    let salt: [u8; 32] = array(&drawn[0]["bytes"]);
    let records = records(file, &json);
    let (by_hand, stream_key, chunk_key) = backup_by_hand(&array(&code_draws[0]["bytes"]), &salt, &records);
    assert_eq!(written, by_hand, "by hand it is another backup");
    json["draws"] = drawn;
    json["key"] = hex(stream_key);
    json["chunk key"] = hex(chunk_key);
    json["records"] = hex(records);
    json["backup"] = hex(written);
    json
}

pub(crate) fn contact(json: &Value) -> BackupContact {
    BackupContact {
        account: Account {
            address: Address::parse(text(&json["address"])).unwrap(),
            account_key: AccountKey::from_slice(&bytes(&json["account key"])).unwrap(),
        },
        verified: json["verified"] == true,
        view: ManifestView {
            version: number(&json["version"]),
            hash: array(&json["hash"]),
        },
    }
}

pub(crate) fn write_backup(file: &Value, json: &Value, draws: &mut Draws) -> Vec<u8> {
    let code = BackupCode::parse(text(&json["code"])).unwrap();
    let mut written = Vec::new();
    let mut writer = BackupWriter::new(draws, &code, &mut written);
    writer.account(&material(file), &mut written).unwrap();
    writer.contact(&contact(&json["contact"]), &mut written).unwrap();
    for item in list(&json["history"]) {
        writer.history(&bytes(item), &mut written).unwrap();
    }
    writer.finish(&mut written).unwrap();
    written
}

/// The text of a backup, by hand.
fn records(file: &Value, json: &Value) -> Vec<u8> {
    let contact = &json["contact"];
    let address = text(&contact["address"]).as_bytes();
    let mut body = vec![u8::try_from(address.len()).unwrap()];
    body.extend(address);
    body.extend(bytes(&contact["account key"]));
    body.push(u8::from(contact["verified"] == true));
    body.extend(number(&contact["version"]).to_be_bytes());
    body.extend(bytes(&contact["hash"]));
    let mut records = record(1, &material_bytes(file));
    records.extend(record(2, &body));
    for item in list(&json["history"]) {
        records.extend(record(3, &bytes(item)));
    }
    records
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [
        &[kind],
        u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(),
        body,
    ]
    .concat()
}

/// A backup of one chunk (15.23, 17).
fn backup_by_hand(code: &[u8; 16], salt: &[u8; 32], text: &[u8]) -> (Vec<u8>, [u8; 32], [u8; 32]) {
    let key: [u8; 32] = hkdf(
        salt,
        code,
        &[b"Sottovoce-v1 backup key".as_slice(), &[1]].concat(),
    );
    let header = [1, 0, 1, 0, 0];
    let chunk_key: [u8; 32] = hkdf(
        &[0; 32],
        &key,
        &[b"Sottovoce-v1 backup stream".as_slice(), &header].concat(),
    );
    let mut nonce = [0; 12];
    nonce[11] = 1;
    let sealed = seal(&chunk_key, &nonce, &[], text);
    ([[1].as_slice(), salt, &header, &sealed].concat(), key, chunk_key)
}

pub(crate) fn refused_backups(file: &Value) -> Value {
    let backup = &file["backup"];
    let good = bytes(&backup["backup"]);
    let flipped = |position: usize| {
        let mut changed = good.clone();
        changed[position] ^= 1;
        changed
    };
    let code = array(&backup["draws of the code"][0]["bytes"]);
    let holding = |text: &[u8]| backup_by_hand(&code, &[0x44; 32], text).0;
    let records = bytes(&backup["records"]);
    let account_len = 5 + material_bytes(file).len();
    let contact = records[account_len..account_len + 5 + 16 + 73].to_vec();
    let with = |position: usize, field: &[u8]| {
        let mut changed = contact.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        holding(&changed)
    };
    let other = BackupCode::generate(&mut Draws::only(&[7; 16]))
        .to_text()
        .as_str()
        .to_owned();
    let code = text(&backup["code"]);
    let forms = [
        ("another code", other.as_str(), good.clone()),
        ("another version", code, flipped(0)),
        ("another salt", code, flipped(1)),
        ("another version of the stream", code, flipped(33)),
        ("another length of a chunk", code, flipped(37)),
        ("a damaged chunk", code, flipped(40)),
        ("a byte too few", code, good[..good.len() - 1].to_vec()),
        ("a byte too many", code, [good.as_slice(), &[0]].concat()),
        ("a header only", code, good[..38].to_vec()),
        (
            "an account that does not stand first",
            code,
            holding(&[&contact, &records[..account_len]].concat()),
        ),
        (
            "two accounts",
            code,
            holding(&[&records[..account_len], &records[..account_len]].concat()),
        ),
        (
            "a record of a kind that there is not",
            code,
            holding(&record(4, b"words")),
        ),
        ("an empty piece of history", code, holding(&record(3, b""))),
        (
            "a record that ends too early",
            code,
            holding(&records[..records.len() - 1]),
        ),
        (
            "a contact with something left over",
            code,
            holding(&record(2, &[&contact[5..], &[0]].concat())),
        ),
        (
            "a contact neither verified nor not",
            code,
            with(5 + 16 + 32, &[2]),
        ),
        (
            "a contact whose manifest has version 0",
            code,
            with(5 + 16 + 33, &[0; 8]),
        ),
        (
            "a record longer than any",
            code,
            holding(&[&[3], 262_145_u32.to_be_bytes().as_slice()].concat()),
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, code, backup)| {
            let mut form = json!({ "reason": reason, "code": code, "backup": hex(backup) });
            form["error"] = match read_backup(&form) {
                Ok(_) => panic!("{reason}: taken"),
                Err(error) => error.into(),
            };
            form
        })
        .collect()
}

pub(crate) fn read_backup(form: &Value) -> Result<Vec<BackupRecord>, String> {
    let code = BackupCode::parse(text(&form["code"])).unwrap();
    let mut backup = bytes(&form["backup"]);
    let length = u64::try_from(backup.len()).unwrap();
    let (header, mut rest) = backup.split_at_mut(BACKUP_HEADER_LEN);
    let mut reader = BackupReader::new(&code, length, header).map_err(|error| name_of(&error))?;
    let mut records = Vec::new();
    while let Some(length) = reader.next_sealed_len() {
        let (chunk, after) = rest.split_at_mut(length);
        records.extend(reader.open_next(chunk).map_err(|error| name_of(&error))?);
        rest = after;
    }
    reader.finish().map_err(|error| name_of(&error))?;
    Ok(records)
}
