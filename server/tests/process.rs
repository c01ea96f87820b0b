//! The program itself: what it says, what it refuses, how it stops, and what it never writes down.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{AcknowledgeRequest, SubscribeRequest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::common::{Clients, Device, Program, id, reason, with_token};

async fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    tokio::time::timeout(Duration::from_secs(10), output)
        .await
        .unwrap()
        .unwrap()
}

fn serve(listen: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .args(["serve", "--listen", listen, "--data-dir"])
        .arg(data_dir)
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[cfg(unix)]
#[tokio::test]
async fn it_starts_with_nothing_but_a_working_directory_and_says_what_it_did() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .arg("serve")
        // A free port; the default one may be taken on the machine that runs this.
        .env("SOTTOVOCE_LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let program = Program::spawn(command).await;
    let data = folder.path().canonicalize().unwrap().join("sottovoce-data");
    for words in [
        "Sottovoce server",
        "is ready",
        &format!("http://{}", program.address),
        "not encrypted",
        "name@localhost",
        &data.display().to_string(),
        "sottovoce.db",
        "new, made just now",
        "Ctrl-C",
    ] {
        assert!(
            program.announced.contains(words),
            "{words:?} is not in:\n{}",
            program.announced
        );
    }
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in [
        "sottovoce.db",
        "sottovoce.db-wal",
        "sottovoce.db-shm",
        "sottovoce.lock",
    ] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    program.kill().await;
}

#[tokio::test]
async fn it_refuses_to_speak_plaintext_to_a_network_unless_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = run(serve("0.0.0.0:0", &data)).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("does not encrypt connections"), "{text}");
    assert!(text.contains("--insecure-allow-plaintext-network"), "{text}");
    assert!(!data.exists(), "a refused start leaves nothing behind");
    let mut command = serve("0.0.0.0:0", &data);
    command.env("SOTTOVOCE_INSECURE_ALLOW_PLAINTEXT_NETWORK", "true");
    let program = Program::spawn(command).await;
    assert!(
        program.announced.contains("OTHER MACHINES CAN REACH IT"),
        "{}",
        program.announced
    );
    program.kill().await;
}

#[tokio::test]
async fn the_command_line_wins_over_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve("127.0.0.1:0", folder.path());
    command.env("SOTTOVOCE_LISTEN", "0.0.0.0:0");
    Program::spawn(command).await.kill().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_exists_keeps_its_permissions_and_the_files_in_it_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Program::start(folder.path()).await.kill().await;
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(mode(&folder.path().join("sottovoce.db")), 0o600);
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_acknowledged_is_no_longer_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    // One that fits a database page and one that takes many.
    let letters = [b"remember me ".repeat(10), b"forget me ".repeat(5_000)];
    for (n, letter) in (1..).zip(&letters) {
        let request = with_token(&alices, Device::letter(&bob, n, letter));
        clients.mailbox.clone().send(request).await.unwrap();
    }
    assert!(contains(&files(folder.path()), b"remember me") && contains(&files(folder.path()), b"forget me"));
    let request = with_token(&bobs, SubscribeRequest {});
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    while let Some(Event::Envelope(envelope)) = stream.message().await.unwrap().unwrap().event {
        let request = AcknowledgeRequest {
            envelope_ids: vec![envelope.envelope_id],
        };
        clients
            .mailbox
            .clone()
            .acknowledge(with_token(&bobs, request))
            .await
            .unwrap();
    }
    program.signal("TERM").await;
    program.end().await;
    let stored = files(folder.path());
    assert!(contains(&stored, b"alice@localhost"), "the rest is there");
    assert!(!contains(&stored, b"remember me") && !contains(&stored, b"forget me"));
}

#[tokio::test]
async fn it_says_plainly_that_a_port_or_a_folder_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("one")).await;
    let port = run(serve(&program.address.to_string(), &folder.path().join("two"))).await;
    assert_eq!(port.status.code(), Some(1));
    let text = String::from_utf8(port.stderr).unwrap();
    assert!(
        text.contains("Another program, perhaps another Sottovoce server, has that port"),
        "{text}"
    );
    let data = run(serve("127.0.0.1:0", &folder.path().join("one"))).await;
    assert_eq!(data.status.code(), Some(1));
    let text = String::from_utf8(data.stderr).unwrap();
    assert!(text.contains("another server is using the data folder"), "{text}");
    program.kill().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_stops_it_in_order() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(folder.path()).await;
        let clients = Clients::connect(program.address).await;
        let token = Device::named("alice").join(&clients).await;
        let request = with_token(&token, SubscribeRequest {});
        let mut stream = clients
            .mailbox
            .clone()
            .subscribe(request)
            .await
            .unwrap()
            .into_inner();
        assert!(stream.message().await.unwrap().is_some());
        let begun = Instant::now();
        program.signal(signal).await;
        assert_eq!(reason(&stream.message().await.unwrap_err()), "SHUTTING_DOWN");
        let (status, printed, log) = program.end().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(printed.contains("Stopped."), "{printed}");
        assert!(
            !folder.path().join("sottovoce.db-wal").exists(),
            "the log is folded in"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_stops_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    // A request that does not end keeps the server waiting.
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    let head = "POST /sottovoce.v1.AuthService/BeginAuthentication HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/grpc-web+proto\r\ncontent-length: 1000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    program.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    program.signal("TERM").await;
    let (status, printed, _) = program.end().await;
    assert_eq!(status.code(), Some(130), "{printed}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_manual_has_every_option_and_its_variable() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command.args(["serve", "--help"]);
    let help = String::from_utf8(run(command).await.stdout).unwrap();
    let manual = include_str!("../OPERATING.md");
    let words = |start: &'static str| {
        help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
            .filter(move |word| word.starts_with(start))
    };
    let named: Vec<_> = words("--")
        .chain(words("SOTTOVOCE_"))
        .filter(|word| *word != "--help")
        .collect();
    assert!(named.len() >= 14, "{named:?}");
    for word in named {
        assert!(
            manual.contains(&format!("`{word}")),
            "{word} is not in the manual"
        );
    }
}

#[tokio::test]
async fn the_server_is_built_without_the_cryptography_that_could_read() {
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "tree",
            "-p",
            "sottovoce-server",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let tree = String::from_utf8(run(command).await.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|line| line.starts_with(&format!("{name} ")));
    assert!(has("sottovoce-statements"), "{tree}");
    for name in [
        "sottovoce-crypto",
        "sottovoce-engine",
        "x25519-dalek",
        "chacha20poly1305",
    ] {
        assert!(!has(name), "{name} is in the server's tree");
    }
}

/// All that the server has written to its data folder.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(unix)]
#[tokio::test]
async fn tokens_are_never_written_and_nobody_is_named_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command(folder.path());
    command.args(["--log-level", "debug", "--log-format", "json"]);
    let program = Program::spawn(command).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let tokens = [alice.join(&clients).await, bob.join(&clients).await];
    let prekeys = with_token(&tokens[1], bob.prekeys(1..=5));
    clients.prekeys.clone().publish_prekeys(prekeys).await.unwrap();
    Device::send_numbers(&clients, &tokens[0], &bob, 1..=3).await;
    let refused = with_token(&tokens[0], Device::letter(&bob, 1, b"a conflict"));
    clients.mailbox.clone().send(refused).await.unwrap_err();
    let request = with_token(&tokens[1], SubscribeRequest {});
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    let mut envelopes = Vec::new();
    while let Some(Event::Envelope(envelope)) = stream.message().await.unwrap().unwrap().event {
        envelopes.push(envelope.envelope_id);
    }
    let request = AcknowledgeRequest {
        envelope_ids: envelopes[..1].to_vec(),
    };
    clients
        .mailbox
        .clone()
        .acknowledge(with_token(&tokens[1], request))
        .await
        .unwrap();

    let live = files(folder.path());
    program.signal("TERM").await;
    let (_, _, log) = program.end().await;
    for stored in [live, files(folder.path())] {
        for token in &tokens {
            assert!(
                contains(&stored, &Sha256::digest(token.as_bytes())),
                "the hash is there"
            );
            assert!(
                !contains(&stored, token.as_bytes()),
                "a token is in the data folder"
            );
            assert!(
                !contains(&stored, &hex::decode(token).unwrap()),
                "a token is in the data folder"
            );
        }
    }
    for line in ["/sottovoce.v1.MailboxService/Send", "AlreadyExists"] {
        assert!(
            log.contains(line),
            "{line:?} is not in the log, which proves nothing then:\n{log}"
        );
    }
    let mut names = vec![
        "alice".to_owned(),
        "bob".to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    names.extend(tokens);
    names.extend(envelopes.iter().map(hex::encode));
    names.extend([alice.id.to_string(), bob.id.to_string(), hex::encode(id(1))]);
    for name in names {
        assert!(!log.contains(&name), "{name:?} is in the log:\n{log}");
    }
}
