//! Codes that are written down, what they open, and backups.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{Account, AccountKey, Address};
use sottovoce_crypto::{
    AccountKeyPair, AccountMaterial, BACKUP_HEADER_LEN, BackupCode, BackupContact, BackupReader,
    BackupRecord, BackupWriter, ManifestView, RecoveryCode,
};

use super::accounts::manifest;
use super::by_hand::{hkdf, seal, seal_x};
use super::draws::Draws;
use super::json::{array, bytes, hex, list, name_of, number, refusal, text};
use super::people::{signed, signed_json};

const ALICE: &str = "alice@one.example";

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(72);
    let code = RecoveryCode::generate(draws);
    let code_draws = draws.take(&["recovery code"]);
    let manifest = manifest(1, ALICE, 1, [0; 32], &[1]);
    let mut file = json!({
        "address": ALICE,
        "account secret": hex([1; 32]),
        "account key": hex(manifest.signer().as_bytes()),
        "manifest": signed_json(manifest.signed()),
    });
    let material = material(&file);
    let blob = code.seal(draws, &material);
    let secret: [u8; 16] = array(&code_draws[0]["bytes"]);
    let field = [&[17], ALICE.as_bytes()].concat();
    let derive = |label: &str| hkdf::<32>(&[0; 32], &secret, &[label.as_bytes(), &field].concat());
    let (key, token) = (
        derive("Sottovoce-v1 recovery key"),
        derive("Sottovoce-v1 recovery fetch"),
    );
    assert_eq!(*code.fetch_token(material.address()), token);
    let mut inside = material_bytes(&file);
    inside.resize(1_634, 0);
    let nonce = draws.take(&["nonce"]);
    assert_eq!(
        blob,
        blob_by_hand(&key, &array(&nonce[0]["bytes"]), &inside),
        "by hand it is another blob"
    );
    file["recovery"] = json!({
        "draws": code_draws,
        "code": code.to_text().as_str(),
        "key": hex(key),
        "fetch token": hex(token),
        "fetch token, SHA-256": hex(super::by_hand::sha256(&token)),
        "draws of the blob": nonce,
        "inside": hex(&inside),
        "blob": hex(&blob),
    });
    file["recovery"]["refused blobs"] = refused_blobs(&file, &key, &inside);
    file["backup"] = backup(&file, draws);
    file["backup"]["refused"] = refused_backups(&file);
    let backup_code = text(&file["backup"]["code"]).to_owned();
    file["refused codes"] = refused_codes(&code.to_text(), &backup_code);
    file
}

fn material(file: &Value) -> AccountMaterial {
    let account = AccountKeyPair::from_secret_bytes(&array(&file["account secret"])).unwrap();
    let manifest = signed(&file["manifest"]).verify(&account.public()).unwrap();
    AccountMaterial::new(account, manifest).unwrap()
}

/// Account secret and signed manifest, as section 15 writes them.
fn material_bytes(file: &Value) -> Vec<u8> {
    let statement = bytes(&file["manifest"]["statement"]);
    let mut material = bytes(&file["account secret"]);
    material.extend(bytes(&file["manifest"]["signature"]));
    material.extend(u16::try_from(statement.len()).unwrap().to_be_bytes());
    material.extend(statement);
    material
}

fn blob_by_hand(key: &[u8; 32], nonce: &[u8; 24], inside: &[u8]) -> Vec<u8> {
    [[1].as_slice(), nonce, &seal_x(key, nonce, &[1], inside)].concat()
}

fn refused_blobs(file: &Value, key: &[u8; 32], inside: &[u8]) -> Value {
    let recovery = &file["recovery"];
    let good = bytes(&recovery["blob"]);
    let flipped = |position: usize| {
        let mut changed = good.clone();
        changed[position] ^= 1;
        changed
    };
    let holding = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut inside = inside.to_vec();
        change(&mut inside);
        blob_by_hand(key, &[0x44; 24], &inside)
    };
    let other = RecoveryCode::generate(&mut Draws::only(&[7; 16]))
        .to_text()
        .as_str()
        .to_owned();
    let code = text(&recovery["code"]).to_owned();
    let forms = [
        ("another code", other, ALICE, good.clone()),
        (
            "another address",
            code.clone(),
            "alicia@one.example",
            good.clone(),
        ),
        ("another version", code.clone(), ALICE, flipped(0)),
        ("another nonce", code.clone(), ALICE, flipped(1)),
        ("a damaged ciphertext", code.clone(), ALICE, flipped(30)),
        (
            "a byte too few",
            code.clone(),
            ALICE,
            good[..good.len() - 1].to_vec(),
        ),
        (
            "a byte too many",
            code.clone(),
            ALICE,
            [good.as_slice(), &[0]].concat(),
        ),
        ("nothing", code.clone(), ALICE, Vec::new()),
        (
            "an account secret inside that did not sign the manifest",
            code.clone(),
            ALICE,
            holding(&|inside| inside[0] ^= 1),
        ),
        (
            "a damaged signature inside",
            code.clone(),
            ALICE,
            holding(&|inside| inside[40] ^= 1),
        ),
        (
            "filling inside that is not zeros",
            code,
            ALICE,
            holding(&|inside| inside[1_633] = 1),
        ),
    ];
    forms
        .into_iter()
        .map(|(reason, code, address, blob)| {
            let mut form = json!({ "reason": reason, "code": code, "address": address, "blob": hex(blob) });
            form["error"] = blob_refusal(&form).into();
            form
        })
        .collect()
}

fn blob_refusal(form: &Value) -> String {
    let code = RecoveryCode::parse(text(&form["code"])).unwrap();
    let address = Address::parse(text(&form["address"])).unwrap();
    refusal(code.open(&address, &bytes(&form["blob"])).map(|_| ()))
}

fn refused_codes(recovery: &str, backup: &str) -> Value {
    let first = if recovery.starts_with('0') { "1" } else { "0" };
    let forms = [
        ("mistyped", format!("{first}{}", &recovery[1..])),
        ("a character too few", recovery[..recovery.len() - 1].to_owned()),
        ("a character too many", format!("{recovery}0")),
        ("a character that no code has", format!("U{}", &recovery[1..])),
        ("a backup code", backup.to_owned()),
        ("nothing", String::new()),
    ];
    forms
        .into_iter()
        .map(|(reason, code)| json!({ "reason": reason, "code": code, "error": refusal(RecoveryCode::parse(&code)) }))
        .collect()
}

fn backup(file: &Value, draws: &mut Draws) -> Value {
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

fn contact(json: &Value) -> BackupContact {
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

fn write_backup(file: &Value, json: &Value, draws: &mut Draws) -> Vec<u8> {
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

fn refused_backups(file: &Value) -> Value {
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

fn read_backup(form: &Value) -> Result<Vec<BackupRecord>, String> {
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

pub(crate) fn check(file: &Value) {
    let recovery = &file["recovery"];
    let code = RecoveryCode::parse(text(&recovery["code"])).unwrap();
    let drawn = RecoveryCode::generate(&mut Draws::given(&recovery["draws"]));
    assert_eq!(drawn.to_text().as_str(), text(&recovery["code"]));
    let address = Address::parse(text(&file["address"])).unwrap();
    assert_eq!(hex(&*code.fetch_token(&address)), recovery["fetch token"]);
    let opened = code.open(&address, &bytes(&recovery["blob"])).unwrap();
    assert_eq!(hex(&*opened.account().to_secret_bytes()), file["account secret"]);
    assert_eq!(signed_json(opened.manifest().signed()), file["manifest"]);
    let sealed = code.seal(&mut Draws::given(&recovery["draws of the blob"]), &opened);
    assert_eq!(hex(sealed), recovery["blob"]);
    for form in list(&recovery["refused blobs"]) {
        assert_eq!(blob_refusal(form), text(&form["error"]), "{}", form["reason"]);
    }
    for form in list(&file["refused codes"]) {
        let error = refusal(RecoveryCode::parse(text(&form["code"])));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }

    let backup = &file["backup"];
    let written = write_backup(file, backup, &mut Draws::given(&backup["draws"]));
    assert_eq!(hex(written), backup["backup"]);
    let mut history = Vec::new();
    for record in read_backup(backup).unwrap() {
        match record {
            BackupRecord::Account(material) => {
                assert_eq!(
                    hex(&*material.account().to_secret_bytes()),
                    file["account secret"]
                );
            }
            BackupRecord::Contact(read) => assert_eq!(*read, contact(&backup["contact"])),
            BackupRecord::History(item) => history.push(hex(&*item)),
            _ => panic!("a record that nobody knows"),
        }
    }
    assert_eq!(Value::from(history), backup["history"]);
    for form in list(&backup["refused"]) {
        let Err(error) = read_backup(form) else {
            panic!("{}: taken", form["reason"]);
        };
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
}
