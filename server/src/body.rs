//! Reading a request's body: whole, in time, no larger than its call allows and of few parts, before
//! anything in it is decoded.
//!
//! A client pays two bytes for an empty element of a repeated field, and the decoder fifty for holding
//! it. So the parts are counted in the bytes; and as nothing is decoded before the end of the body, who
//! withholds the end makes the server hold the bytes it was sent and no more.

mod frames;

use std::hash::Hash;

use http_body_util::{BodyExt, Full};
use prost::bytes::{Buf, Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint};
use sottovoce_proto::v1::ErrorReason;
use tonic::body::Body;

use crate::calls::Call;
use crate::pace::{Pace, TooSlow};
use crate::refusal::Refusal;
use crate::turns::Held;

pub(crate) use frames::Frames;

/// A flag byte and a length, before every message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX_LEN: usize = 5;

/// A body whose message has said how long it is.
pub(crate) struct Begun {
    body: Body,
    bytes: BytesMut,
    length: usize,
    bounds: Bounds,
    pace: Pace,
}

/// What holds for a message, whatever it says.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    max_message: usize,
    max_parts: usize,
    within: &'static [u32],
}

/// Reads the beginning of the one message of `body`. Refused when it is longer than the call allows, and
/// when it comes more slowly than `pace`.
pub(crate) async fn begin(body: Body, call: &Call, pace: Pace) -> Result<Begun, Refusal> {
    let mut begun = Begun {
        body,
        bytes: BytesMut::new(),
        length: 0,
        bounds: Bounds::of(call),
        pace,
    };
    while begun.bytes.len() < PREFIX_LEN {
        if !begun.read_more().await? {
            return Err(malformed());
        }
    }
    Ok(begun)
}

impl Begun {
    /// How long the message says it is, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The whole body, to be decoded, of which `held` says what of it may be held. Refused when it is not one
    /// message of that length, and when it has more parts than the call allows.
    pub(crate) async fn finish<K: Copy + Eq + Hash>(
        mut self,
        held: &mut Held<'_, K>,
    ) -> Result<Body, Refusal> {
        let missing = self
            .length
            .saturating_add(PREFIX_LEN)
            .saturating_sub(self.bytes.len());
        // Instead of doubling as it grows; what is announced and never sent is never touched.
        self.bytes.reserve(missing);
        held.take_in(self.bytes.len()).await;
        while self.read_more().await? {
            held.take_in(self.bytes.len()).await;
        }
        held.whole().await;
        let bytes = self.bytes.freeze();
        self.bounds.check(&bytes)?;
        Ok(Body::new(Full::new(bytes)))
    }

    /// False at the end.
    async fn read_more(&mut self) -> Result<bool, Refusal> {
        let piece = self.pace.wait(next_piece(&mut self.body)).await;
        let piece = piece.map_err(|TooSlow| Refusal::because(ErrorReason::DeadlineExceeded))??;
        let Some(piece) = piece else { return Ok(false) };
        self.pace.moved(piece.len());
        self.bytes.extend_from_slice(&piece);
        if let Some((_, length)) = prefix(&self.bytes) {
            self.bounds.check_length(length)?;
            // Room was made for what it says, and more is not read.
            if self.bytes.len() > length.saturating_add(PREFIX_LEN) {
                return Err(malformed());
            }
            self.length = length;
        }
        Ok(true)
    }
}

/// What comes next, unless that is the end. Empty pieces are no progress.
async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| malformed())?.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
    Ok(None)
}

impl Bounds {
    fn of(call: &Call) -> Self {
        Self {
            max_message: call.max_request,
            max_parts: call.max_parts,
            within: call.within,
        }
    }

    fn check_length(&self, length: usize) -> Result<(), Refusal> {
        if length > self.max_message {
            return Err(Refusal::too_large("request", self.max_message));
        }
        Ok(())
    }

    /// One message, as long as it says, of few parts.
    fn check(&self, body: &Bytes) -> Result<(), Refusal> {
        let (flag, length) = prefix(body).ok_or_else(malformed)?;
        let mut message = body.clone();
        message.advance(PREFIX_LEN);
        if message.len() != length {
            return Err(malformed());
        }
        let mut room = self.max_parts;
        // The gRPC library refuses whatever is flagged: it was told to read no compression.
        if flag == 0 && !count_parts(message, self.within, &mut room).ok_or_else(malformed)? {
            return Err(Refusal::too_large("request.fields", self.max_parts));
        }
        Ok(())
    }
}

fn prefix(body: &[u8]) -> Option<(u8, usize)> {
    let (&[flag, a, b, c, d], _) = body.split_first_chunk::<PREFIX_LEN>()?;
    Some((flag, usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?))
}

/// Takes one off `room` for each field, each element of a repeated one counted, and for those within the
/// fields of these numbers; false as soon as there is no room for another. `None` when it is no protobuf.
/// No request repeats anything deeper than that.
fn count_parts(mut message: Bytes, within: &[u32], room: &mut usize) -> Option<bool> {
    while message.has_remaining() {
        match room.checked_sub(1) {
            Some(rest) => *room = rest,
            None => return Some(false),
        }
        let (number, kind) = decode_key(&mut message).ok()?;
        let length = match kind {
            WireType::Varint => {
                decode_varint(&mut message).ok()?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(&mut message).ok()?,
            // What is in a group is counted as if it were not: no message of ours has groups.
            WireType::StartGroup | WireType::EndGroup => 0,
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= message.remaining())?;
        let field = message.split_to(length);
        if kind == WireType::LengthDelimited && within.contains(&number) && !count_parts(field, &[], room)? {
            return Some(false);
        }
    }
    Some(true)
}

fn malformed() -> Refusal {
    Refusal::field("request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Token;
    use crate::limits::{BODY_UNIT, Limits, MAX_BATCH_PARTS, MAX_REQUEST_PARTS};
    use crate::turns::Turns;
    use futures_util::stream::{self, StreamExt};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use prost::Message;
    use sottovoce_proto::v1::{AcknowledgeRequest, DeviceMessage, SendBatchRequest, SendRequest};
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    const PATIENCE: Duration = Duration::from_millis(50);

    /// Bytes in a second.
    const RATE: usize = 100_000;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), message].concat()
    }

    /// A body that comes in these pieces and then, if so, never ends.
    fn body(pieces: Vec<Vec<u8>>, ends: bool) -> Body {
        let pieces = stream::iter(pieces).map(|piece| Ok::<_, tonic::Status>(Frame::data(piece.into())));
        if ends {
            Body::new(StreamBody::new(pieces))
        } else {
            Body::new(StreamBody::new(pieces.chain(stream::pending())))
        }
    }

    fn call(max_request: usize) -> Call {
        Call {
            path: "",
            token: Token::Ignored,
            max_request,
            max_parts: MAX_REQUEST_PARTS,
            within: &[],
            streamed: false,
        }
    }

    async fn read_for(body: Body, call: &Call) -> Result<Body, Refusal> {
        let turns = Turns::new(&Limits::default());
        let held = turns.bodies.begin(1).await;
        let begun = begin(body, call, Pace::new(PATIENCE, RATE as u64)).await?;
        let mut held = held.announced(1, begun.length()).await;
        begun.finish(&mut held).await
    }

    async fn read(body: Body, max_request: usize) -> Result<Body, Refusal> {
        read_for(body, &call(max_request)).await
    }

    async fn read_whole(message: &[u8]) -> Result<Bytes, Refusal> {
        let body = read(body(vec![framed(message)], true), 2048).await?;
        Ok(body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn a_good_request_passes_as_it_came_however_it_was_cut() {
        let request = AcknowledgeRequest {
            envelope_ids: vec![vec![7; 16]; 100],
        };
        let whole = framed(&request.encode_to_vec());
        let pieces = whole.chunks(3).map(<[u8]>::to_vec).collect();
        let read = read(body(pieces, true), 2048).await.unwrap();
        assert_eq!(read.collect().await.unwrap().to_bytes(), whole);
    }

    #[tokio::test]
    async fn many_empty_elements_are_refused_before_they_are_decoded() {
        let elements = |count: usize| [0x1a, 0x00].repeat(count);
        assert!(
            SendRequest::decode(elements(3).as_slice())
                .unwrap()
                .messages
                .len()
                == 3
        );
        assert!(read_whole(&elements(MAX_REQUEST_PARTS)).await.is_ok());
        assert_eq!(
            read_whole(&elements(MAX_REQUEST_PARTS + 1)).await.unwrap_err(),
            Refusal::too_large("request.fields", MAX_REQUEST_PARTS)
        );
        // Nor do groups and unknown fields of other kinds hide more.
        for part in [&[0x1b, 0x1c][..], &[0x08, 0x01], &[0x0d, 0, 0, 0, 0]] {
            let message = part.repeat(MAX_REQUEST_PARTS + 1);
            let refusal = read(body(vec![framed(&message)], true), 4096).await;
            assert_eq!(
                refusal.unwrap_err(),
                Refusal::too_large("request.fields", MAX_REQUEST_PARTS)
            );
        }
    }

    #[tokio::test]
    async fn what_is_repeated_within_a_batch_is_counted_too() {
        let batch = Call::at("/sottovoce.v1.MailboxService/SendBatch").unwrap();
        let read = async |sends: usize, messages: usize| {
            let send = SendRequest {
                messages: vec![DeviceMessage::default(); messages],
                ..SendRequest::default()
            };
            let request = SendBatchRequest {
                sends: vec![send; sends],
            };
            let body = body(vec![framed(&request.encode_to_vec())], true);
            read_for(body, batch).await.map(drop)
        };
        assert_eq!(read(64, 16).await, Ok(()));
        assert_eq!(
            read(1, MAX_BATCH_PARTS).await,
            Err(Refusal::too_large("request.fields", MAX_BATCH_PARTS))
        );
        assert_eq!(read(1, MAX_BATCH_PARTS - 1).await, Ok(()));
        assert_eq!(
            read(2, MAX_BATCH_PARTS / 2).await,
            Err(Refusal::too_large("request.fields", MAX_BATCH_PARTS))
        );
    }

    #[tokio::test]
    async fn a_body_is_one_message_of_the_length_it_says() {
        let good = framed(&[0x0a, 0x01, 0x61]);
        let mut twice = good.clone();
        twice.extend_from_slice(&good);
        let endless = [0xff; 12];
        for bad in [
            &[][..],
            &good[..4],
            &good[..7],
            &twice,
            &framed(&[0x0a, 0x02, 0x61]),
        ] {
            let refusal = read(body(vec![bad.to_vec()], true), 2048).await;
            assert_eq!(refusal.unwrap_err(), Refusal::field("request"), "{bad:?}");
        }
        assert_eq!(read_whole(&endless).await.unwrap_err(), Refusal::field("request"));
    }

    #[tokio::test]
    async fn a_body_is_refused_as_soon_as_it_says_that_it_is_too_large_or_is_longer_than_it_says() {
        let too_large = Refusal::too_large("request", 100);
        let announced = body(vec![vec![0, 0, 0, 0, 101]], false);
        assert_eq!(read(announced, 100).await.unwrap_err(), too_large);
        for rest in [2, 101] {
            let longer_than_announced = body(vec![vec![0, 0, 0, 0, 1], vec![0; rest]], false);
            let refusal = read(longer_than_announced, 100).await.unwrap_err();
            assert_eq!(refusal, Refusal::field("request"));
        }
        // A field of 98 bytes, with its key and its length: exactly as much as is allowed.
        let most = [&[0x0a, 98][..], &[b'a'; 98]].concat();
        assert!(read(body(vec![framed(&most)], true), 100).await.is_ok());
    }

    /// A message of `pieces` pieces of this length, each after a pause.
    fn slow(pieces: usize, length: usize, pause: Duration) -> Body {
        let whole = framed(
            &[
                &[0x0a][..],
                &encoded(pieces * length),
                &vec![b'a'; pieces * length],
            ]
            .concat(),
        );
        let pieces: Vec<_> = whole.chunks(length).map(<[u8]>::to_vec).collect();
        let pieces = stream::iter(pieces).then(move |piece| async move {
            sleep(pause).await;
            Ok::<_, tonic::Status>(Frame::data(piece.into()))
        });
        Body::new(StreamBody::new(pieces))
    }

    fn encoded(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(length as u64, &mut bytes);
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_cut_in_time() {
        let half = body(vec![framed(&[0x0a, 0x01, 0x61])], false);
        let began = Instant::now();
        assert_eq!(
            read(half, 2048).await.unwrap_err(),
            Refusal::because(ErrorReason::DeadlineExceeded)
        );
        assert!(began.elapsed() <= PATIENCE + Duration::from_millis(1));
        let empty = stream::repeat(()).then(|()| async {
            sleep(PATIENCE / 2).await;
            Ok::<_, tonic::Status>(Frame::data(Bytes::new()))
        });
        assert!(
            read(Body::new(StreamBody::new(empty)), 2048).await.is_err(),
            "empty pieces are no progress"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_as_slow_as_the_rate_and_no_slower() {
        let most = 32 * BODY_UNIT;
        let pause = PATIENCE / 2;
        let at_the_rate = RATE / 1_000 * usize::try_from(pause.as_millis()).unwrap();
        let began = Instant::now();
        assert!(read(slow(100, at_the_rate, pause), most).await.is_ok());
        assert!(began.elapsed() > 50 * PATIENCE);
        let began = Instant::now();
        let refusal = read(slow(100_000, 1, pause), most).await.unwrap_err();
        assert_eq!(refusal, Refusal::because(ErrorReason::DeadlineExceeded));
        assert!(began.elapsed() < 2 * PATIENCE, "{:?}", began.elapsed());
    }
}
