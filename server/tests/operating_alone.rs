//! What an operator sees of, and says to, a server that has its database to itself. On PostgreSQL these
//! two do not hold yet.

use std::time::Duration;

use crate::common::{Clients, Device, Program};
use crate::operating::{command, done, get, metric, refused, start};

#[tokio::test]
async fn the_figures_are_those_of_what_was_done_and_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let tokens = [alice.join(&clients).await, bob.join(&clients).await];
    Device::send_numbers(&clients, &tokens[0], &bob, 1..=3).await;
    let (status, metrics) = get(operators, "/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(metric(&metrics, "sottovoce_messages_in_total"), 3.0);
    assert!(metric(&metrics, "sottovoce_message_bytes_in_total") > 0.0);
    assert_eq!(
        metric(
            &metrics,
            "sottovoce_calls_total{call=\"MailboxService/Send\",code=\"OK\"}"
        ),
        3.0
    );
    assert_eq!(
        metric(
            &metrics,
            "sottovoce_calls_total{call=\"AccountService/Register\",code=\"OK\"}"
        ),
        2.0
    );
    assert_eq!(metric(&metrics, "sottovoce_ready"), 1.0);
    assert!(metric(&metrics, "sottovoce_connections") >= 1.0);
    assert!(metric(&metrics, "sottovoce_database_bytes") > 10_000.0);
    let (status, page) = get(operators, "/").await;
    assert_eq!(status, 200);
    for words in [
        "Ready",
        "Writer queue",
        "<svg",
        "sweep",
        "localhost",
        "content-security-policy",
    ] {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    let mut names = vec!["alice".to_owned(), "bob".to_owned(), "127.0.0.1".to_owned()];
    names.extend(tokens);
    names.extend([alice.id.to_string(), bob.id.to_string()]);
    for name in names {
        assert!(
            !metrics.contains(&name) && !page.contains(&name),
            "{name:?} is shown to operators"
        );
    }
    assert_eq!(get(operators, "/live").await.0, 200);
    assert_eq!(get(operators, "/ready").await.0, 200);
    assert_eq!(get(operators, "/other").await.0, 404);
    program.kill().await;
}

#[tokio::test]
async fn a_running_server_takes_orders() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let made = done(
        data,
        &["invite", "create", "--uses", "3", "--note", "for the team"],
    )
    .await;
    let code = made.lines().next().unwrap();
    assert_eq!(code.len(), 23, "{made}");
    let list = done(data, &["invite", "list"]).await;
    assert!(list.contains("for the team") && !list.contains(code), "{list}");
    done(data, &["invite", "revoke", "1"]).await;
    assert!(
        refused(data, &["invite", "revoke", "1"])
            .await
            .contains("no such thing")
    );
    assert!(!done(data, &["invite", "list"]).await.contains("for the team"));

    let clients = Clients::connect(program.address).await;
    let alice = Device::named("alice");
    alice.join(&clients).await;
    let devices = done(data, &["device", "list", "alice@localhost"]).await;
    assert!(devices.contains(&alice.id.to_string()), "{devices}");
    assert!(
        refused(data, &["device", "list", "nobody@localhost"])
            .await
            .contains("no such thing")
    );
    assert!(
        refused(data, &["device", "revoke", "a5"])
            .await
            .contains("32 hexadecimal digits")
    );

    // Blocks take effect at once, on connections that are open too.
    done(
        data,
        &["block", "add", "127.0.0.0/8", "--for", "1h", "--note", "a test"],
    )
    .await;
    assert!(done(data, &["block", "list"]).await.contains("127.0.0.0/8"));
    assert!(
        Clients::try_connect(program.address).await.is_err() || {
            let clients = Clients::connect(program.address).await;
            clients
                .auth
                .clone()
                .list_sessions(sottovoce_proto::v1::ListSessionsRequest {})
                .await
                .is_err()
        }
    );
    done(data, &["block", "remove", "127.0.0.0/8"]).await;
    Device::named("bob")
        .join(&Clients::connect(program.address).await)
        .await;
    assert!(
        refused(data, &["block", "add", "nowhere"])
            .await
            .contains("192.0.2.0/24")
    );
    program.kill().await;
    // What a killed server leaves behind is no server: the command does it itself.
    done(data, &["invite", "create"]).await;
    let (program, _) = start(data, |_| {}).await;
    assert!(done(data, &["invite", "list"]).await.lines().count() == 2);
    program.kill().await;
}
