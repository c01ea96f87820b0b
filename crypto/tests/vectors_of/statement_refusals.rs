//! What must not be believed, though some of it is signed by the right key.

use serde_json::{Value, json};
use sottovoce_crypto::IdentityKeyPair;

use super::json::{array, bytes, hex, list, text};
use super::statements::{Signers, read, sign};

/// What must not be believed: signed by nobody, by somebody else, or by the right one and not a statement.
pub(crate) fn refused(signers: &Signers, statements: &Value) -> Value {
    let mut forms = Vec::new();
    let mut add = |of: usize, reason: &str, change: &dyn Fn(&mut Value)| {
        let good = &statements[of];
        let mut form = json!({
            "kind": good["kind"],
            "reason": reason,
            "statement": good["statement"],
            "signature": good["signature"],
            "signer's key": good["signer's key"],
        });
        change(&mut form);
        let error = read(&form).expect_err(reason);
        form["error"] = error.into();
        forms.push(form);
    };
    // Signed anew, so that nothing but the form is wrong with it.
    let resign = |form: &mut Value, change: &dyn Fn(&mut Vec<u8>)| {
        let mut statement = bytes(&form["statement"]);
        change(&mut statement);
        let secret = match text(&form["kind"]) {
            "device manifest" => signers.alice.account.to_secret_bytes(),
            _ => signers.alice.identity.to_secret_bytes(),
        };
        form["signature"] = hex(sign(&secret, &statement));
        form["statement"] = hex(statement);
    };
    for of in 0..list(statements).len() {
        let reason = text(&statements[of]["kind"]).to_owned();
        add(of, &format!("{reason}: a damaged signature"), &|form| {
            let mut signature = bytes(&form["signature"]);
            signature[40] ^= 1;
            form["signature"] = hex(signature);
        });
        add(of, &format!("{reason}: signed by another key"), &|form| {
            form["signature"] = hex(sign(&[7; 32], &bytes(&form["statement"])));
        });
        add(of, &format!("{reason}: another protocol"), &|form| {
            resign(form, &|statement| statement[11] = b'2');
        });
        add(of, &format!("{reason}: another purpose"), &|form| {
            resign(form, &|statement| statement[12] ^= 0x40);
        });
        add(of, &format!("{reason}: the other kind of signer"), &|form| {
            resign(form, &|statement| statement[13] ^= 3);
        });
        add(of, &format!("{reason}: a byte too few"), &|form| {
            resign(form, &|statement| statement.truncate(statement.len() - 1));
        });
        add(of, &format!("{reason}: a byte too many"), &|form| {
            resign(form, &|statement| statement.push(0))
        });
        add(of, &format!("{reason}: a signature that is too short"), &|form| {
            form["signature"] = hex(&bytes(&form["signature"])[..63]);
        });
    }
    // `S` and the group's order more is the same number modulo the order, in a second spelling.
    add(0, "a signature whose S is not reduced", &|form| {
        let mut signature: [u8; 64] = array(&form["signature"]);
        add_order(&mut signature[32..]);
        form["signature"] = hex(signature);
    });
    let within = 14 + 1 + 17;
    let put = |position: usize, field: &'static [u8]| {
        move |form: &mut Value| {
            resign(form, &|statement| {
                statement[position..position + field.len()].copy_from_slice(field)
            });
        }
    };
    add(0, "a manifest of version 0", &put(within, &[0; 8]));
    add(
        0,
        "a first manifest that names one before it",
        &put(within + 8, &[1; 32]),
    );
    add(
        1,
        "a second manifest that names none before it",
        &put(within + 8, &[0; 32]),
    );
    add(0, "a manifest without devices", &|form| {
        resign(form, &|statement| {
            statement[within + 40] = 0;
            statement.truncate(within + 41);
        });
    });
    add(
        1,
        "a manifest whose devices are not in order",
        &put(within + 41, &[0xa3; 16]),
    );
    add(
        1,
        "a manifest with a device twice",
        &put(within + 41, &[0xa2; 16]),
    );
    add(1, "a manifest with an identity key twice", &|form| {
        resign(form, &|statement| {
            let key = statement[within + 41 + 16..][..33].to_vec();
            statement[within + 41 + 49 + 16..].copy_from_slice(&key);
        });
    });
    add(0, "a manifest of 17 devices", &|form| {
        resign(form, &|statement| {
            statement.truncate(within + 40);
            statement.push(17);
            for id in 0..17 {
                let key = IdentityKeyPair::from_secret_bytes(&[id + 1; 32])
                    .unwrap()
                    .public();
                statement.extend([id; 16]);
                statement.push(1);
                statement.extend(key.as_bytes());
            }
        });
    });
    add(0, "an address in upper case", &put(15, b"A"));
    add(0, "an address without a name", &put(15, b"@"));
    add(0, "an address that ends in a dot", &put(15 + 16, b"."));
    add(0, "an address longer than the statement", &put(14, &[0xff]));
    add(0, "an identity key of another kind", &put(within + 41 + 16, &[2]));
    add(
        0,
        "an identity key of small order",
        &put(within + 41 + 17, &IDENTITY_ELEMENT),
    );
    add(
        0,
        "an identity key with a torsion part",
        &put(within + 41 + 17, &TORSION),
    );
    add(
        0,
        "an identity key that is not a point",
        &put(within + 41 + 17, &NO_POINT),
    );
    add(3, "a signed prekey numbered 0", &put(14 + 16, &[0; 4]));
    add(3, "a signed prekey of zeros", &put(14 + 21, &[0; 32]));
    add(
        3,
        "a signed prekey that is not reduced",
        &put(14 + 21, &[0xff; 32]),
    );
    add(3, "a signed prekey of another kind of key", &put(14 + 20, &[1]));
    add(4, "a KEM prekey numbered 0", &put(14 + 16, &[0; 4]));
    add(4, "a KEM prekey of no role", &put(14 + 20, &[0]));
    add(4, "a KEM prekey of a third role", &put(14 + 20, &[3]));
    add(
        4,
        "a KEM prekey whose first coefficient is 4095",
        &put(14 + 22, &[0xff, 0xff]),
    );
    add(6, "a challenge without a nonce", &|form| {
        resign(form, &|statement| {
            let nonce = 14 + 1 + 16 + 16;
            statement.splice(nonce..nonce + 33, [0]);
        });
    });
    add(6, "a challenge with a nonce of 65 bytes", &|form| {
        resign(form, &|statement| {
            let nonce = 14 + 1 + 16 + 16;
            statement.splice(nonce..nonce + 33, [65].into_iter().chain([7; 65]));
        });
    });
    add(
        6,
        "a challenge of a port with a leading zero",
        &put(14 + 1 + 12, b"0"),
    );
    for (of, reason, kind) in [
        (6, "a sign-in taken for a deletion", "account deletion"),
        (7, "a deletion taken for a sign-in", "auth challenge"),
    ] {
        add(of, reason, &|form| form["kind"] = kind.into());
    }
    add(0, "a statement of 1537 bytes", &|form| {
        resign(form, &|statement| statement.resize(1_537, 0))
    });
    forms.into()
}

/// The neutral element, of order 1.
const IDENTITY_ELEMENT: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 1;
    key
};

/// The base point with a point of order 2 added: (-x, -y), of twice the prime order.
const TORSION: [u8; 32] = {
    let mut key = [0x99; 32];
    key[0] = 0x95;
    key[31] = 0x99;
    key
};

/// y = 2 has no x.
const NO_POINT: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 2;
    key
};

/// Adds the order of the group to a number below it, little-endian.
fn add_order(scalar: &mut [u8]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (digit, more) in scalar.iter_mut().zip(ORDER) {
        let sum = u16::from(*digit) + u16::from(more) + carry;
        *digit = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}
