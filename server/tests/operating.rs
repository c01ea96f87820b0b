//! What operators see of a server while it runs, and what they may tell it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::accounts::{following, register, second, update};
use crate::common::{Clients, Device, Look, Program, database_variable, execute, statement};

/// A running server with a listener for operators, and where that is.
pub(crate) async fn start(data_dir: &Path, change: impl FnOnce(&mut Command)) -> (Program, SocketAddr) {
    let mut command = Program::command(data_dir);
    command.env("SOTTOVOCE_ADMIN__LISTEN", "127.0.0.1:0");
    change(&mut command);
    let program = Program::spawn(command).await;
    let line = program
        .announced
        .lines()
        .find(|line| line.contains("Operators"))
        .unwrap();
    let address = line
        .split_whitespace()
        .nth(1)
        .unwrap()
        .trim_end_matches(':')
        .parse()
        .unwrap();
    (program, address)
}

/// What a listener for operators answers: the status and everything after it.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: operators\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// The value of a metric without labels, or with exactly these.
pub(crate) fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        .parse()
        .unwrap()
}

/// A command on the same data folder.
pub(crate) fn command(data_dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"));
    command
        .args(words)
        .arg("--data-dir")
        .arg(data_dir)
        .envs(database_variable(data_dir))
        .env_remove("SOTTOVOCE_SEED")
        .env_remove("SOTTOVOCE_SEEDS")
        .kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    timeout(Duration::from_secs(30), output).await.unwrap().unwrap()
}

/// What a command prints when it does what it is told.
pub(crate) async fn done(data_dir: &Path, words: &[&str]) -> String {
    let output = run(command(data_dir, words)).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it does not.
pub(crate) async fn refused(data_dir: &Path, words: &[&str]) -> String {
    let output = run(command(data_dir, words)).await;
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

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
async fn jobs_run_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |command| {
        command.env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "200ms");
        command.env("SOTTOVOCE_LIMITS__RELEASE_INTERVAL", "200ms");
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, metrics) = get(operators, "/metrics").await;
    for job in [
        "release", "expire", "sweep", "expired", "lapsed", "forsaken", "unheld", "bereft", "orphans",
    ] {
        let runs = metric(
            &metrics,
            &format!("sottovoce_job_runs_total{{name=\"{job}\",outcome=\"done\"}}"),
        );
        assert!(
            (2.0..=12.0).contains(&runs),
            "{job} ran {runs} times in two seconds"
        );
    }
    let (_, page) = get(operators, "/").await;
    for row in page.split("<tr><th scope=\"row\"><code>").skip(1) {
        assert!(row.contains("runs so far: ") && !row.contains("not yet"), "{row}");
    }
    program.kill().await;
}

/// How many runs of a job are counted, 0 when the metric is not there yet.
async fn runs(operators: SocketAddr, job: &str) -> f64 {
    let (_, metrics) = get(operators, "/metrics").await;
    let name = format!("sottovoce_job_runs_total{{name=\"{job}\",outcome=\"done\"}}");
    if metrics.contains(&name) {
        metric(&metrics, &name)
    } else {
        0.0
    }
}

#[tokio::test]
async fn a_job_that_fails_is_counted_shown_and_logged_and_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (program, operators) = start(&data, |command| {
        command.env("SOTTOVOCE_LIMITS__RELEASE_INTERVAL", "100ms");
    })
    .await;
    let until = async |outcome: &str, more: f64| {
        let name = format!("sottovoce_job_runs_total{{name=\"release\",outcome=\"{outcome}\"}}");
        let begun = std::time::Instant::now();
        let mut at_first = None;
        loop {
            let (_, metrics) = get(operators, "/metrics").await;
            let runs = if metrics.contains(&name) {
                metric(&metrics, &name)
            } else {
                0.0
            };
            if runs >= *at_first.get_or_insert(runs) + more {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{name} stays {runs}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("done", 1.0).await;
    let database = data.join("sottovoce.db");
    execute(&database, "ALTER TABLE scheduled RENAME TO elsewhere").await;
    until("failed", 2.0).await;
    let (_, page) = get(operators, "/").await;
    let row = page
        .split("<tr>")
        .find(|row| row.contains("<code>release</code>"))
        .unwrap();
    assert!(row.contains("failed, items: 0"), "{row}");
    execute(&database, "ALTER TABLE elsewhere RENAME TO scheduled").await;
    until("done", 2.0).await;
    program.signal("TERM").await;
    let (_, _, log) = program.end().await;
    let put_off = log
        .lines()
        .filter(|line| line.contains("put off") && line.contains("release"));
    assert_eq!(put_off.count(), 1, "once, not with every look:\n{log}");
}

#[tokio::test]
async fn a_job_that_another_node_has_is_taken_over_when_its_lease_has_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = folder.path().join("settings.toml");
    done(&data, &["--config", settings.to_str().unwrap(), "init"]).await;
    let database = data.join("sottovoce.db");
    let in_five_minutes = crate::mailbox::now_ms() + 300_000;
    execute(
        &database,
        &format!(
            "INSERT INTO jobs (name, node, lease_until_ms, started_at_ms, items, runs, failures) \
             VALUES ('lapsed', 'elsewhere', {in_five_minutes}, 1, 0, 0, 0)"
        ),
    )
    .await;
    let (program, operators) = start(&data, |command| {
        command.env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "100ms");
    })
    .await;
    let until = async |job: &str, count: f64| {
        let begun = std::time::Instant::now();
        while runs(operators, job).await < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{job} does not run");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("sweep", 5.0).await;
    assert_eq!(runs(operators, "lapsed").await, 0.0, "it is another node's");
    execute(
        &database,
        "UPDATE jobs SET lease_until_ms = 1 WHERE name = 'lapsed'",
    )
    .await;
    until("lapsed", 1.0).await;
    let mut look = Look::into(&database).await;
    let node = look.texts("SELECT node FROM jobs WHERE name = 'lapsed'").await;
    assert_ne!(node, ["elsewhere"]);
    look.close().await;
    program.kill().await;
}

#[tokio::test]
async fn it_drains_before_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |command| {
        command.env("SOTTOVOCE_LIMITS__DRAIN_DELAY", "2s");
    })
    .await;
    program.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, answer) = get(operators, "/ready").await;
    assert_eq!(status, 503);
    assert!(answer.contains("draining"), "{answer}");
    // Who has not heard of it yet is served as before.
    let clients = Clients::connect(program.address).await;
    Device::named("alice").join(&clients).await;
    let (status, _, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
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
            .contains("there is no invite 1")
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
            .contains("there is no account nobody@localhost")
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

#[tokio::test]
async fn a_device_that_is_signed_out_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = start(folder.path(), |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let request = || crate::common::with_token(&token, sottovoce_proto::v1::SubscribeRequest {});
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(request())
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    done(folder.path(), &["device", "revoke", &alice.id.to_string()]).await;
    let ended = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(crate::common::reason(&ended.unwrap_err()), "TOKEN_INVALID");
    let again = clients.mailbox.clone().subscribe(request()).await.unwrap_err();
    assert_eq!(crate::common::reason(&again), "TOKEN_INVALID");
    program.kill().await;
}

#[tokio::test]
async fn a_block_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let alice = Device::named("alice");
    alice.join(&Clients::connect(program.address).await).await;
    done(data, &["block", "add", "127.0.0.0/8"]).await;
    program.kill().await;
    let (program, _) = start(data, |_| {}).await;
    // The connection is closed as soon as it is accepted: it is made, and of no use.
    let call = async {
        let clients = Clients::try_connect(program.address).await.ok()?;
        let request = sottovoce_proto::v1::GetServerInfoRequest {};
        ServerServiceClient::new(clients.channel)
            .get_server_info(request)
            .await
            .ok()
    };
    let answered = timeout(Duration::from_secs(10), call).await.unwrap();
    assert!(answered.is_none());
    done(data, &["block", "remove", "127.0.0.0/8"]).await;
    alice.sign_in(&Clients::connect(program.address).await).await;
    program.kill().await;
}

/// Why a device is not let in; nothing if it is.
async fn turned_away(clients: &Clients, device: &Device) -> Option<String> {
    let begun = device.begin(clients).await;
    let request = sottovoce_proto::v1::CompleteAuthenticationRequest {
        challenge: Some(statement(device.challenge(&begun), &device.identity)),
    };
    let answer = clients.auth.clone().complete_authentication(request).await;
    answer.err().map(|status| crate::common::reason(&status))
}

#[tokio::test]
async fn a_device_that_is_shut_out_stays_out_until_it_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let mut newest = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    let token = laptop.sign_in(&clients).await;
    let request = crate::common::with_token(&token, sottovoce_proto::v1::SubscribeRequest {});
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());

    let laptops_id = laptop.id.to_string();
    done(data, &["device", "block", &laptops_id]).await;
    let ended = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(crate::common::reason(&ended.unwrap_err()), "TOKEN_INVALID");
    let shut_out = Some("DEVICE_BLOCKED".to_owned());
    assert_eq!(turned_away(&clients, &laptop).await, shut_out);
    assert_eq!(turned_away(&clients, &phone).await, None);
    let list = done(data, &["device", "list", "alice@localhost"]).await;
    let line = list.lines().find(|line| line.contains(&laptops_id)).unwrap();
    assert!(line.ends_with("yes"), "{list}");

    // Dropped and taken back: as it was, with its key under another id, with another key under its id.
    let renamed = Device {
        id: Device::named("renamed").id,
        ..laptop.clone()
    };
    let rekeyed = Device {
        identity: Device::named("rekeyed").identity,
        ..laptop.clone()
    };
    let mut version = 2;
    for back in [&laptop, &renamed, &rekeyed] {
        for devices in [&[&phone][..], &[&phone, back]] {
            version += 1;
            newest = following(&newest, version, devices);
            let new = devices.get(1..).unwrap_or_default();
            update(&clients, &newest, new).await.unwrap();
        }
        assert_eq!(turned_away(&clients, back).await, shut_out);
    }

    // Also while it is on no manifest.
    newest = following(&newest, version + 1, &[&phone]);
    update(&clients, &newest, &[]).await.unwrap();
    done(data, &["device", "unblock", &laptops_id]).await;
    assert!(
        refused(data, &["device", "unblock", &laptops_id])
            .await
            .contains("is shut out")
    );
    newest = following(&newest, version + 2, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    assert_eq!(turned_away(&clients, &laptop).await, None);
    // And the ordinary way.
    for (word, outcome) in [("block", shut_out), ("unblock", None)] {
        done(data, &["device", word, &laptops_id]).await;
        assert_eq!(turned_away(&clients, &laptop).await, outcome);
    }
    program.kill().await;
}

#[tokio::test]
async fn a_device_that_is_shut_out_while_no_account_has_it_is_out_when_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (program, _) = start(data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let phone = Device::named("alice");
    let laptop = second(&phone, "laptop");
    let first = register(&clients, &phone).await;
    let both = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &both, &[&laptop]).await.unwrap();
    let mut newest = following(&both, 3, &[&phone]);
    update(&clients, &newest, &[]).await.unwrap();

    let laptops_id = laptop.id.to_string();
    let said = done(data, &["device", "block", &laptops_id]).await;
    assert!(said.contains("No account has this device now"), "{said}");
    let renamed = Device {
        id: Device::named("renamed").id,
        ..laptop.clone()
    };
    let mut version = 3;
    // Under its id and, as the server has seen its key by then, with that under another.
    for back in [&laptop, &renamed] {
        version += 1;
        newest = following(&newest, version, &[&phone, back]);
        update(&clients, &newest, &[back]).await.unwrap();
        let shut_out = Some("DEVICE_BLOCKED".to_owned());
        assert_eq!(turned_away(&clients, back).await, shut_out);
        version += 1;
        newest = following(&newest, version, &[&phone]);
        update(&clients, &newest, &[]).await.unwrap();
    }
    // A stranger's device is let in for all that, and so is this one when the operator says so.
    done(data, &["device", "unblock", &laptops_id]).await;
    newest = following(&newest, version + 1, &[&phone, &laptop]);
    update(&clients, &newest, &[&laptop]).await.unwrap();
    assert_eq!(turned_away(&clients, &laptop).await, None);
    program.kill().await;
}
