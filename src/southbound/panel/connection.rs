//! One connection of a panel: reads on while commits are under way, and answers in the order in which it came.

use super::form::{Ear, Form};
use super::{Answer, Ask};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Bytes read at once.
const READ: usize = 4096;
/// Frames of one connection that wait for their commit; with more nothing is read. Panels send one and wait.
const UNANSWERED: usize = 256;
/// Longest wait for a panel to take an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so many silences is given up: its panel has opened another by then.
const SILENCES: u32 = 3;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    form: Form,
    silence: Duration,
    asks: mpsc::Sender<Ask>,
) {
    let (mut reading, mut writing) = stream.into_split();
    let mut ear = Ear::new(form);
    let mut waiting: VecDeque<Answer> = VecDeque::new();
    let mut bytes = [0; READ];
    loop {
        tokio::select! {
            committed = front(&mut waiting) => {
                if !committed || !answer(&mut writing, waiting.pop_front(), peer).await {
                    return;
                }
            }
            read = timeout(silence * SILENCES, reading.read(&mut bytes)), if waiting.len() < UNANSWERED => {
                let read = match read {
                    Ok(Ok(read)) if read > 0 => bytes.get(..read).unwrap_or_default(),
                    Ok(Ok(_)) => break,
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, error = %error, "a panel's connection broke");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!(%peer, "a panel's connection is silent and closed");
                        return;
                    }
                };
                ear.feed(read);
                while let Some(heard) = ear.next() {
                    let (asked, told) = oneshot::channel();
                    if asks.send(Ask { peer, heard, answer: asked }).await.is_err() {
                        return;
                    }
                    let Ok(answer) = told.await else { return };
                    waiting.push_back(answer);
                }
            }
        }
    }
    // It has said everything, and may still listen.
    while !waiting.is_empty() {
        if !front(&mut waiting).await || !answer(&mut writing, waiting.pop_front(), peer).await {
            return;
        }
    }
}

/// Resolves when the oldest frame is committed, with whether it is; never while there is none. May be dropped and called
/// again.
async fn front(waiting: &mut VecDeque<Answer>) -> bool {
    match waiting.front_mut() {
        Some(Answer { receipt: Some(receipt), .. }) => {
            let committed = receipt.await.is_ok();
            if let Some(front) = waiting.front_mut() {
                front.receipt = None;
            }
            committed
        }
        Some(Answer { receipt: None, .. }) => true,
        None => std::future::pending().await,
    }
}

async fn answer(writing: &mut OwnedWriteHalf, answer: Option<Answer>, peer: IpAddr) -> bool {
    let bytes = answer.map(|answer| answer.bytes).unwrap_or_default();
    match timeout(ANSWER_WAIT, writing.write_all(&bytes)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%peer, error = %error, "an answer does not reach its panel");
            false
        }
        Err(_) => {
            tracing::debug!(%peer, "a panel does not take its answer");
            false
        }
    }
}
