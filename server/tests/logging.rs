//! The log, whatever is done: one object a line, calls that can be told apart, and nobody's name.

use std::path::Path;

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::{AcknowledgeRequest, PostRequest, SendSealedRequest, SetAccessKeyRequest};
use sottovoce_statements::AccessKeyHash;
use tonic::Status;

use crate::common::{
    Clients, Device, Program, Store, contains, dump, files, id, subscribe, until_queue_empty, with_token,
};
use crate::{blobs, channels};

const KEY: [u8; 32] = [0xc7; 32];

/// What was done, as far as somebody must not find it in the log, and the calls that were refused: their
/// paths, and the numbers that their caller was given.
struct Done {
    secrets: Vec<String>,
    refused: Vec<(&'static str, String)>,
}

impl Done {
    fn refuse<T>(&mut self, path: &'static str, answer: Result<T, Status>) {
        let status = answer.err().expect(path);
        let number = status.metadata().get("x-request-id").expect(path);
        self.refused.push((path, number.to_str().unwrap().to_owned()));
    }

    /// Kept from the log as they are, and in hexadecimal digits.
    fn keep<'a>(&mut self, secrets: impl IntoIterator<Item = &'a [u8]>) {
        for secret in secrets {
            self.secrets.push(hex::encode(secret));
            self.secrets.push(String::from_utf8_lossy(secret).into_owned());
        }
    }
}

/// One of every kind of message and a blob, each done once and once refused.
async fn talk(clients: &Clients, alice: &channels::Person, bob: &channels::Person) -> Done {
    let mut done = Done {
        secrets: Vec::new(),
        refused: Vec::new(),
    };
    let mut mailbox = clients.mailbox.clone();
    Device::send_numbers(clients, &alice.token, &bob.device, 1..=3).await;
    let conflict = with_token(&alice.token, Device::letter(&bob.device, 1, b"a conflict"));
    done.refuse("/sottovoce.v1.MailboxService/Send", mailbox.send(conflict).await);

    let access_key_hash = AccessKeyHash::of(&KEY).as_bytes().to_vec();
    let access = with_token(&bob.token, SetAccessKeyRequest { access_key_hash });
    clients.accounts.clone().set_access_key(access).await.unwrap();
    let letter = Device::letter(&bob.device, 4, b"a sealed letter");
    let mut sealed = SendSealedRequest {
        recipient: letter.recipient,
        access_key: KEY.to_vec(),
        client_message_id: letter.client_message_id,
        messages: letter.messages,
        ..SendSealedRequest::default()
    };
    mailbox.send_sealed(sealed.clone()).await.unwrap();
    sealed.access_key[0] ^= 1;
    done.refuse(
        "/sottovoce.v1.MailboxService/SendSealed",
        mailbox.send_sealed(sealed).await,
    );

    let channel_id = channels::founded_by_two(clients, alice, &bob.device).await;
    let mut service = ChannelServiceClient::new(clients.channel.clone());
    let post = |ciphertext: &[u8]| PostRequest {
        channel_id: channel_id.clone(),
        client_message_id: id(5),
        roster_height: 1,
        ciphertext: ciphertext.to_vec(),
    };
    let first = with_token(&alice.token, post(b"a post"));
    service.post(first).await.unwrap();
    let conflict = with_token(&alice.token, post(b"another post"));
    done.refuse("/sottovoce.v1.ChannelService/Post", service.post(conflict).await);

    let person = blobs::Person::known(clients, &alice.token);
    let blob = person.put(6, b"an attachment").await.unwrap();
    assert_eq!(blobs::read(clients, &blob, 0, 0).await.unwrap(), b"an attachment");
    done.refuse("/sottovoce.v1.BlobService/FinishUpload", person.finish(7).await);

    let mut stream = subscribe(clients, &bob.token).await;
    let waiting = until_queue_empty(&mut stream).await;
    assert_eq!(waiting.len(), 5, "three by name, a sealed one, and a post");
    let envelope_ids = vec![waiting[0].envelope_id.clone()];
    let request = with_token(&bob.token, AcknowledgeRequest { envelope_ids });
    mailbox.acknowledge(request).await.unwrap();

    done.keep(waiting.iter().map(|envelope| envelope.envelope_id.as_slice()));
    done.keep((1..=7).map(id).collect::<Vec<_>>().iter().map(Vec::as_slice));
    done.keep([&KEY[..], AccessKeyHash::of(&KEY).as_bytes()]);
    done.keep([&channel_id[..], &blob]);
    done.keep([
        &b"a sealed letter"[..],
        b"a post",
        b"an attachment",
        b"a conflict",
    ]);
    done
}

#[cfg(unix)]
#[tokio::test]
async fn tokens_are_never_written_and_nobody_is_named_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Program::command(&data);
    command.args(["--log-level", "debug", "--log-format", "json"]);
    let program = Program::spawn(command).await;
    let clients = Clients::connect(program.address).await;
    let mut people = Vec::new();
    for name in ["alice", "bob"] {
        let device = Device::named(name);
        let token = device.join(&clients).await;
        people.push(channels::Person { device, token });
    }
    let prekeys = with_token(&people[1].token, people[1].device.prekeys(1..=5));
    clients.prekeys.clone().publish_prekeys(prekeys).await.unwrap();
    let done = talk(&clients, &people[0], &people[1]).await;
    assert_tokens_are_hashed(&data, &people).await;
    program.signal("TERM").await;
    let (_, _, log) = program.end().await;
    assert!(
        log.len() < 32 * 1024,
        "a pipe that nobody reads takes no more than twice that"
    );
    assert_tokens_are_hashed(&data, &people).await;

    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(lines.iter().all(serde_json::Value::is_object));
    // Each call that was refused is told, with the number that its caller was given.
    for (path, number) in &done.refused {
        let about = lines.iter().map(ToString::to_string);
        let mut about = about.filter(|line| line.contains(number) && line.contains(path));
        assert!(
            about.next().is_some(),
            "{path} is not in the log, which proves nothing then:\n{log}"
        );
    }
    let mut names = ["alice", "bob", "localhost", "127.0.0.1"]
        .map(str::to_owned)
        .to_vec();
    names.extend(done.secrets);
    for person in people {
        names.extend([person.token, person.device.id.to_string()]);
    }
    for name in names {
        assert!(!log.contains(&name), "{name:?} is in the log:\n{log}");
    }
}

/// Of tokens their hashes are stored, in the folder and in the database, and nothing else.
async fn assert_tokens_are_hashed(data: &Path, people: &[channels::Person]) {
    let mut stored = files(data);
    let rows = dump(&data.join("sottovoce.db")).await;
    stored.extend(rows.join("\n").to_lowercase().bytes());
    for person in people {
        let hash = Sha256::digest(person.token.as_bytes());
        if crate::STORE == Store::Sqlite {
            assert!(contains(&stored, &hash), "the hash is there");
        }
        assert!(
            contains(&stored, hex::encode(hash).as_bytes()),
            "the hash is there"
        );
        let token = hex::decode(&person.token).unwrap();
        for bytes in [person.token.as_bytes(), &token] {
            assert!(!contains(&stored, bytes), "a token is in the data folder");
        }
    }
}
