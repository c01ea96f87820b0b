//! Codes that are written down, what they open, and backups.

use serde_json::{Value, json};
use sottovoce_crypto::statements::Address;
use sottovoce_crypto::{AccountKeyPair, AccountMaterial, BackupRecord, RecoveryCode};

use super::accounts::manifest;
use super::backups::{backup, contact, read_backup, refused_backups, write_backup};
use super::by_hand::{hkdf, seal_x};
use super::draws::Draws;
use super::json::{array, bytes, hex, list, refusal, text};
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

pub(crate) fn material(file: &Value) -> AccountMaterial {
    let account = AccountKeyPair::from_secret_bytes(&array(&file["account secret"])).unwrap();
    let manifest = signed(&file["manifest"]).verify(&account.public()).unwrap();
    AccountMaterial::new(account, manifest).unwrap()
}

/// Account secret and signed manifest, as section 15 writes them.
pub(crate) fn material_bytes(file: &Value) -> Vec<u8> {
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

pub(crate) fn check(file: &Value) {
    let recovery = &file["recovery"];
    let code = RecoveryCode::parse(text(&recovery["code"])).unwrap();
    let drawn = RecoveryCode::generate(&mut Draws::given(&recovery["draws"]));
    assert_eq!(drawn.to_text().as_str(), text(&recovery["code"]));
    let address = Address::parse(text(&file["address"])).unwrap();
    assert_eq!(hex(*code.fetch_token(&address)), recovery["fetch token"]);
    let opened = code.open(&address, &bytes(&recovery["blob"])).unwrap();
    assert_eq!(hex(*opened.account().to_secret_bytes()), file["account secret"]);
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
                assert_eq!(hex(*material.account().to_secret_bytes()), file["account secret"]);
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
