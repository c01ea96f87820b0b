//! The number two people compare, and what is refused when it is scanned.

use serde_json::{Value, json};
use sottovoce_crypto::SafetyNumber;
use sottovoce_crypto::statements::{Account, AccountKey, Address};

use super::json::{bytes, hex, refusal, text};

pub(crate) fn account(value: &Value) -> Account {
    Account {
        address: Address::parse(text(&value["address"])).unwrap(),
        account_key: AccountKey::from_slice(&bytes(&value["account key"])).unwrap(),
    }
}

pub(crate) fn safety_number(our_address: &str, ours: u8, their_address: &str, theirs: u8) -> Value {
    let account_json = |address: &str, secret: u8| json!({ "address": address, "account key": hex(super::statements::public(&[secret; 32])) });
    let (ours, theirs) = (
        account_json(our_address, ours),
        account_json(their_address, theirs),
    );
    let number = SafetyNumber::between(&account(&ours), &account(&theirs));
    let mut halves = [half(&ours), half(&theirs)];
    let mut json = json!({ "our half": halves[0], "their half": halves[1] });
    halves.sort();
    assert_eq!(number.digits(), halves.concat(), "by hand it is another number");
    json["ours"] = ours;
    json["theirs"] = theirs;
    json["digits"] = number.to_string().into();
    json["shown for scanning"] = hex(number.to_scannable());
    json
}

/// One account's digits (15.10), by hand.
fn half(account: &Value) -> String {
    use sha2::{Digest, Sha512};
    let (key, address) = (bytes(&account["account key"]), text(&account["address"]));
    let mut input = b"Sottovoce-v1 safety number".to_vec();
    input.extend(&key);
    input.push(u8::try_from(address.len()).unwrap());
    input.extend(address.as_bytes());
    for _ in 0..5_200 {
        input = [Sha512::digest(&input).to_vec(), key.clone()].concat();
    }
    (0..6)
        .map(|group| {
            let number = input[5 * group..5 * group + 5]
                .iter()
                .fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
            format!("{:05}", number % 100_000)
        })
        .collect()
}

pub(crate) fn refused_scans(number: &Value) -> Value {
    let good = bytes(&number["shown for scanning"]);
    let key = 1 + 1 + 17;
    let flipped = |position: usize| {
        let mut changed = good.clone();
        changed[position] ^= 1;
        changed
    };
    let own = SafetyNumber::between(&account(&number["theirs"]), &account(&number["ours"]));
    let forms = [
        ("the scanner's own screen", own.to_scannable()),
        ("another address", flipped(3)),
        ("another key of the one who shows it", flipped(key)),
        ("another key of the scanner", flipped(good.len() - 1)),
        ("another version", flipped(0)),
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
        ("nothing", Vec::new()),
    ];
    forms
        .into_iter()
        .map(|(reason, scanned)| {
            let mut form = json!({ "reason": reason, "scanned": hex(scanned) });
            form["error"] = scan_refusal(number, &form).into();
            form
        })
        .collect()
}

/// Why the other one's device refuses what it scans.
pub(crate) fn scan_refusal(number: &Value, form: &Value) -> String {
    let there = SafetyNumber::between(&account(&number["theirs"]), &account(&number["ours"]));
    refusal(there.compare(&bytes(&form["scanned"])))
}
