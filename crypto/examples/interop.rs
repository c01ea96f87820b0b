//! One device, worked from outside: our end of the conversations in `tests/interop`, where the other end is
//! built of other people's libraries.
//!
//! A line in is a JSON object with the name of an operation under `do`; the line out is `{"ok": …}`, or
//! `{"refused": "why"}` when the protocol refused. Byte strings are hexadecimal. A line that asks for
//! nothing sensible ends the program with an error, so that a mistake never passes for a refusal.
//!
//! | `do` | with | gives |
//! |---|---|---|
//! | `device` | `seed`, `address`, `device_id`, `now_ms` | `party`, `signed_prekey`, `one_time_prekey` |
//! | `initiate` | `them`, `signed_prekey`, `one_time_prekey` or null | `digest` |
//! | `accept` | `them`, `message` | `plaintext`, `digest` |
//! | `encrypt` | `plaintext` | `message` |
//! | `decrypt` | `message` | `plaintext` |
//! | `state` | | `state` |
//! | `restart` | | |

use std::fmt::Display;
use std::io::{self, BufRead, Write};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    AccountKey, Address, DeviceId, IdentityKey, Signed, SignedPrekey, X25519Key,
};
use sottovoce_crypto::{
    AccountKeyPair, Decrypted, IdentityKeyPair, InitialMessage, OneTimePrekey, OneTimePrekeyPair, Party,
    Session, SessionMessage, SignedPrekeyPair, X3dhPrekeyBundle, X3dhPrekeys,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut device = None;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        let answer = match answer(&mut device, &request) {
            Ok(result) => json!({ "ok": result }),
            Err(Failure::Refused(why)) => json!({ "refused": why }),
            Err(Failure::Senseless(why)) => return Err(why.into()),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// Why there is no result.
enum Failure {
    /// The protocol refused: what the other end has to bring about at times.
    Refused(String),
    /// The request makes no sense: a mistake in whoever asks.
    Senseless(String),
}

fn refused(why: impl Display) -> Failure {
    Failure::Refused(why.to_string())
}

fn senseless(why: impl Display) -> Failure {
    Failure::Senseless(why.to_string())
}

/// A device with one prekey of each kind and one session at most.
struct Device {
    rng: ChaCha20Rng,
    now_ms: u64,
    identity: IdentityKeyPair,
    party: Party,
    signed_prekey: SignedPrekeyPair,
    one_time_prekey: Option<OneTimePrekeyPair>,
    session: Option<Session>,
}

fn answer(device: &mut Option<Device>, request: &Value) -> Result<Value, Failure> {
    let operation = text(request, "do")?;
    if operation == "device" {
        let (made, published) = Device::new(request)?;
        *device = Some(made);
        return Ok(published);
    }
    let device = device.as_mut().ok_or_else(|| senseless("no device yet"))?;
    match operation {
        "initiate" => device.initiate(request),
        "accept" => device.accept(request),
        "encrypt" => device.encrypt(request),
        "decrypt" => device.decrypt(request),
        "state" => device.state(),
        "restart" => device.restart(),
        other => Err(senseless(format!("no operation {other}"))),
    }
}

impl Device {
    /// The device, and what it publishes.
    fn new(request: &Value) -> Result<(Self, Value), Failure> {
        let mut rng = ChaCha20Rng::seed_from_u64(number(request, "seed")?);
        let now_ms = number(request, "now_ms")?;
        let identity = IdentityKeyPair::generate(&mut rng);
        let party = Party {
            address: Address::parse(text(request, "address")?).map_err(senseless)?,
            device_id: DeviceId::from_bytes(array(request, "device_id")?),
            account_key: AccountKeyPair::generate(&mut rng).public(),
            identity_key: identity.public(),
        };
        let signed_prekey = SignedPrekeyPair::generate(&mut rng, &identity, party.device_id, 41, now_ms)
            .map_err(senseless)?;
        let one_time_prekey = OneTimePrekeyPair::generate(&mut rng, 42);
        let published = json!({
            "party": {
                "address": party.address.as_str(),
                "device_id": hex::encode(party.device_id.as_bytes()),
                "account_key": hex::encode(party.account_key.as_bytes()),
                "identity_key": hex::encode(party.identity_key.as_bytes()),
            },
            "signed_prekey": {
                "statement": hex::encode(signed_prekey.statement().statement_bytes()),
                "signature": hex::encode(signed_prekey.statement().signature_bytes()),
            },
            "one_time_prekey": {
                "id": one_time_prekey.id(),
                "key": hex::encode(one_time_prekey.public().key.as_bytes()),
            },
        });
        let device = Self {
            rng,
            now_ms,
            identity,
            party,
            signed_prekey,
            one_time_prekey: Some(one_time_prekey),
            session: None,
        };
        Ok((device, published))
    }

    fn initiate(&mut self, request: &Value) -> Result<Value, Failure> {
        let them = party(field(request, "them")?)?;
        let prekey = field(request, "signed_prekey")?;
        let signed =
            Signed::<SignedPrekey>::from_parts(&bytes(prekey, "statement")?, &bytes(prekey, "signature")?)
                .map_err(refused)?;
        let one_time_prekey = match field(request, "one_time_prekey")? {
            Value::Null => None,
            prekey => Some(OneTimePrekey {
                id: u32::try_from(number(prekey, "id")?).map_err(senseless)?,
                key: X25519Key::from_slice(&bytes(prekey, "key")?).map_err(refused)?,
            }),
        };
        let bundle = X3dhPrekeyBundle {
            signed_prekey: signed.verify(&them.identity_key).map_err(refused)?,
            one_time_prekey,
        };
        let session = Session::initiate_x3dh(
            &mut self.rng,
            self.now_ms,
            &self.identity,
            &self.party,
            &them,
            &bundle,
        )
        .map_err(refused)?;
        Ok(json!({ "digest": self.begin(session) }))
    }

    fn accept(&mut self, request: &Value) -> Result<Value, Failure> {
        let them = party(field(request, "them")?)?;
        let SessionMessage::Initial(message) = message(request)? else {
            return Err(refused("not an initial message"));
        };
        let (session, decrypted) = self.take_up(&them, &message)?;
        if message.one_time_prekey_id().is_some() {
            self.one_time_prekey = None;
        }
        Ok(json!({ "plaintext": hex::encode(&*decrypted.plaintext), "digest": self.begin(session) }))
    }

    fn take_up(&self, them: &Party, message: &InitialMessage) -> Result<(Session, Decrypted), Failure> {
        let one_time_prekey = match message.one_time_prekey_id() {
            Some(id) => {
                let named = self.one_time_prekey.as_ref().filter(|pair| pair.id() == id);
                Some(named.ok_or_else(|| refused("no such one-time prekey"))?)
            }
            None => None,
        };
        let prekeys = X3dhPrekeys {
            signed_prekey: &self.signed_prekey,
            one_time_prekey,
        };
        Session::accept_x3dh(self.now_ms, &self.identity, &self.party, them, &prekeys, message)
            .map_err(refused)
    }

    fn encrypt(&mut self, request: &Value) -> Result<Value, Failure> {
        let session = self.session.as_mut().ok_or_else(|| senseless("no session"))?;
        let message = session
            .encrypt(&mut self.rng, self.now_ms, &bytes(request, "plaintext")?)
            .map_err(refused)?;
        Ok(json!({ "message": hex::encode(message) }))
    }

    fn decrypt(&mut self, request: &Value) -> Result<Value, Failure> {
        let session = self.session.as_mut().ok_or_else(|| senseless("no session"))?;
        let decrypted = session
            .decrypt(self.now_ms, &message(request)?)
            .map_err(refused)?;
        Ok(json!({ "plaintext": hex::encode(&*decrypted.plaintext) }))
    }

    /// All that the session is, so that a refusal can be seen to change nothing.
    fn state(&self) -> Result<Value, Failure> {
        let session = self.session.as_ref().ok_or_else(|| senseless("no session"))?;
        let mut state = hex::encode(&*session.to_bytes());
        for key in session.skipped_keys() {
            state.push_str(&hex::encode(&*key.bytes));
        }
        Ok(json!({ "state": state }))
    }

    /// The session goes to storage and comes back.
    fn restart(&mut self) -> Result<Value, Failure> {
        let session = self.session.as_ref().ok_or_else(|| senseless("no session"))?;
        let skipped: Vec<_> = session.skipped_keys().map(|key| key.bytes.to_vec()).collect();
        self.session = Some(Session::from_bytes(&session.to_bytes(), skipped).map_err(senseless)?);
        Ok(json!({}))
    }

    fn begin(&mut self, session: Session) -> String {
        let digest = session.handshake_digest();
        self.session = Some(session);
        hex::encode(digest)
    }
}

fn message(request: &Value) -> Result<SessionMessage, Failure> {
    SessionMessage::decode(&bytes(request, "message")?).map_err(refused)
}

fn party(value: &Value) -> Result<Party, Failure> {
    Ok(Party {
        address: Address::parse(text(value, "address")?).map_err(refused)?,
        device_id: DeviceId::from_bytes(array(value, "device_id")?),
        account_key: AccountKey::from_slice(&bytes(value, "account_key")?).map_err(refused)?,
        identity_key: IdentityKey::from_slice(&bytes(value, "identity_key")?).map_err(refused)?,
    })
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    value.get(name).ok_or_else(|| senseless(format!("no {name}")))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Failure> {
    field(value, name)?
        .as_str()
        .ok_or_else(|| senseless(format!("{name} is no text")))
}

fn number(value: &Value, name: &str) -> Result<u64, Failure> {
    field(value, name)?
        .as_u64()
        .ok_or_else(|| senseless(format!("{name} is no number")))
}

fn bytes(value: &Value, name: &str) -> Result<Vec<u8>, Failure> {
    hex::decode(text(value, name)?).map_err(senseless)
}

fn array(value: &Value, name: &str) -> Result<[u8; 16], Failure> {
    bytes(value, name)?
        .try_into()
        .map_err(|_| senseless(format!("{name} is not 16 bytes")))
}
