//! The same over a server that speaks S3.

use std::time::Duration;

use sottovoce_server::{Config, S3Config, S3Secret, StorageConfig};

use super::{DAY, MIB, Person, content, parts_in, read, read_pieces, until_empty};
use crate::common::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use crate::common::{Device, TestServer, reason};

fn on(s3: &S3Server) -> impl Fn(&mut Config) + use<> {
    let endpoint = s3.endpoint.clone();
    move |config: &mut Config| {
        config.limits.sweep_interval = Duration::from_millis(300);
        config.storage = StorageConfig::S3(S3Config {
            endpoint: Some(endpoint.clone()),
            access_key: Some((ACCESS_KEY.to_owned(), S3Secret::new(SECRET_KEY.to_owned()))),
            allow_http: true,
            prefix: Some("chat".to_owned()),
            ..S3Config::new(BUCKET)
        });
    }
}

#[tokio::test]
async fn a_blob_lives_in_a_bucket_from_its_upload_to_its_end() {
    let s3 = S3Server::start().await;
    let server = TestServer::start_with(on(&s3)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB + 9, 1);
    alice.begin(1, whole.len()).await.unwrap();
    alice.part(1, 0, &whole[..MIB]).await.unwrap();
    let folder = server.stop().await;

    let server = TestServer::start_in(folder, on(&s3)).await;
    let clients = server.connect().await;
    let alice = Person::known(&clients, &alice.token);
    assert_eq!(alice.begin(1, whole.len()).await.unwrap().offset, MIB as u64);
    let blob = alice.put(1, &whole).await.unwrap();
    assert_eq!(parts_in(&s3.bucket()).len(), 3);
    assert!(read(&clients, &blob, 0, 0).await.unwrap() == whole);
    let range = read(&clients, &blob, MIB as u64 - 7, 100).await.unwrap();
    assert!(range == whole[MIB - 7..MIB + 93]);

    let bob = Person::join(&clients, "bob").await;
    bob.retain(&blob, DAY).await.unwrap();
    alice.release(&blob).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(read(&clients, &blob, 0, 0).await.unwrap() == whole);
    bob.release(&blob).await;
    until_empty(&s3.bucket()).await;
    server.stop().await;
}

#[tokio::test]
async fn an_object_cut_short_in_the_bucket_is_noticed() {
    let s3 = S3Server::start().await;
    let server = TestServer::start_with(on(&s3)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(MIB + 100_000, 1);
    let blob = alice.put(1, &whole).await.unwrap();
    let second = parts_in(&s3.bucket()).remove(1);
    std::fs::write(&second, &whole[MIB..MIB + 70_000]).unwrap();
    let (read, end) = read_pieces(&clients, &blob, 0, 0).await;
    assert_eq!(reason(&end.expect("not complete")), "INTERNAL");
    assert!(read == whole[..MIB]);
    server.stop().await;
}

#[tokio::test]
async fn without_its_bucket_a_server_counts_no_part_and_serves_messages() {
    let mut s3 = S3Server::start().await;
    let server = TestServer::start_with(on(&s3)).await;
    let clients = server.connect().await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(MIB + 1, 1);
    alice.begin(1, whole.len()).await.unwrap();
    alice.part(1, 0, &whole[..MIB]).await.unwrap();
    s3.kill().await;
    let refused = alice.part(1, MIB, &whole[MIB..]).await.unwrap_err();
    assert!(
        ["INTERNAL", "DEADLINE_EXCEEDED"].contains(&reason(&refused).as_str()),
        "{refused:?}"
    );
    assert_eq!(alice.begin(1, whole.len()).await.unwrap().offset, MIB as u64);
    let bob = Device::named("bob");
    bob.join(&clients).await;
    Device::send_numbers(&clients, &alice.token, &bob, 1..=3).await;
    server.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn attachments_move_from_a_folder_to_a_bucket_by_command() {
    use crate::common::{Clients, Program};
    use crate::operating::command;

    let s3 = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (data, old) = (folder.path().join("data"), folder.path().join("old.toml"));
    let program = Program::start(&data).await;
    let clients = Clients::connect(program.address).await;
    let alice = Person::join(&clients, "alice").await;
    let whole = content(2 * MIB + 9, 1);
    let blob = alice.put(1, &whole).await.unwrap();
    program.kill().await;

    std::fs::write(&old, format!("data_dir = {:?}\n", data.to_str().unwrap())).unwrap();
    let bucket = [
        ("SOTTOVOCE_STORAGE__BUCKET", BUCKET),
        ("SOTTOVOCE_STORAGE__PREFIX", "chat"),
        ("SOTTOVOCE_STORAGE__ENDPOINT", s3.endpoint.as_str()),
        ("SOTTOVOCE_STORAGE__ACCESS_KEY", ACCESS_KEY),
        ("SOTTOVOCE_STORAGE__SECRET_KEY", SECRET_KEY),
        ("SOTTOVOCE_STORAGE__ALLOW_HTTP", "true"),
    ];
    let said = async |words: &[&str]| {
        let output = command(&data, words).envs(bucket).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(&["storage", "test"]).await.matches("ok  ").count(), 7);
    let migrate = ["storage", "migrate", old.to_str().unwrap()];
    let moved = said(&migrate).await;
    assert!(moved.contains("3 parts copied, 0 were there already"), "{moved}");
    let again = said(&migrate).await;
    assert!(again.contains("0 parts copied, 3 were there already"), "{again}");
    assert_eq!(parts_in(&s3.bucket()).len(), 3);

    // Nothing is left for it to find in the folder.
    std::fs::remove_dir_all(data.join("blobs")).unwrap();
    let mut serve = Program::command(&data);
    serve.envs(bucket);
    let program = Program::spawn(serve).await;
    let clients = Clients::connect(program.address).await;
    assert!(read(&clients, &blob, 0, 0).await.unwrap() == whole);
    program.kill().await;
}
