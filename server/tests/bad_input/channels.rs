//! Bad roster entries and posts.

use prost::Message;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::{
    AppendRosterEntryRequest, CreateChannelRequest, GetRosterEntriesRequest, ListChannelsRequest,
    PostRequest, SignedStatement,
};
use sottovoce_statements::{ChannelId, DeviceManifest, EntrySigner, RosterChange, RosterEntry, Signed};
use tonic::Code;

use super::{APPEND, CREATE, ENTRIES, LIST, POST, Refused, Row, World, invalid, too_large, unsigned};
use crate::common::{Device, call, dump, id, statement, with_token};

const CHANNEL_UNKNOWN: Refused<'_> = (Code::NotFound, "CHANNEL_UNKNOWN", "");

fn signer(device: &Device) -> EntrySigner {
    let manifest = statement(device.manifest(), &device.account);
    let manifest = Signed::<DeviceManifest>::from_parts(&manifest.statement, &manifest.signature).unwrap();
    EntrySigner::on_manifest(&manifest.verify(&device.account_key()).unwrap(), device.id).unwrap()
}

/// The world, with a channel of alice's in it.
async fn with_channel() -> (World, ChannelId) {
    let mut world = World::new().await;
    let genesis = RosterEntry::genesis(signer(&world.alice), [1; 16]);
    let request = CreateChannelRequest {
        genesis: Some(statement(genesis, &world.alice.identity)),
    };
    let mut channels = ChannelServiceClient::new(world.clients.channel.clone());
    let created = channels.create_channel(with_token(&world.token, request)).await;
    let id = created.unwrap().into_inner().channel_id;
    world.before = dump(&world.server.database).await;
    (world, ChannelId::from_bytes(id.try_into().unwrap()))
}

/// What may be wrong with any statement.
fn bad_statements(
    good: &SignedStatement,
    field: &'static str,
) -> Vec<(&'static str, SignedStatement, Refused<'static>)> {
    let with = |change: &dyn Fn(&mut SignedStatement)| {
        let mut statement = good.clone();
        change(&mut statement);
        statement
    };
    let last = good.signature.len() - 1;
    vec![
        ("nothing in it", SignedStatement::default(), invalid(field)),
        ("no signature", with(&|s| s.signature.clear()), invalid(field)),
        (
            "short signature",
            with(&|s| s.signature.truncate(63)),
            invalid(field),
        ),
        (
            "another signature",
            with(&|s| s.signature[last] ^= 1),
            unsigned(field),
        ),
        (
            "cut short",
            with(&|s| s.statement.truncate(s.statement.len() - 1)),
            invalid(field),
        ),
        ("one byte more", with(&|s| s.statement.push(0)), invalid(field)),
        ("another header", with(&|s| s.statement[0] ^= 1), invalid(field)),
        (
            "too long",
            with(&|s| s.statement = vec![0; 1537]),
            too_large(field),
        ),
    ]
}

#[tokio::test]
async fn bad_foundings_are_refused() {
    let (world, channel) = with_channel().await;
    let genesis = RosterEntry::genesis(signer(&world.alice), [2; 16]);
    let signed = |entry: RosterEntry| statement(entry, &world.alice.identity);
    let mut rows = bad_statements(&signed(genesis.clone()), "genesis");
    let manifest = statement(world.alice.manifest(), &world.alice.account);
    rows.push(("another statement", manifest, invalid("genesis")));
    let follower = RosterEntry {
        channel_id: channel,
        height: 1,
        previous: *channel.as_bytes(),
        signer: signer(&world.alice),
        change: RosterChange::Confirm,
    };
    rows.push(("no genesis", signed(follower), invalid("genesis")));
    let refused = (Code::InvalidArgument, "ROSTER_REFUSED", "genesis");
    let bobs = RosterEntry::genesis(signer(&world.bob), [2; 16]);
    rows.push(("another's", statement(bobs, &world.bob.identity), refused));
    let mut other_device = genesis.clone();
    other_device.signer.device_id = world.bob.id;
    rows.push(("another device's", signed(other_device), refused));
    let mut other_key = genesis.clone();
    other_key.signer.account.account_key = world.bob.account_key();
    rows.push(("another account key's", signed(other_key), refused));
    let mut newer = genesis;
    newer.signer.manifest_version = 2;
    let conflict = (Code::Aborted, "MANIFEST_CONFLICT", "");
    rows.push(("under a newer manifest", signed(newer), conflict));
    world
        .refuses("no genesis at all", CREATE, Vec::new(), invalid("genesis"))
        .await;
    for (what, genesis, expected) in rows {
        let request = CreateChannelRequest {
            genesis: Some(genesis),
        };
        world
            .refuses(what, CREATE, request.encode_to_vec(), expected)
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_roster_entries_are_refused() {
    let (world, channel) = with_channel().await;
    let good = RosterEntry {
        channel_id: channel,
        height: 1,
        previous: *channel.as_bytes(),
        signer: signer(&world.alice),
        change: RosterChange::Confirm,
    };
    let signed = |change: &dyn Fn(&mut RosterEntry)| {
        let mut entry = good.clone();
        change(&mut entry);
        statement(entry, &world.alice.identity)
    };
    let mut rows = bad_statements(&signed(&|_| {}), "entry");
    let genesis = RosterEntry::genesis(signer(&world.alice), [1; 16]);
    rows.push((
        "a genesis",
        statement(genesis, &world.alice.identity),
        invalid("entry"),
    ));
    let conflict = (Code::Aborted, "ROSTER_CONFLICT", "");
    let refused = (Code::InvalidArgument, "ROSTER_REFUSED", "entry");
    let (bob, carol) = (&world.bob.address, &world.carol.address);
    rows.extend([
        (
            "no such channel",
            signed(&|e| e.channel_id = ChannelId::from_bytes([9; 32])),
            CHANNEL_UNKNOWN,
        ),
        ("a gap", signed(&|e| e.height = 3), conflict),
        ("the end of numbers", signed(&|e| e.height = u64::MAX), conflict),
        ("on another entry", signed(&|e| e.previous = [9; 32]), conflict),
        (
            "the owner leaves",
            signed(&|e| e.change = RosterChange::Leave),
            refused,
        ),
        (
            "nobody removed",
            signed(&|e| e.change = RosterChange::Remove(bob.clone())),
            refused,
        ),
        (
            "nobody handed over to",
            signed(&|e| e.change = RosterChange::HandOver(carol.clone())),
            refused,
        ),
        (
            "another device's",
            signed(&|e| e.signer.device_id = world.bob.id),
            refused,
        ),
    ]);
    let bobs = RosterEntry {
        signer: signer(&world.bob),
        ..good.clone()
    };
    rows.push(("another's", statement(bobs, &world.bob.identity), refused));
    world
        .refuses("no entry at all", APPEND, Vec::new(), invalid("entry"))
        .await;
    for (what, entry, expected) in rows {
        let request = AppendRosterEntryRequest { entry: Some(entry) };
        world
            .refuses(what, APPEND, request.encode_to_vec(), expected)
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_questions_about_channels_are_refused() {
    let (world, channel) = with_channel().await;
    let of = |channel_id: &[u8]| GetRosterEntriesRequest {
        channel_id: channel_id.to_vec(),
        from_height: 0,
    };
    for (what, channel_id, expected) in [
        ("no id", &[][..], invalid("channel_id")),
        ("short id", &channel.as_bytes()[..31], invalid("channel_id")),
        ("long id", &[0; 33][..], invalid("channel_id")),
        ("no such channel", &[9; 32][..], CHANNEL_UNKNOWN),
    ] {
        world
            .refuses(what, ENTRIES, of(channel_id).encode_to_vec(), expected)
            .await;
    }
    for length in [1, 31, 33] {
        let request = ListChannelsRequest {
            after_channel_id: vec![0; length],
        };
        let refused = invalid("after_channel_id");
        world
            .refuses("id of another length", LIST, request.encode_to_vec(), refused)
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_posts_are_refused() {
    let (world, channel) = with_channel().await;
    let with = |change: &dyn Fn(&mut PostRequest)| {
        let mut request = PostRequest {
            channel_id: channel.as_bytes().to_vec(),
            client_message_id: id(2),
            roster_height: 0,
            ciphertext: b"ciphertext".to_vec(),
        };
        change(&mut request);
        request.encode_to_vec()
    };
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("channel_id")),
        (
            "short channel id",
            with(&|p| p.channel_id.truncate(31)),
            invalid("channel_id"),
        ),
        (
            "no such channel",
            with(&|p| p.channel_id = vec![9; 32]),
            CHANNEL_UNKNOWN,
        ),
        (
            "no message id",
            with(&|p| p.client_message_id.clear()),
            invalid("client_message_id"),
        ),
        (
            "long message id",
            with(&|p| p.client_message_id.push(0)),
            invalid("client_message_id"),
        ),
        (
            "no ciphertext",
            with(&|p| p.ciphertext.clear()),
            invalid("ciphertext"),
        ),
        (
            "too long a ciphertext",
            with(&|p| p.ciphertext = vec![1; 128 * 1024 + 1]),
            too_large("ciphertext"),
        ),
        (
            "another roster",
            with(&|p| p.roster_height = u64::MAX),
            (Code::FailedPrecondition, "ROSTER_STALE", ""),
        ),
        (
            "a message id used for a send",
            with(&|p| p.client_message_id = id(1)),
            (Code::AlreadyExists, "MESSAGE_ID_CONFLICT", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, POST, body, expected).await;
    }
    let longest = with(&|p| p.ciphertext = vec![1; 128 * 1024]);
    let authorization = format!("Bearer {}", world.token);
    let metadata = [("authorization", authorization.as_str())];
    call(&world.clients.channel, POST, &metadata, longest)
        .await
        .unwrap();
    world.server.stop().await;
}
