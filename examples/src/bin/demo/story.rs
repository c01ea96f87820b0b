//! The story itself, told as it happens.

use std::path::Path;
use std::time::Duration;

use sottovoce::{Address, Client, Config, EventKind, Events, StoreKey};
use sottovoce_crypto::{SessionMessage, Suite};
use sottovoce_server::Server;
use tokio::sync::oneshot;

use crate::Fallible;
use crate::checks::Checks;
use crate::database::{Database, holds};

/// Longer than anything here takes; a demo that waits for ever shows nothing.
const PATIENCE: Duration = Duration::from_secs(30);

const TO_BOB: &str = "Sotto voce, Bob: can you hear me?";
const TO_ALICE: &str = "I can. Can anybody else?";
const WHILE_AWAY: [&str; 3] = [
    "Nobody. Not even the server.",
    "You seem to be gone.",
    "This will wait for you, sealed.",
];

/// One person's client and what has happened to it.
struct Person {
    client: Client,
    events: Events,
}

pub(crate) async fn tell() -> Fallible<Checks> {
    let mut checks = Checks::default();
    let folder = tempfile::tempdir()?;
    println!("Sottovoce: two people talk through a server that cannot read what they say.\n");

    let server = Server::bind(sottovoce_server::Config {
        data_dir: folder.path().join("server"),
        listen: "127.0.0.1:0".parse()?,
        ..Default::default()
    })
    .await?;
    let url = format!("http://{}", server.local_addr());
    let mut database = Database::open(&server.database_path()).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.serve(async move { stopped.await.unwrap_or_default() }));
    println!("1. A server listens on {url}, its SQLite database in a temporary folder.");

    let mut alice = register(&url, folder.path(), "alice").await?;
    let mut bob = register(&url, folder.path(), "bob").await?;
    println!("2. alice@localhost and bob@localhost register. Each has made an account key and a device");
    println!("   key, and leaves prekeys with the server: one signed X25519 prekey, one signed ML-KEM-768");
    println!("   prekey of last resort, and 50 one-time prekeys of each kind.");

    let bobs_address = bob.client.address().clone();
    bob.client.close().await;
    println!("3. While Bob is away, Alice begins:");
    alice.client.send_text(&bobs_address, TO_BOB).await?;
    alice.sent().await?;
    look_at_the_handshake(&mut database, &mut checks).await?;
    bob = Person::back(&url, folder.path(), "bob").await?;
    println!("   Bob comes back, and they talk:");
    checks.expect("Bob reads what Alice wrote", bob.read().await? == TO_BOB);
    bob.say(&alice, TO_ALICE).await?;
    checks.expect("Alice reads what Bob wrote", alice.read().await? == TO_ALICE);
    println!("     alice → bob    {TO_BOB}\n     bob → alice    {TO_ALICE}");

    bob.client.close().await;
    println!("4. Bob goes offline. Alice writes on:");
    for text in WHILE_AWAY {
        alice.client.send_text(&bobs_address, text).await?;
        alice.sent().await?;
        println!("     alice → …      {text}");
    }

    println!("5. What the server's database holds now:");
    database.print().await?;
    let envelopes = database.envelopes().await?;
    checks.expect(
        "three envelopes wait for Bob",
        envelopes.len() == WHILE_AWAY.len(),
    );
    checks.expect(
        "the server is not told who wrote them",
        envelopes.iter().all(|envelope| envelope.sender.is_none()),
    );
    let everything = database.bytes()?;
    let said = [TO_BOB, TO_ALICE].into_iter().chain(WHILE_AWAY);
    let found = said.filter(|text| holds(&everything, text.as_bytes())).count();
    println!(
        "   {} bytes of database and log searched for each of the 5 messages: {found} found.",
        everything.len()
    );
    checks.expect("no message is anywhere in the database or its log", found == 0);
    let control = holds(&everything, b"alice@localhost");
    checks.expect(
        "the same search finds Alice's address, so it does find things",
        control,
    );

    println!("6. Bob comes back, and everything is there, in order:");
    bob = Person::back(&url, folder.path(), "bob").await?;
    let mut read = Vec::new();
    for _ in WHILE_AWAY {
        let text = bob.read().await?;
        println!("     alice → bob    {text}");
        read.push(text);
    }
    checks.expect("Bob reads all three, each once, in order", read == WHILE_AWAY);

    let empty = becomes_empty(&mut database).await?;
    println!(
        "7. What Bob has, the server has deleted: {} envelopes left.",
        database.envelopes().await?.len()
    );
    checks.expect("acknowledged envelopes are deleted", empty);

    alice.client.close().await;
    bob.client.close().await;
    let _ = stop.send(());
    checks.expect("the server stops cleanly", running.await?.is_ok());
    println!(
        "\nWhat the server does know: who has an account; for whom each message is, when it comes, how much it is,\n\
         in steps of the padding, and from which network address; and by name who writes, until the other has\n\
         answered: from then on senders are sealed. Sessions are PQXDH and Double Ratchet, with ML-KEM-768 beside\n\
         X25519: what is recorded today withstands the quantum computers of tomorrow."
    );
    Ok(checks)
}

/// What the first message, as the server has it, says of the session it begins.
async fn look_at_the_handshake(database: &mut Database, checks: &mut Checks) -> Fallible<()> {
    let envelopes = database.envelopes().await?;
    let [envelope] = envelopes.as_slice() else {
        return Err(format!("{} envelopes instead of the first", envelopes.len()).into());
    };
    let SessionMessage::Initial(first) = SessionMessage::decode(&envelope.ciphertext)? else {
        return Err("the first message begins no session".into());
    };
    let suite = match first.suite() {
        Suite::Pqxdh => "PQXDH (X25519 and ML-KEM-768)",
        Suite::X3dh => "X3DH (X25519 alone)",
        _ => "a suite this demo does not know",
    };
    println!("     her first message, as it waits, begins a session by {suite}");
    println!("     and names her: nobody has given her the key by which senders stay unnamed yet");
    checks.expect(
        "the first message is the one whose sender the server is told",
        envelope.sender.as_deref() == Some("alice@localhost"),
    );
    checks.expect(
        "the session was begun by PQXDH, not by classical X3DH",
        first.suite() == Suite::Pqxdh,
    );
    let prekey = first.kem_prekey_id().ok_or("no KEM prekey is named")?;
    let left = database.has_one_time_kem_prekey("bob@localhost", prekey).await?;
    let next = database
        .has_one_time_kem_prekey("bob@localhost", prekey.saturating_add(1))
        .await?;
    println!("     with Bob's one-time ML-KEM prekey {prekey}, which the server no longer has");
    checks.expect(
        "Bob's one-time ML-KEM prekey was handed out once and is gone, the next one is there",
        !left && next,
    );
    Ok(())
}

impl Person {
    /// Somebody who has registered before.
    async fn back(url: &str, folder: &Path, name: &str) -> Fallible<Self> {
        let (client, events) = Client::open(config(url, folder, name)).await?;
        Ok(Self { client, events })
    }

    async fn say(&mut self, to: &Self, text: &str) -> Fallible<()> {
        self.client.send_text(to.client.address(), text).await?;
        self.sent().await
    }

    /// Waits until the server has taken a message.
    async fn sent(&mut self) -> Fallible<()> {
        match self.next().await? {
            EventKind::MessageSent { .. } => Ok(()),
            other => Err(format!("expected a message to be sent, got {other:?}").into()),
        }
    }

    /// Waits for the next message.
    async fn read(&mut self) -> Fallible<String> {
        match self.next().await? {
            EventKind::MessageReceived(message) => Ok(message.text().unwrap_or_default().to_owned()),
            other => Err(format!("expected a message, got {other:?}").into()),
        }
    }

    async fn next(&mut self) -> Fallible<EventKind> {
        let event = tokio::time::timeout(PATIENCE, self.events.next())
            .await?
            .ok_or("the client stopped")?;
        self.client.acknowledge(event.id).await?;
        Ok(event.kind)
    }
}

async fn register(url: &str, folder: &Path, name: &str) -> Fallible<Person> {
    let address = Address::parse(&format!("{name}@localhost"))?;
    let (client, events) = Client::register(config(url, folder, name), &address).await?;
    Ok(Person { client, events })
}

fn config(url: &str, folder: &Path, name: &str) -> Config {
    Config {
        server: url.to_owned(),
        roots: None,
        store: folder.join(format!("{name}.db")),
        key: StoreKey::passphrase("a passphrase only this person knows"),
        streaming: sottovoce::Streaming::default(),
    }
}

/// The acknowledgement of the last message may still be on its way.
async fn becomes_empty(database: &mut Database) -> Fallible<bool> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if database.envelopes().await?.is_empty() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(false)
}
