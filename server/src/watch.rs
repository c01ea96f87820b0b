//! Looking after the streams whose hints were lost.
//!
//! Several nodes may share one PostgreSQL database. What another node changes is told by a hint, when
//! there is a way for hints and when they arrive. So every few seconds the database is asked, for all
//! streams of this node at once, whose mailbox has more than was delivered, whose newest stream is
//! elsewhere, and which devices are no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sottovoce_proto::v1::ErrorReason;

use crate::app::App;
use crate::hub::{News, Progress};

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
        match app.store.states(chunk.iter().map(|stream| stream.device)).await {
            Ok(states) => {
                let news = chunk
                    .iter()
                    .filter_map(|stream| judge(stream, states.get(&stream.device)));
                app.hub.tell_here(news);
            }
            Err(error) => {
                tracing::warn!(%error, "the streams could not be looked after");
                return;
            }
        }
    }
}

/// What a stream has missed, if anything.
pub(crate) fn judge(stream: &Progress, state: Option<&(i64, i64)>) -> Option<News> {
    match state {
        None => Some(News::End(stream.device, ErrorReason::TokenInvalid)),
        Some((_, epoch)) if *epoch > stream.epoch => {
            Some(News::End(stream.device, ErrorReason::StreamDisplaced))
        }
        Some((last_sequence, _)) if *last_sequence > stream.delivered || stream.stuck => {
            Some(News::Look(stream.device))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sottovoce_statements::DeviceId;

    const STREAM: Progress = Progress {
        device: DeviceId::from_bytes([1; 16]),
        epoch: 3,
        delivered: 7,
        stuck: false,
    };

    #[test]
    fn a_stream_is_told_what_it_has_missed_and_nothing_else() {
        let told = |state: Option<(i64, i64)>| judge(&STREAM, state.as_ref());
        assert!(told(Some((7, 3))).is_none());
        assert!(matches!(told(Some((8, 3))), Some(News::Look(_))));
        let displaced = told(Some((7, 4)));
        assert!(matches!(
            displaced,
            Some(News::End(_, ErrorReason::StreamDisplaced))
        ));
        assert!(matches!(
            told(None),
            Some(News::End(_, ErrorReason::TokenInvalid))
        ));
    }

    #[test]
    fn a_stream_without_room_looks_whether_there_is_some() {
        let stuck = Progress {
            stuck: true,
            ..STREAM
        };
        assert!(matches!(judge(&stuck, Some(&(7, 3))), Some(News::Look(_))));
    }
}
