//! A server whose log is for programs.

use serde_json::Value;

use super::{run, serve};
use crate::common::Program;

/// Every line is an object.
fn objects(text: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str::<Value>(line).expect(line);
    text.lines()
        .map(read)
        .inspect(|line| assert!(line.is_object()))
        .collect()
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_server_says_is_in_its_log_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command(folder.path());
    command.args(["--log-format", "json"]);
    let program = Program::spawn(command).await;
    let (address, announced) = (program.address, program.announced.clone());
    program.signal("TERM").await;
    let (status, printed, log) = program.end().await;
    assert!(status.success(), "{log}");
    assert_eq!(printed, "", "nothing but the log");
    let lines = objects(&announced);
    let ready = &lines.last().unwrap()["fields"];
    assert_eq!(ready["message"], "ready");
    assert_eq!(ready["address"], format!("http://{address}"));
    assert_eq!(ready["server_name"], "localhost");
    assert_eq!(ready["encrypted"], false);
    assert_eq!(ready["new"], true);
    assert!(ready["database"].as_str().unwrap().ends_with("sottovoce.db"));
    let said: Vec<_> = objects(&log)
        .iter()
        .map(|line| line["fields"]["message"].clone())
        .collect();
    assert!(
        said.contains(&"stopping".into()) && said.contains(&"stopped".into()),
        "{log}"
    );
}

#[tokio::test]
async fn why_a_server_does_not_start_is_a_line_of_its_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = serve(&taken.local_addr().unwrap().to_string(), folder.path());
    command.args(["--log-format", "json"]);
    let output = run(command).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let lines = objects(&String::from_utf8(output.stderr).unwrap());
    let line = &lines.last().unwrap()["fields"];
    assert!(
        line["causes"].as_str().unwrap().contains("cannot listen on"),
        "{line}"
    );
    assert!(line["advice"].as_str().unwrap().contains("--listen"), "{line}");
}
