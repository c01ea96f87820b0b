//! `kill -9` in the middle of uploads: what was acknowledged is there, and the upload goes on from it.

use std::time::Duration;

use super::{MIB, Person, content, parts_in, read};
use crate::common::{Clients, Program, reason};

const KILLS: usize = 12;
const SEED: u64 = 0xB10B_5EED;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_kill_9_at_any_instant() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let token = Person::join(&clients, "alice").await.token;
    let mut random = SEED;
    let (mut upload, mut acknowledged, mut finished, mut interrupted) = (1, 0, Vec::new(), 0);
    let whole = content(6 * MIB + 77, 1);
    for _ in 0..KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let until_killed = Duration::from_micros(3_000 + (random >> 33) % 150_000);
        let address = program.address;
        let alice_token = token.clone();
        let content = whole.clone();
        // Uploads on and on until the server is no more.
        let uploading = tokio::spawn(async move {
            let clients = Clients::connect(address).await;
            let alice = Person::known(&clients, &alice_token);
            let mut done = Vec::new();
            loop {
                let Ok(begun) = alice.begin(upload, content.len()).await else {
                    return (upload, acknowledged, done);
                };
                assert!(begun.offset >= acknowledged, "acknowledged and lost");
                let mut offset = begun.offset as usize;
                while offset < content.len() {
                    let end = content.len().min(offset + begun.part_len as usize);
                    match alice.part(upload, offset, &content[offset..end]).await {
                        Ok(now) => offset = now as usize,
                        Err(status) => {
                            assert!(reason(&status).starts_with("untyped"), "refused: {status:?}");
                            return (upload, acknowledged.max(offset as u64), done);
                        }
                    }
                    acknowledged = offset as u64;
                }
                match alice.finish(upload).await {
                    Ok(blob) => done.push(blob.blob_id),
                    Err(_) => return (upload, acknowledged, done),
                }
                (upload, acknowledged) = (upload + 1, 0);
            }
        });
        tokio::time::sleep(until_killed).await;
        program.kill().await;
        let done;
        (upload, acknowledged, done) = uploading.await.unwrap();
        interrupted += usize::from(acknowledged > 0 && (acknowledged as usize) < whole.len());
        finished.extend(done);
        program = Program::start(folder.path()).await;
    }
    let clients = Clients::connect(program.address).await;
    let alice = Person::known(&clients, &token);
    finished.push(alice.put(upload, &whole).await.unwrap());
    for blob in &finished {
        assert!(
            read(&clients, blob, 0, 0).await.unwrap() == whole,
            "a finished blob is not what was uploaded"
        );
    }
    println!(
        "{KILLS} kills, {} blobs, {interrupted} uploads cut in the middle",
        finished.len()
    );
    assert!(
        interrupted >= KILLS / 3,
        "only {interrupted} uploads were cut in the middle"
    );
    let parts = parts_in(folder.path());
    assert!(parts.len() >= 7 * finished.len());
    program.kill().await;
}
