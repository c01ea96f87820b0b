//! What only a database that is a file can do.

use crate::common::{Device, TestServer, dump};

#[tokio::test]
async fn a_copy_of_a_stopped_servers_database_is_a_backup() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let database = server.database.clone();
    let original = server.stop().await;
    let before = dump(&database).await;
    let restored = tempfile::tempdir().unwrap();
    std::fs::create_dir(restored.path().join("data")).unwrap();
    std::fs::copy(&database, restored.path().join("data/sottovoce.db")).unwrap();
    drop(original);
    let server = TestServer::start_in(restored, |_| {}).await;
    assert_eq!(dump(&server.database).await, before);
    alice.sign_in(&server.connect().await).await;
    server.stop().await;
}
