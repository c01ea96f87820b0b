//! What is made of an account over time: first use, newer manifests, another account key.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{Account, ManifestDevice};
use sottovoce_crypto::{Advance, TrustedAccount, VerifiedAccount};

use super::accounts::verify;
use super::json::{bytes, hex, list, name_of, number, refusal, text};

/// One after another, each on the state that the one before left.
pub(crate) fn trust(file: &Value) -> Value {
    let script = [
        ("trusts on first use", 0),
        ("advances", 0),
        ("advances", 1),
        ("advances", 0),
        ("advances", 4),
        ("advances", 5),
        ("advances", 7),
        ("advances", 2),
        ("advances", 3),
        ("advances", 6),
        ("accepts the account key", 7),
        ("accepts the account key", 6),
        ("accepts the account key", 6),
        ("advances", 0),
        ("accepts the account key", 2),
        ("accepts the account key", 3),
    ];
    let mut steps = Vec::new();
    let mut state: Option<TrustedAccount> = None;
    for (does, shown) in script {
        let before = state.as_ref().map(TrustedAccount::to_bytes).unwrap_or_default();
        let mut step = json!({ "does": does, "shown": shown, "state before": hex(&*before) });
        state = Some(take_step(file, &mut step, state));
        steps.push(step);
    }
    let mut again = |view: usize, shown: usize| {
        let mut step =
            json!({ "does": "trusts again", "from the view of": view, "shown": shown, "state before": "" });
        for field in ["result", "state after"] {
            step[field] = Value::Null;
        }
        let known = verify(&file["shown"][view]).unwrap();
        let trusted = trust_again(&known, file, shown);
        note(&mut step, trusted);
        steps.push(step);
    };
    for (view, shown) in [(0, 0), (0, 1), (1, 3), (1, 0), (1, 4), (0, 6), (0, 7)] {
        again(view, shown);
    }
    for step in &mut steps {
        for field in ["gone", "new"] {
            if step.get(field).is_none() {
                step[field] = Value::Null;
            }
        }
    }
    steps.into()
}

fn trust_again(known: &VerifiedAccount, file: &Value, shown: usize) -> Result<TrustedAccount, String> {
    let account = Account {
        address: known.address().clone(),
        account_key: *known.account_key(),
    };
    TrustedAccount::trust_again(&account, &known.view(), verify(&file["shown"][shown]).unwrap())
        .map_err(|error| name_of(&error))
}

fn note(step: &mut Value, trusted: Result<TrustedAccount, String>) {
    match trusted {
        Ok(trusted) => {
            step["result"] = "taken".into();
            step["state after"] = hex(&*trusted.to_bytes());
        }
        Err(error) => {
            step["result"] = error.into();
            step["state after"] = "".into();
        }
    }
}

/// Does what a step says, and notes what came of it.
pub(crate) fn take_step(file: &Value, step: &mut Value, state: Option<TrustedAccount>) -> TrustedAccount {
    let index = usize::try_from(number(&step["shown"])).unwrap();
    let shown = verify(&file["shown"][index]).unwrap();
    if step["does"] == "trusts again" {
        let view = usize::try_from(number(&step["from the view of"])).unwrap();
        let trusted = trust_again(&verify(&file["shown"][view]).unwrap(), file, index);
        note(step, trusted);
        return TrustedAccount::trust_on_first_use(shown);
    }
    let Some(mut state) = state else {
        let trusted = TrustedAccount::trust_on_first_use(shown);
        note(step, Ok(trusted.clone()));
        return trusted;
    };
    let ids = |devices: &[ManifestDevice]| -> Value {
        devices
            .iter()
            .map(|device| hex(device.device_id.as_bytes()))
            .collect()
    };
    let before = state.to_bytes();
    let result = match text(&step["does"]) {
        "advances" => state.advance(&shown).map(|advance| match advance {
            Advance::Same => "nothing new".to_owned(),
            Advance::Newer { gone, new } => {
                step["gone"] = ids(&gone);
                step["new"] = ids(&new);
                "taken".to_owned()
            }
        }),
        _ => state.accept_account_key(&shown).map(|()| "taken".to_owned()),
    };
    step["result"] = result
        .unwrap_or_else(|error| {
            assert_eq!(state.to_bytes(), before, "a refusal changes nothing");
            name_of(&error)
        })
        .into();
    step["state after"] = hex(&*state.to_bytes());
    state
}

pub(crate) fn refused_states(file: &Value) -> Value {
    let steps = list(&file["trust"]);
    let good = bytes(&steps[11]["state after"]);
    let with = |position: usize, field: &[u8]| {
        let mut changed = good.clone();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    // One former key stands behind the count.
    let (count, former) = (34, 35);
    let forms = [
        ("nothing", Vec::new()),
        ("another version", with(0, &[2])),
        ("another kind", with(1, &[1])),
        (
            "another account key",
            with(2, &super::statements::public(&[7; 32])),
        ),
        ("more former keys than there may be", with(count, &[9])),
        ("a former key that is the trusted one", with(former, &good[2..34])),
        ("a former view of version 0", with(former + 32, &[0; 8])),
        ("a damaged signature", with(former + 72, &[good[former + 72] ^ 1])),
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
    ];
    forms
        .into_iter()
        .map(|(reason, state)| {
            let error = refusal(TrustedAccount::from_bytes(&state));
            json!({ "reason": reason, "state": hex(state), "error": error })
        })
        .collect()
}
