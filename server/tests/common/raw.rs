//! Calls with any bytes for a body, and calls that never end.

use std::future::poll_fn;
use std::net::SocketAddr;

use http_body::Frame;
use http_body_util::StreamBody;
use prost::bytes::{Buf, BufMut, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tower::Service;

/// Sends and receives bytes as they are.
#[derive(Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(&item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining()).to_vec()))
    }
}

/// Begins a call that never ends: `body`, if any, is sent, and its end is withheld. Ends when dropped.
pub(crate) fn half_open(
    channel: &Channel,
    path: &'static str,
    token: Option<&str>,
    body: Option<Vec<u8>>,
) -> AbortOnDropHandle<Result<(), Status>> {
    let message = body.map(|body| [&prefix(body.len()), body.as_slice()].concat());
    streamed(
        channel,
        path,
        token,
        tokio_stream::iter(message).chain(tokio_stream::pending()),
    )
}

/// What comes before a message of this length.
pub(crate) fn prefix(length: usize) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(length).unwrap().to_be_bytes();
    [0, a, b, c, d]
}

/// Begins a call whose body is these bytes, when they come. Ends when dropped.
pub(crate) fn streamed(
    channel: &Channel,
    path: &'static str,
    token: Option<&str>,
    pieces: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> AbortOnDropHandle<Result<(), Status>> {
    let mut request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let pieces = pieces.map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
    let request = request.body(Body::new(StreamBody::new(pieces))).unwrap();
    let mut channel = channel.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
        let response = match channel.call(request).await {
            Ok(response) => response,
            Err(error) => return Err(Status::from_error(error.into())),
        };
        // Nobody here waits for an answer, only for a refusal, which has no body.
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }))
}

/// Calls `path` with `body` and returns the first message of the answer.
pub(crate) async fn call(
    channel: &Channel,
    path: &'static str,
    metadata: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut headers = MetadataMap::new();
    for (name, value) in metadata {
        headers.insert(*name, value.parse().unwrap());
    }
    let mut request = Request::new(body);
    *request.metadata_mut() = headers;
    let answer = grpc
        .server_streaming(request, http::uri::PathAndQuery::from_static(path), RawCodec)
        .await?;
    Ok(answer.into_inner().message().await?.unwrap_or_default())
}

/// Calls `path` with `body` and returns what the stream of answers ends with, which is a refusal.
pub(crate) async fn last_word(
    grpc: &mut tonic::client::Grpc<Channel>,
    path: &'static str,
    metadata: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Status {
    grpc.ready().await.unwrap();
    let mut request = Request::new(body);
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let path = http::uri::PathAndQuery::from_static(path);
    let mut stream = match grpc.server_streaming(request, path, RawCodec).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was not refused"),
            Err(status) => return status,
        }
    }
}

/// Begins a gRPC-Web request over HTTP/1.1, with these lines among its headers, and never sends its body.
pub(crate) async fn unfinished(address: SocketAddr, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /sottovoce.v1.AuthService/BeginAuthentication HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/grpc-web+proto\r\n{headers}content-length: 1000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}
