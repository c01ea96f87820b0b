//! Rates by the device that calls.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::connect_request::Frame as Asked;
use sottovoce_proto::v1::connect_response::Frame;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::{ConnectRequest, SendBatchRequest};
use sottovoce_server::Rate;
use tonic::Status;

use super::{assert_limited, count};
use crate::common::{Device, TestServer, with_token};

#[tokio::test]
async fn a_device_that_calls_too_often_waits_and_no_other_does() {
    let server = TestServer::start_limited(|limits| {
        limits.rates.scale = 1;
        limits.rates.calls_per_device = Rate::new(3, 1);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let bob = Device::named("bob").join(&clients).await;
    let mut answered = 0;
    let refused = loop {
        match count(&clients, &alice).await {
            Ok(()) => answered += 1,
            Err(status) => break status,
        }
    };
    assert!(answered <= 3);
    assert_limited(&refused);
    count(&clients, &bob).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn each_send_of_a_batch_counts() {
    let server = TestServer::start_limited(|limits| limits.rates.sends_per_device = Rate::new(10, 60)).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let alice = Device::named("alice").join(&clients).await;
    let carol = Device::named("carol").join(&clients).await;
    bob.join(&clients).await;
    let batch = async |token: &str, numbers: std::ops::Range<u64>| {
        let sends = numbers.map(|n| Device::letter(&bob, n, b"letter")).collect();
        let request = with_token(token, SendBatchRequest { sends });
        let answer = clients.mailbox.clone().send_batch(request).await?;
        Ok::<_, Status>(answer.into_inner().results.len())
    };
    assert_eq!(batch(&alice, 0..8).await.unwrap(), 8);
    assert_limited(&batch(&alice, 8..12).await.unwrap_err());
    assert_eq!(batch(&carol, 0..8).await.unwrap(), 8);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_sends_too_fast_waits_and_loses_nothing() {
    let server = TestServer::start_limited(|limits| limits.rates.sends_per_device = Rate::new(3, 120)).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let alice = Device::named("alice").join(&clients).await;
    bob.join(&clients).await;
    let frames = (0..6).map(|n| ConnectRequest {
        frame: Some(Asked::Send(Device::letter(&bob, n, b"letter"))),
    });
    let request = with_token(&alice, tokio_stream::iter(frames.collect::<Vec<_>>()));
    let begun = Instant::now();
    let mut answers = clients
        .mailbox
        .clone()
        .connect(request)
        .await
        .unwrap()
        .into_inner();
    let mut taken = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Frame::Result(result)) = answer.frame {
            assert!(matches!(result.outcome, Some(Outcome::Taken(_))));
            taken += 1;
        }
    }
    assert_eq!(taken, 6);
    // Three at once, and three more at two a second.
    assert!(
        begun.elapsed() >= Duration::from_millis(1_400),
        "{:?}",
        begun.elapsed()
    );
    server.stop().await;
}
