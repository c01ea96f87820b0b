//! A new device shows an offer, and is granted the account.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    AccountKey, DeviceBinding, DeviceId, DeviceManifest, IdentityKey, Verified,
};
use sottovoce_crypto::{IdentityKeyPair, LinkingOffer, MAX_LINKING_AGE_MS, PendingLink};

use super::accounts::{binding, device, identity, manifest};
use super::by_hand::{dh, hkdf, padded, seal, x25519_public};
use super::draws::Draws;
use super::handshake::small_order;
use super::json::{array, bytes, hex, list, name_of, number, refusal, text};
use super::people::{NOW, signed, signed_json};

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(71);
    let alice = "alice@one.example";
    let first = manifest(1, alice, 1, [0; 32], &[1]);
    let pending = PendingLink::new(draws, NOW, DeviceId::from_bytes([2; 16]), identity(2).public());
    let shown = draws.take(&["ephemeral secret", "pairing secret"]);
    let second = manifest(1, alice, 2, first.hash(), &[1, 2]);
    let bound = [binding(&second, 1)];
    let verified = [bound[0].clone().verify(&device(1).identity_key).unwrap()];
    let offer = pending.offer();
    let grant = offer.seal_grant(draws, &second, &verified, b"app data").unwrap();
    let granted = draws.take(&["ephemeral secret of the device that grants"]);

    let mut inside = second.signer().as_bytes().to_vec();
    for signed in [signed_json(second.signed()), signed_json(&bound[0])] {
        let statement = bytes(&signed["statement"]);
        inside.extend(bytes(&signed["signature"]));
        inside.extend(u16::try_from(statement.len()).unwrap().to_be_bytes());
        inside.extend(statement);
    }
    inside.extend(b"app data");
    let keys = by_hand(
        &shown,
        &array(&granted[0]["bytes"]),
        &offer.to_bytes(),
        &padded(&inside),
    );
    assert_eq!(hex(&grant), keys["grant"], "by hand it is another grant");

    let mut file = json!({
        "at, ms": NOW,
        "new device": {
            "device id": hex([2; 16]),
            "identity secret": hex([2; 32]),
            "identity key": hex(identity(2).public().as_bytes()),
        },
        "draws of the new device": shown,
        "offer": hex(&*offer.to_bytes()),
        "offer as text": offer.to_text().as_str(),
        "pending link": hex(&*pending.to_bytes()),
        "account key": hex(second.signer().as_bytes()),
        "manifest": signed_json(second.signed()),
        "bindings of the other devices": [signed_json(&bound[0])],
        "app data": hex("app data"),
        "draws of the device that grants": granted,
        "inside": hex(&inside),
        "keys": keys,
        "grant": hex(&grant),
        "binding of the new device": signed_json(&binding(&second, 2)),
    });
    file["refused"] = refused(&file, &inside);
    file
}

/// A grant (15.14 to 15.16) with anything in it.
fn by_hand(shown: &Value, ephemeral: &[u8; 32], offer: &[u8], padded: &[u8]) -> Value {
    let public = x25519_public(ephemeral);
    let shared = dh(ephemeral, &x25519_public(&array(&shown[0]["bytes"])));
    let ikm = [shared.to_vec(), bytes(&shown[1]["bytes"])].concat();
    let info = [b"Sottovoce-v1 linking grant".as_slice(), &offer[..81], &public].concat();
    let keys: [u8; 44] = hkdf(&[0; 32], &ikm, &info);
    let (key, nonce) = (keys[..32].try_into().unwrap(), keys[32..].try_into().unwrap());
    let header = [&[1], public.as_slice()].concat();
    let ciphertext = seal(&key, &nonce, &header, padded);
    json!({
        "DH": hex(shared),
        "IKM": hex(ikm),
        "info": hex(info),
        "key": hex(key),
        "nonce": hex(nonce),
        "grant": hex([header, ciphertext].concat()),
    })
}

fn refused(file: &Value, inside: &[u8]) -> Value {
    let grant = bytes(&file["grant"]);
    let with = |position: usize, field: &[u8]| {
        let mut changed = grant.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let holding = |padded: &[u8]| {
        let offer = bytes(&file["offer"]);
        bytes(&by_hand(&file["draws of the new device"], &[0x44; 32], &offer, padded)["grant"])
    };
    let mut dirty = padded(inside);
    *dirty.last_mut().unwrap() = 1;
    let changed = |position: usize| {
        let mut inside = inside.to_vec();
        inside[position] ^= 1;
        holding(&padded(&inside))
    };
    let other = manifest(1, "alice@one.example", 2, [7; 32], &[1, 3]);
    let mut unnamed = other.signer().as_bytes().to_vec();
    let statement = other.signed().statement_bytes();
    unnamed.extend(other.signed().signature_bytes());
    unnamed.extend(u16::try_from(statement.len()).unwrap().to_be_bytes());
    unnamed.extend(statement);
    let late = NOW + MAX_LINKING_AGE_MS + 1;
    let grants = [
        ("another version", with(0, &[2]), NOW),
        ("an ephemeral key of zeros", with(1, &[0; 32]), NOW),
        ("an ephemeral key of small order: 1", with(1, &small_order()), NOW),
        ("another ephemeral key", with(1, &[9; 32]), NOW),
        ("a damaged ciphertext", with(40, &[grant[40] ^ 1]), NOW),
        ("a byte too few", grant[..grant.len() - 1].to_vec(), NOW),
        ("a byte too many", [grant.as_slice(), &[0]].concat(), NOW),
        ("nothing", Vec::new(), NOW),
        (
            "more than 10 minutes after the offer was shown",
            grant.clone(),
            late,
        ),
        ("padding that is not zeros", holding(&dirty), NOW),
        ("another account key inside", changed(31), NOW),
        ("a damaged signature of the manifest inside", changed(40), NOW),
        (
            "a manifest inside without the new device",
            holding(&padded(&unnamed)),
            NOW,
        ),
        (
            "without the other device's binding",
            holding(&padded(&inside[..32 + 66 + statement.len()])),
            NOW,
        ),
    ];
    let mut forms: Vec<_> = grants
        .into_iter()
        .map(|(reason, grant, now_ms)| {
            let mut form =
                json!({ "what": "grant", "reason": reason, "grant": hex(grant), "at, ms": now_ms });
            form["error"] = refusal_of(file, &form).into();
            form
        })
        .collect();
    let mut add = |what: &str, reason: &str, value: Value| {
        let mut form = json!({ "what": what, "reason": reason });
        form[what] = value;
        form["error"] = refusal_of(file, &form).into();
        forms.push(form);
    };
    for what in ["offer", "pending link"] {
        let good = bytes(&file[what]);
        add(what, "another version", hex([&[2], &good[1..]].concat()));
        add(what, "a byte too few", hex(&good[..good.len() - 1]));
        add(what, "a byte too many", hex([good.as_slice(), &[0]].concat()));
        add(what, "nothing", hex([]));
    }
    let offer = bytes(&file["offer"]);
    add(
        "offer",
        "an identity key of zeros",
        hex([&offer[..17], &[0; 32], &offer[49..]].concat()),
    );
    add(
        "offer",
        "an ephemeral key of zeros",
        hex([&offer[..49], &[0; 32], &offer[81..]].concat()),
    );
    let pending = bytes(&file["pending link"]);
    add(
        "pending link",
        "an ephemeral secret that is not the offer's",
        hex([&pending[..10], &[9; 32], &pending[42..]].concat()),
    );
    let good = text(&file["offer as text"]);
    add(
        "offer as text",
        "mistyped",
        format!("{}{}", if good.starts_with('0') { "1" } else { "0" }, &good[1..]).into(),
    );
    add(
        "offer as text",
        "a character too few",
        good[..good.len() - 1].into(),
    );
    add(
        "offer as text",
        "a character that no text has",
        format!("U{}", &good[1..]).into(),
    );
    forms.into()
}

/// Why an offer, a stored state or a grant is refused.
fn refusal_of(file: &Value, form: &Value) -> String {
    match text(&form["what"]) {
        "grant" => {
            let pending = PendingLink::from_bytes(&bytes(&file["pending link"])).unwrap();
            let failed = pending
                .open(number(&form["at, ms"]), &bytes(&form["grant"]))
                .map(|_| ())
                .expect_err(text(&form["reason"]));
            assert_eq!(
                hex(&*failed.pending.to_bytes()),
                file["pending link"],
                "nothing is used up"
            );
            name_of(&failed.error)
        }
        "offer" => refusal(LinkingOffer::from_bytes(&bytes(&form["offer"]))),
        "pending link" => refusal(PendingLink::from_bytes(&bytes(&form["pending link"])).map(|_| ())),
        _ => refusal(LinkingOffer::parse(text(&form["offer as text"]))),
    }
}

pub(crate) fn check(file: &Value) {
    let new = &file["new device"];
    let draws = &mut Draws::given(&file["draws of the new device"]);
    let id = DeviceId::from_bytes(array(&new["device id"]));
    let key = IdentityKey::from_slice(&bytes(&new["identity key"])).unwrap();
    let pending = PendingLink::new(draws, number(&file["at, ms"]), id, key);
    assert_eq!(hex(&*pending.to_bytes()), file["pending link"]);
    let offer = LinkingOffer::parse(text(&file["offer as text"])).unwrap();
    assert_eq!(hex(&*offer.to_bytes()), file["offer"]);
    assert_eq!(hex(&*pending.offer().to_bytes()), file["offer"]);

    let account_key = AccountKey::from_slice(&bytes(&file["account key"])).unwrap();
    let manifest: Verified<DeviceManifest> = signed(&file["manifest"]).verify(&account_key).unwrap();
    let bindings: Vec<Verified<DeviceBinding>> = list(&file["bindings of the other devices"])
        .iter()
        .zip(&manifest.devices)
        .map(|(binding, device)| signed(binding).verify(&device.identity_key).unwrap())
        .collect();
    let draws = &mut Draws::given(&file["draws of the device that grants"]);
    let grant = offer
        .seal_grant(draws, &manifest, &bindings, &bytes(&file["app data"]))
        .unwrap();
    assert_eq!(hex(&grant), file["grant"]);

    let pending = PendingLink::from_bytes(&bytes(&file["pending link"])).unwrap();
    let granted = pending
        .open(number(&file["at, ms"]), &grant)
        .map_err(|failed| failed.error)
        .unwrap();
    assert_eq!(
        (granted.account_key(), granted.manifest()),
        (&account_key, &manifest)
    );
    assert_eq!(hex(granted.app_data()), file["app data"]);
    let identity = IdentityKeyPair::from_secret_bytes(&array(&new["identity secret"])).unwrap();
    let joined = granted.join(&identity).unwrap();
    let own = joined
        .bindings()
        .iter()
        .find(|binding| binding.device_id == id)
        .unwrap();
    assert_eq!(signed_json(own.signed()), file["binding of the new device"]);
    for form in list(&file["refused"]) {
        assert_eq!(refusal_of(file, form), text(&form["error"]), "{}", form["reason"]);
    }
}
