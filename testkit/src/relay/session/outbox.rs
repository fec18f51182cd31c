//! What a session still has to send, step by step.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::io::BoxedIo;
use super::super::stats::Counters;
use super::super::wire::Wire;
use crate::limits::{CLOSE_TIMEOUT, ENDLESS_BYTES};
use crate::population::{Generator, SimEvent};

/// Steps that are sent before the session looks at its client again.
const STEPS_PER_TURN: usize = 64;

/// One thing to send or do.
pub(super) enum Step {
    /// An event of a subscription.
    Event { sub_id: String, event: SimEvent },
    /// A text frame.
    Text(String),
    /// An event message as text, already written.
    RawEvent(String),
    /// A binary frame.
    Binary(Vec<u8>),
    /// Bytes on the wire, outside of any frame.
    Raw(Vec<u8>),
    /// Bytes on the wire, one per interval.
    Drip {
        bytes: VecDeque<u8>,
        interval: Duration,
    },
    /// Fresh events until the subscription is closed.
    Endless {
        sub_id: String,
        created_at: i64,
        source: Box<Generator>,
        bytes: usize,
    },
    /// Bytes on the wire, perhaps without end.
    Wire(Wire),
    /// A close frame, then the end.
    Close(u16),
    /// The end, without a close frame.
    Cut,
}

struct Queued {
    due: Option<Instant>,
    sub_id: Option<String>,
    step: Step,
}

/// The steps, in order. A step that is not due yet holds up those behind it.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Queued>,
}

impl Outbox {
    /// Queues a step, of this subscription if it has one, not before `due`.
    pub(super) fn push(&mut self, sub_id: Option<&str>, due: Option<Instant>, step: Step) {
        self.queue.push_back(Queued {
            due,
            sub_id: sub_id.map(ToOwned::to_owned),
            step,
        });
    }

    /// Drops what a closed subscription would still get.
    pub(super) fn forget(&mut self, sub_id: &str) {
        self.queue
            .retain(|queued| queued.sub_id.as_deref() != Some(sub_id));
    }

    /// Returns when the next step is due, `None` if there is none.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue
            .front()
            .map(|queued| queued.due.unwrap_or_else(Instant::now))
    }

    /// Says whether a frame is half on the wire: nothing else may be written, pongs included, so
    /// nothing is read.
    pub(super) fn is_dripping(&self) -> bool {
        matches!(
            self.queue.front(),
            Some(Queued {
                step: Step::Drip { .. },
                ..
            })
        )
    }

    /// Sends the steps that are due, up to a number of them.
    pub(super) async fn send(
        &mut self,
        ws: &mut WebSocketStream<BoxedIo>,
        counters: &Counters,
    ) -> ControlFlow<()> {
        for _ in 0..STEPS_PER_TURN {
            let now = Instant::now();
            let Some(queued) = self
                .queue
                .pop_front_if(|queued| queued.due.is_none_or(|due| due <= now))
            else {
                break;
            };
            match self.perform(queued, ws, counters).await {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) | Err(_) => return ControlFlow::Break(()),
            }
        }
        if ws.flush().await.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    async fn perform(
        &mut self,
        queued: Queued,
        ws: &mut WebSocketStream<BoxedIo>,
        counters: &Counters,
    ) -> Result<ControlFlow<()>, Error> {
        match queued.step {
            Step::Event { sub_id, event } => {
                counters.events_sent.fetch_add(1, Ordering::Relaxed);
                ws.feed(Message::text(event_message(&sub_id, event.json())))
                    .await?;
            }
            Step::RawEvent(text) => {
                counters.events_sent.fetch_add(1, Ordering::Relaxed);
                ws.feed(Message::text(text)).await?;
            }
            Step::Text(text) => ws.feed(Message::text(text)).await?,
            Step::Binary(bytes) => ws.feed(Message::binary(bytes)).await?,
            Step::Raw(bytes) => write_raw(ws, &bytes).await?,
            Step::Wire(wire) => {
                ws.flush().await?;
                if wire.send(ws.get_mut()).await? {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Step::Drip {
                mut bytes,
                interval,
            } => {
                if let Some(byte) = bytes.pop_front() {
                    write_raw(ws, &[byte]).await?;
                }
                if !bytes.is_empty() {
                    let due = Some(Instant::now() + interval);
                    let step = Step::Drip { bytes, interval };
                    self.queue.push_front(Queued {
                        due,
                        step,
                        ..queued
                    });
                }
            }
            Step::Endless {
                sub_id,
                created_at,
                mut source,
                mut bytes,
            } => {
                let event = source.next_at(created_at);
                let text = event_message(&sub_id, &event.to_json());
                counters.events_sent.fetch_add(1, Ordering::Relaxed);
                bytes += text.len();
                ws.feed(Message::text(text)).await?;
                if bytes < ENDLESS_BYTES {
                    let step = Step::Endless {
                        sub_id,
                        created_at,
                        source,
                        bytes,
                    };
                    self.queue.push_back(Queued { step, ..queued });
                }
            }
            Step::Close(code) => {
                let reason = "by script".into();
                ws.close(Some(CloseFrame {
                    code: code.into(),
                    reason,
                }))
                .await?;
                // Unread bytes would turn the end into a reset that overtakes the close frame.
                let drained = async { while let Some(Ok(_)) = ws.next().await {} };
                drop(timeout(CLOSE_TIMEOUT, drained).await);
                return Ok(ControlFlow::Break(()));
            }
            Step::Cut => {
                ws.flush().await?;
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

async fn write_raw(ws: &mut WebSocketStream<BoxedIo>, bytes: &[u8]) -> Result<(), Error> {
    ws.flush().await?;
    let io = ws.get_mut();
    io.write_all(bytes).await?;
    io.flush().await?;
    Ok(())
}

/// Writes an EVENT message around an event's JSON.
pub(super) fn event_message(sub_id: &str, json: &str) -> String {
    let sub_id = serde_json::to_string(sub_id).unwrap_or_default();
    format!("[\"EVENT\",{sub_id},{json}]")
}

/// Writes a text frame (RFC 6455 section 5.2) of a server: whole, unmasked.
pub(super) fn text_frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = vec![0x81];
    match (u16::try_from(length), length) {
        (_, 0..126) => frame.push(length as u8),
        (Ok(length), _) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        (Err(_), _) => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    frame
}
