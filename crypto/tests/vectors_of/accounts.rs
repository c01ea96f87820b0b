//! Accounts as they are shown, what is made of them over time, and the numbers two people compare.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    AccountKey, Address, DeviceBinding, DeviceId, DeviceManifest, IdentityKey, ManifestDevice, Signed,
    Verified,
};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, ManifestView, SafetyNumber, TrustedAccount, VerifiedAccount,
};

use super::json::{array, bytes, hex, list, name_of, number, refusal, text};
use super::people::{signed, signed_json};
use super::safety_numbers::{account, refused_scans, safety_number, scan_refusal};
use super::trust::{refused_states, take_step, trust};

pub(crate) fn generate() -> Value {
    let shown = shown_accounts();
    let mut file = json!({
        "account secrets": { "alice": hex([1; 32]), "alice, later": hex([3; 32]), "bob": hex([2; 32]) },
        "identity secrets": "of device n, whose id is n sixteen times: n thirty-two times",
        "shown": shown,
    });
    file["refused when shown"] = refused_when_shown(&file);
    file["trust"] = trust(&file);
    file["reports"] = reports(&file);
    file["next manifests"] = next_manifests(&file);
    file["safety numbers"] = json!([safety_number("alice@one.example", 1, "bob@two.example", 2)]);
    file["refused scans"] = refused_scans(&file["safety numbers"][0]);
    file["refused states"] = refused_states(&file);
    file
}

pub(crate) fn check(file: &Value) {
    for shown in list(&file["shown"]) {
        let account = verify(shown).unwrap();
        assert_eq!(view_json(&account.view()), shown["view"]);
    }
    for form in list(&file["refused when shown"]) {
        assert_eq!(refusal(verify(form)), text(&form["error"]), "{}", form["reason"]);
    }
    let mut steps = file["trust"].clone();
    for step in steps.as_array_mut().unwrap() {
        let stored = step.clone();
        for field in ["result", "state after", "gone", "new"] {
            step[field] = Value::Null;
        }
        let before = bytes(&stored["state before"]);
        take_step(
            file,
            step,
            (!before.is_empty()).then(|| TrustedAccount::from_bytes(&before).unwrap()),
        );
        assert_eq!(*step, stored);
    }
    for report in list(&file["reports"]) {
        let compared = view(&report["ours"]).compare(&view(&report["reported"]));
        assert_eq!(format!("{compared:?}"), text(&report["means"]));
    }
    for form in list(&file["next manifests"]) {
        let next = next_manifest(file, form);
        assert_eq!(
            next,
            (form["manifest"].clone(), form["error"].clone()),
            "{}",
            form["reason"]
        );
    }
    for number in list(&file["safety numbers"]) {
        let (ours, theirs) = (account(&number["ours"]), account(&number["theirs"]));
        let (here, there) = (
            SafetyNumber::between(&ours, &theirs),
            SafetyNumber::between(&theirs, &ours),
        );
        assert_eq!(here.to_string(), text(&number["digits"]));
        assert_eq!(there.to_string(), text(&number["digits"]));
        assert_eq!(hex(here.to_scannable()), number["shown for scanning"]);
        assert_eq!(there.compare(&bytes(&number["shown for scanning"])), Ok(()));
    }
    for form in list(&file["refused scans"]) {
        assert_eq!(
            scan_refusal(&file["safety numbers"][0], form),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    for form in list(&file["refused states"]) {
        let error = refusal(TrustedAccount::from_bytes(&bytes(&form["state"])));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
}

pub(crate) fn identity(number: u8) -> IdentityKeyPair {
    IdentityKeyPair::from_secret_bytes(&[number; 32]).unwrap()
}

pub(crate) fn device(number: u8) -> ManifestDevice {
    ManifestDevice {
        device_id: DeviceId::from_bytes([number; 16]),
        identity_key: identity(number).public(),
    }
}

pub(crate) fn manifest(
    secret: u8,
    address: &str,
    version: u64,
    previous: [u8; 32],
    devices: &[u8],
) -> Verified<DeviceManifest> {
    let account = AccountKeyPair::from_secret_bytes(&[secret; 32]).unwrap();
    let manifest = DeviceManifest {
        address: Address::parse(address).unwrap(),
        version,
        previous,
        devices: devices.iter().map(|number| device(*number)).collect(),
    };
    let signed = account.sign_manifest(manifest).unwrap();
    signed.verify(&account.public()).unwrap()
}

pub(crate) fn binding(manifest: &Verified<DeviceManifest>, number: u8) -> Signed<DeviceBinding> {
    let binding = DeviceBinding {
        account_key: *manifest.signer(),
        address: manifest.address.clone(),
        device_id: DeviceId::from_bytes([number; 16]),
    };
    identity(number).sign_binding(binding).unwrap()
}

/// The accounts that a server shows in the course of time, by their place in the list.
fn shown_accounts() -> Value {
    let alice = "alice@one.example";
    let first = manifest(1, alice, 1, [0; 32], &[1]);
    let second = manifest(1, alice, 2, first.hash(), &[1, 2]);
    let third = manifest(1, alice, 3, second.hash(), &[2]);
    let fifth = manifest(1, alice, 5, [0x44; 32], &[2, 3]);
    let other_second = manifest(1, alice, 2, first.hash(), &[1, 4]);
    let other_third = manifest(1, alice, 3, [0x33; 32], &[2]);
    let later = manifest(3, alice, 1, [0; 32], &[5]);
    let bob = manifest(2, "bob@two.example", 1, [0; 32], &[1]);
    [
        ("the first", first, vec![1]),
        ("the second", second, vec![1, 2]),
        ("the third", third, vec![2]),
        ("the fifth", fifth, vec![2, 3]),
        ("another second", other_second, vec![1, 4]),
        ("a third on another second", other_third, vec![2]),
        ("the first of another account key", later, vec![5]),
        ("somebody else's", bob, vec![1]),
    ]
    .iter()
    .map(|(what, manifest, devices)| {
        let bindings: Vec<_> = devices
            .iter()
            .map(|number| signed_json(&binding(manifest, *number)))
            .collect();
        json!({
            "what": what,
            "address": manifest.address.as_str(),
            "account key": hex(manifest.signer().as_bytes()),
            "manifest": signed_json(manifest.signed()),
            "bindings": bindings,
            "view": view_json(&ManifestView::of(manifest)),
        })
    })
    .collect()
}

fn refused_when_shown(file: &Value) -> Value {
    let mut forms = Vec::new();
    let mut add = |reason: &str, change: &dyn Fn(&mut Value)| {
        let mut form = file["shown"][1].clone();
        form["what"] = Value::Null;
        form["view"] = Value::Null;
        form["reason"] = reason.into();
        change(&mut form);
        form["error"] = refusal(verify(&form)).into();
        forms.push(form);
    };
    let shown = |place: usize| &file["shown"][place];
    add("for another address", &|form| {
        form["address"] = "alicia@one.example".into()
    });
    add("under another account key", &|form| {
        form["account key"] = shown(6)["account key"].clone()
    });
    add("a binding missing", &|form| {
        form["bindings"].as_array_mut().unwrap().pop();
    });
    add("a binding too many", &|form| {
        let again = form["bindings"][1].clone();
        form["bindings"].as_array_mut().unwrap().push(again);
    });
    add("bindings in another order", &|form| {
        form["bindings"].as_array_mut().unwrap().swap(0, 1)
    });
    add("a binding of another device", &|form| {
        form["bindings"][1] = shown(4)["bindings"][1].clone()
    });
    add("a binding to another account", &|form| {
        form["bindings"][0] = shown(7)["bindings"][0].clone()
    });
    add("a binding with a damaged signature", &|form| {
        let mut signature = bytes(&form["bindings"][0]["signature"]);
        signature[0] ^= 1;
        form["bindings"][0]["signature"] = hex(signature);
    });
    forms.into()
}

pub(crate) fn verify(shown: &Value) -> Result<VerifiedAccount, sottovoce_crypto::VerifyAccountError> {
    VerifiedAccount::verify(
        &Address::parse(text(&shown["address"])).unwrap(),
        &AccountKey::from_slice(&bytes(&shown["account key"])).unwrap(),
        signed(&shown["manifest"]),
        list(&shown["bindings"]).iter().map(signed).collect(),
    )
}

fn view_json(view: &ManifestView) -> Value {
    json!({ "version": view.version, "hash": hex(view.hash) })
}

fn view(value: &Value) -> ManifestView {
    ManifestView {
        version: number(&value["version"]),
        hash: array(&value["hash"]),
    }
}

fn reports(file: &Value) -> Value {
    [(1, 1), (1, 0), (1, 2), (1, 4)]
        .iter()
        .map(|(ours, reported)| {
            let (ours, reported) = (&file["shown"][ours]["view"], &file["shown"][reported]["view"]);
            let means = format!("{:?}", view(ours).compare(&view(reported)));
            json!({ "ours": ours, "reported": reported, "means": means })
        })
        .collect()
}

fn next_manifests(file: &Value) -> Value {
    let mut forms = Vec::new();
    let mut add = |reason: &str, account: &str, current: usize, added: &[u8], revoked: &[u8]| {
        let devices: Vec<_> = added
            .iter()
            .map(|number| {
                json!({ "device id": hex([*number; 16]), "identity key": hex(device(*number).identity_key.as_bytes()) })
            })
            .collect();
        let mut form = json!({
            "reason": reason,
            "account": account,
            "current": current,
            "added": devices,
            "revoked": revoked.iter().map(|number| hex([*number; 16])).collect::<Vec<_>>(),
        });
        let (manifest, error) = next_manifest(file, &form);
        form["manifest"] = manifest;
        form["error"] = error;
        forms.push(form);
    };
    add("a device is added", "alice", 0, &[2], &[]);
    add("one is revoked and one added", "alice", 1, &[3], &[1]);
    add("nothing changes but the version", "alice", 0, &[], &[]);
    add("refused: not the account's manifest", "bob", 0, &[2], &[]);
    add("refused: a device that is there already", "alice", 0, &[1], &[]);
    add(
        "refused: a device that is revoked with it",
        "alice",
        1,
        &[1],
        &[1],
    );
    add("refused: a device that is not there", "alice", 0, &[], &[2]);
    add("refused: no device left", "alice", 0, &[], &[1]);
    let many: Vec<u8> = (2..=17).collect();
    add("refused: 17 devices", "alice", 0, &many, &[]);
    forms.into()
}

/// The next manifest, or why there is none.
fn next_manifest(file: &Value, form: &Value) -> (Value, Value) {
    let secret = &file["account secrets"][text(&form["account"])];
    let account = AccountKeyPair::from_secret_bytes(&array(secret)).unwrap();
    let shown = &file["shown"][usize::try_from(number(&form["current"])).unwrap()];
    let current = verify(shown).unwrap().manifest().clone();
    let added: Vec<_> = list(&form["added"])
        .iter()
        .map(|device| ManifestDevice {
            device_id: DeviceId::from_bytes(array(&device["device id"])),
            identity_key: IdentityKey::from_slice(&bytes(&device["identity key"])).unwrap(),
        })
        .collect();
    let revoked: Vec<_> = list(&form["revoked"])
        .iter()
        .map(|id| DeviceId::from_bytes(array(id)))
        .collect();
    match account.next_manifest(&current, &added, &revoked) {
        Ok(next) => (signed_json(next.signed()), Value::Null),
        Err(error) => (Value::Null, name_of(&error).into()),
    }
}
