//! Looking after the streams whose hints were lost.
//!
//! Several nodes may share one PostgreSQL database. What another node changes is told by a hint, when
//! there is a way for hints and when they arrive. So every few seconds the database is asked, for all
//! streams of this node at once, whose mailbox has more than was delivered, whose newest stream is
//! elsewhere, and whose session or device is no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sottovoce_proto::v1::ErrorReason;

use crate::app::App;
use crate::hub::Progress;
use crate::store::StreamState;

/// Devices asked for at a time.
const CHUNK: usize = 512;

/// Watches for as long as it is polled. While hints arrive it is only the second look.
pub(crate) async fn watch(app: Arc<App>, hints_arrive: Option<Arc<AtomicBool>>) {
    loop {
        let with_hints = hints_arrive
            .as_ref()
            .is_some_and(|arrive| arrive.load(Ordering::Relaxed));
        let pause = if with_hints {
            app.limits.watch_interval
        } else {
            app.limits.watch_interval_without_hints
        };
        tokio::time::sleep(pause).await;
        look_after_all(&app).await;
    }
}

async fn look_after_all(app: &App) {
    let streams = app.hub.progress();
    for chunk in streams.chunks(CHUNK) {
        let asked = chunk.iter().map(|stream| (stream.device, stream.grounds));
        match app.store.states(asked).await {
            Ok(states) => {
                for stream in chunk {
                    if let Some(missed) = judge(stream, states.get(&stream.device)) {
                        app.hub.correct(stream, missed);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the streams could not be looked after");
                return;
            }
        }
    }
}

/// What a stream was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// There may be something in the mailbox.
    Mail,
    End(ErrorReason),
}

/// What a stream has missed, if anything. One that is displaced is told so even when its session is over:
/// the device is listening elsewhere, and should not be brought back by the wish for another token.
pub(crate) fn judge(stream: &Progress, state: Option<&StreamState>) -> Option<Missed> {
    let end = |reason| Some(Missed::End(reason));
    match state {
        None => end(ErrorReason::TokenInvalid),
        Some(state) if state.epoch > stream.epoch => end(ErrorReason::StreamDisplaced),
        Some(state) if !state.stands => end(ErrorReason::TokenInvalid),
        Some(state) if state.last_sequence > stream.delivered || stream.stuck => Some(Missed::Mail),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Grounds;
    use sottovoce_statements::DeviceId;

    const STREAM: Progress = Progress {
        device: DeviceId::from_bytes([1; 16]),
        number: 1,
        epoch: 3,
        grounds: Grounds {
            session: [1; 16],
            breaks: 0,
        },
        delivered: 7,
        stuck: false,
    };

    const STATE: StreamState = StreamState {
        last_sequence: 7,
        epoch: 3,
        stands: true,
    };

    fn end_of(state: Option<StreamState>) -> ErrorReason {
        match judge(&STREAM, state.as_ref()) {
            Some(Missed::End(reason)) => reason,
            other => panic!("not the end: {other:?}"),
        }
    }

    #[test]
    fn a_stream_is_told_what_it_has_missed_and_nothing_else() {
        assert!(judge(&STREAM, Some(&STATE)).is_none());
        let more = StreamState {
            last_sequence: 8,
            ..STATE
        };
        assert_eq!(judge(&STREAM, Some(&more)), Some(Missed::Mail));
    }

    #[test]
    fn a_stream_whose_session_or_device_is_gone_ends_as_not_allowed_and_an_older_one_as_displaced() {
        let over = StreamState {
            stands: false,
            ..STATE
        };
        assert_eq!(end_of(Some(over)), ErrorReason::TokenInvalid);
        assert_eq!(end_of(None), ErrorReason::TokenInvalid);
        for stands in [true, false] {
            let displaced = StreamState {
                epoch: 4,
                stands,
                ..STATE
            };
            assert_eq!(end_of(Some(displaced)), ErrorReason::StreamDisplaced);
        }
    }

    #[test]
    fn a_stream_without_room_looks_whether_there_is_some() {
        let stuck = Progress {
            stuck: true,
            ..STREAM
        };
        assert_eq!(judge(&stuck, Some(&STATE)), Some(Missed::Mail));
    }
}
