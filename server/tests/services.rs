//! What every gRPC server is asked besides its own calls: health and reflection.

use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::common::{TestServer, reason};

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn health_answers_for_the_server_and_each_service() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.connect().await.channel);
    for service in [
        "",
        "sottovoce.v1.AccountService",
        "sottovoce.v1.AuthService",
        "sottovoce.v1.MailboxService",
        "sottovoce.v1.PrekeyService",
    ] {
        let answer = health.check(check(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let status = health.check(check("sottovoce.v1.Nothing")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn a_health_watcher_hears_of_the_stop_and_does_not_hold_it_up() {
    let mut server = TestServer::start().await;
    let mut health = HealthClient::new(server.connect().await.channel);
    let mut watch = health.watch(check("")).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    server.begin_to_stop();
    let second = watch.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn reflection_describes_the_services() {
    let server = TestServer::start().await;
    let mut reflection = ServerReflectionClient::new(server.connect().await.channel);
    let ask = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let requests = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "sottovoce.v1.MailboxService".into(),
        )),
        ask(MessageRequest::FileContainingSymbol(
            "sottovoce.content.v1.Content".into(),
        )),
    ]);
    let mut answers = reflection
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    let services = match answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap()
    {
        MessageResponse::ListServicesResponse(list) => list.service,
        other => panic!("not a list: {other:?}"),
    };
    let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
    for name in [
        "sottovoce.v1.AccountService",
        "sottovoce.v1.MailboxService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let files = match answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap()
    {
        MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
        other => panic!("not a file: {other:?}"),
    };
    assert!(files[0].windows(13).any(|window| window == b"mailbox.proto"));
    // What is inside a ciphertext is none of the server's business.
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection_read_no_long_questions() {
    let server = TestServer::start().await;
    let channel = server.connect().await.channel;
    let mut health = HealthClient::new(channel.clone());
    let status = health.check(check(&"x".repeat(2048))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange);
    for (length, is_answered) in [(16, true), (2048, false)] {
        let question = ServerReflectionRequest {
            host: "x".repeat(length),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let answers = reflection
            .server_reflection_info(tokio_stream::iter([question]))
            .await;
        let answer = answers.unwrap().into_inner().message().await;
        assert_eq!(matches!(answer, Ok(Some(_))), is_answered, "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn watches_are_few_and_a_check_is_always_answered() {
    const MOST: usize = 256;
    let server = TestServer::start().await;
    let mut watches = Vec::new();
    let mut refused = None;
    // A connection has so many calls at one time.
    for _ in 0..3 {
        let channel = server.connect().await.channel;
        for _ in 0..90 {
            match HealthClient::new(channel.clone()).watch(check("")).await {
                Ok(watch) => watches.push(watch),
                Err(status) => refused = Some(status),
            }
        }
    }
    assert_eq!(watches.len(), MOST);
    assert_eq!(reason(&refused.unwrap()), "SERVER_FULL");
    let mut health = HealthClient::new(server.connect().await.channel);
    let answer = health.check(check("")).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    drop(watches);
    let again = async {
        while health.watch(check("")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn reflection_answers_no_end_of_questions() {
    let server = TestServer::start().await;
    let mut reflection = ServerReflectionClient::new(server.connect().await.channel);
    let question = ServerReflectionRequest {
        host: "x".repeat(500),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let endless = tokio_stream::iter(std::iter::repeat(question));
    let answers = reflection.server_reflection_info(endless).await;
    let mut answers = answers.unwrap().into_inner();
    let end = async {
        let mut answered = 0;
        while let Ok(Some(_)) = answers.message().await {
            answered += 1;
        }
        answered
    };
    let answered = tokio::time::timeout(Duration::from_secs(30), end).await.unwrap();
    assert!((1..=64 * 1024 / 500).contains(&answered), "{answered}");
    server.stop().await;
}
