//! Channels: a roster that the server checks like everybody else, and posts that reach its members.

mod fan_out;
mod kill;
mod posts;
mod reading;
mod roster;
mod rules;

use std::time::Duration;

use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    AcknowledgeRequest, AppendRosterEntryRequest, CreateChannelRequest, Envelope, GetRosterEntriesRequest,
    GetRosterEntriesResponse, PostRequest, PostResponse, SignedStatement, SubscribeResponse,
};
use sottovoce_statements::{
    Account, ChannelId, CurrentEntry, DeviceManifest, EntrySigner, Roster, RosterChange, RosterEntry, Signed,
    Verified,
};
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::common::{Clients, Device, TestServer, id, statement, subscribe, with_token};

/// Somebody with an account and a token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) device: Device,
    pub(crate) token: String,
}

impl Person {
    async fn join(clients: &Clients, name: &str) -> Self {
        let device = Device::named(name);
        let token = device.join(clients).await;
        Self { device, token }
    }

    fn account(&self) -> Account {
        account(&self.device)
    }
}

fn account(device: &Device) -> Account {
    Account {
        address: device.address.clone(),
        account_key: device.account_key(),
    }
}

fn manifest(device: &Device) -> Verified<DeviceManifest> {
    let signed = Signed::<DeviceManifest>::from_parts(
        &statement(device.manifest(), &device.account).statement,
        &statement(device.manifest(), &device.account).signature,
    );
    signed.unwrap().verify(&device.account_key()).unwrap()
}

fn signer(device: &Device) -> EntrySigner {
    EntrySigner::on_manifest(&manifest(device), device.id).unwrap()
}

pub(crate) fn genesis(device: &Device, salt: u8) -> RosterEntry {
    RosterEntry::genesis(signer(device), [salt; 16])
}

/// What the entry makes of a roster, on the client's side.
fn checked(device: &Device, entry: RosterEntry) -> CurrentEntry {
    let signed = statement(entry, &device.identity);
    let signed = Signed::from_parts(&signed.statement, &signed.signature).unwrap();
    CurrentEntry::check(signed, &manifest(device)).unwrap()
}

/// A channel on a server, and the roster as its members know it.
pub(crate) struct Club {
    pub(crate) server: TestServer,
    pub(crate) clients: Clients,
    pub(crate) channels: ChannelServiceClient<Channel>,
    roster: Roster,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) carol: Person,
}

impl Club {
    /// Alice owns it; Bob and Carol are plain members.
    pub(crate) async fn new() -> Self {
        Self::on(TestServer::start().await).await
    }

    async fn on(server: TestServer) -> Self {
        let clients = server.connect().await;
        let mut club = Self::founded(server, clients).await;
        let (bob, carol) = (club.bob.account(), club.carol.account());
        let alice = club.alice.clone();
        club.change(&alice, RosterChange::Add(bob)).await.unwrap();
        club.change(&alice, RosterChange::Add(carol)).await.unwrap();
        club
    }

    /// Alice owns it and is alone in it.
    async fn founded(server: TestServer, clients: Clients) -> Self {
        let channels = ChannelServiceClient::new(clients.channel.clone());
        let alice = Person::join(&clients, "alice").await;
        let entry = genesis(&alice.device, 1);
        let roster = Roster::found(&checked(&alice.device, entry.clone())).unwrap();
        let created = found(&channels, &alice, entry).await.unwrap();
        assert_eq!(created, roster.channel_id().as_bytes());
        Self {
            bob: Person::join(&clients, "bob").await,
            carol: Person::join(&clients, "carol").await,
            alice,
            server,
            clients,
            channels,
            roster,
        }
    }

    fn id(&self) -> ChannelId {
        self.roster.channel_id()
    }

    fn height(&self) -> u64 {
        self.roster.head().height
    }

    /// The entry that would make this change next, allowed or not.
    fn entry(&self, by: &Person, change: RosterChange) -> RosterEntry {
        let head = self.roster.head();
        RosterEntry {
            channel_id: self.id(),
            height: head.height + 1,
            previous: head.hash,
            signer: signer(&by.device),
            change,
        }
    }

    /// Makes a change, and takes it in as members do once the server has it.
    async fn change(&mut self, by: &Person, change: RosterChange) -> Result<(), Status> {
        let entry = self.entry(by, change);
        let height = self.append(by, entry.clone()).await?;
        assert_eq!(height, entry.height);
        self.roster.apply(&checked(&by.device, entry)).unwrap();
        Ok(())
    }

    async fn append(&self, by: &Person, entry: RosterEntry) -> Result<u64, Status> {
        self.append_signed(by, statement(entry, &by.device.identity))
            .await
    }

    async fn append_signed(&self, by: &Person, entry: SignedStatement) -> Result<u64, Status> {
        let request = AppendRosterEntryRequest { entry: Some(entry) };
        let mut channels = self.channels.clone();
        let answer = channels.append_roster_entry(with_token(&by.token, request));
        Ok(answer.await?.into_inner().height)
    }

    async fn entries(&self, by: &Person, from_height: u64) -> Result<GetRosterEntriesResponse, Status> {
        let request = GetRosterEntriesRequest {
            channel_id: self.id().as_bytes().to_vec(),
            from_height,
        };
        let mut channels = self.channels.clone();
        let answer = channels.get_roster_entries(with_token(&by.token, request));
        Ok(answer.await?.into_inner())
    }

    /// Post `n`, whose ciphertext is the number.
    pub(crate) fn letter(&self, n: u64) -> PostRequest {
        PostRequest {
            channel_id: self.id().as_bytes().to_vec(),
            client_message_id: id(n),
            roster_height: self.height(),
            ciphertext: n.to_string().into_bytes(),
        }
    }

    async fn post(&self, by: &Person, request: PostRequest) -> Result<PostResponse, Status> {
        let mut channels = self.channels.clone();
        let answer = channels.post(with_token(&by.token, request));
        Ok(answer.await?.into_inner())
    }

    pub(crate) async fn subscribe(&self, who: &Person) -> Streaming<SubscribeResponse> {
        subscribe(&self.clients, &who.token).await
    }
}

/// A channel of somebody's with somebody else in it. Returns its id; its height is 1.
pub(crate) async fn founded_by_two(clients: &Clients, owner: &Person, member: &Device) -> Vec<u8> {
    let mut channels = ChannelServiceClient::new(clients.channel.clone());
    let entry = genesis(&owner.device, 1);
    let roster = Roster::found(&checked(&owner.device, entry.clone())).unwrap();
    let id = found(&channels, owner, entry).await.unwrap();
    let add = roster.next_entry(RosterChange::Add(account(member)), signer(&owner.device));
    let entry = Some(statement(add.unwrap(), &owner.device.identity));
    let request = with_token(&owner.token, AppendRosterEntryRequest { entry });
    channels.append_roster_entry(request).await.unwrap();
    id
}

pub(crate) async fn found(
    channels: &ChannelServiceClient<Channel>,
    by: &Person,
    entry: RosterEntry,
) -> Result<Vec<u8>, Status> {
    let request = CreateChannelRequest {
        genesis: Some(statement(entry, &by.device.identity)),
    };
    let mut channels = channels.clone();
    let answer = channels.create_channel(with_token(&by.token, request));
    Ok(answer.await?.into_inner().channel_id)
}

async fn acknowledge(clients: &Clients, token: &str, envelope_ids: Vec<Vec<u8>>) {
    let request = with_token(token, AcknowledgeRequest { envelope_ids });
    clients.mailbox.clone().acknowledge(request).await.unwrap();
}

/// The next envelope of a stream, whatever else is told.
async fn next(stream: &mut Streaming<SubscribeResponse>) -> Envelope {
    loop {
        let answer = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
        let event = answer.expect("nothing came").unwrap().unwrap().event.unwrap();
        if let Event::Envelope(envelope) = event {
            return envelope;
        }
    }
}

/// The numbers in the next `count` posts of a stream, each acknowledged.
pub(crate) async fn numbers(
    clients: &Clients,
    token: &str,
    stream: &mut Streaming<SubscribeResponse>,
    count: usize,
) -> Vec<u64> {
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let envelope = next(stream).await;
        found.push(String::from_utf8(envelope.ciphertext).unwrap().parse().unwrap());
        acknowledge(clients, token, vec![envelope.envelope_id]).await;
    }
    found
}

pub(crate) async fn assert_quiet(stream: &mut Streaming<SubscribeResponse>) {
    loop {
        let event = tokio::time::timeout(Duration::from_millis(200), stream.message()).await;
        let Ok(event) = event else { return };
        let event = event.unwrap().unwrap().event.unwrap();
        assert!(!matches!(event, Event::Envelope(_)), "something came: {event:?}");
    }
}
