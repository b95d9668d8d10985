//! Streams and their history.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strata_proto::control::{EndReason, ReceiverStats, StreamLife};
use strata_proto::id::{SenderId, StreamId, UserId};
use strata_proto::time::Timestamp;

use super::{Page, Store, StoreError, parse, time};
use crate::fleet::Scope;

/// A stream as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRow {
    /// Its id.
    pub id: StreamId,
    /// Whose stream it is.
    pub sender: SenderId,
    /// The account the sender belongs to.
    pub owner: UserId,
    /// Where in its life it is.
    pub state: StreamLife,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When media first arrived.
    pub live_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it ends or ended.
    pub reason: Option<EndReason>,
    /// The error in words, when it failed.
    pub error: Option<String>,
    /// Whether nobody observed its end: the agent may run it still.
    pub presumed: bool,
    /// RTP ports of its receiver, one per link.
    pub ports: Vec<u16>,
    /// Playout latency of its receiver, ms.
    pub latency_ms: u32,
    /// File its receiver writes.
    pub recording: Option<String>,
    /// Whether its receiver forwards it. Where to is not written down: it may hold a key.
    pub forwards: bool,
    /// What its receiver last said; written down with each change of the state.
    pub receiver_stats: Option<ReceiverStats>,
}

impl Store {
    /// Adds a stream; false when its sender has one that is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_stream(&self, stream: &StreamRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO streams (id, sender_id, owner, state, created_at, ports, latency_ms, recording, \
             forwards) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(stream.id.as_str())
        .bind(stream.sender.as_str())
        .bind(stream.owner.as_str())
        .bind(text(&stream.state))
        .bind(stream.created_at.unix_millis())
        .bind(ports_text(&stream.ports))
        .bind(i64::from(stream.latency_ms))
        .bind(&stream.recording)
        .bind(i64::from(stream.forwards))
        .execute(self.writer())
        .await;
        unless_taken(done.map(|_| true))
    }

    /// Writes a stream's state, times and end; nothing when it was over already.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn update_stream(&self, stream: &StreamRow) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE streams SET state = $2, live_at = $3, ended_at = $4, end_reason = $5, error = $6, \
             presumed = $7, receiver_stats = $8 \
             WHERE id = $1 AND state IN ('starting', 'live', 'stopping')",
        )
        .bind(stream.id.as_str())
        .bind(text(&stream.state))
        .bind(stream.live_at.map(Timestamp::unix_millis))
        .bind(stream.ended_at.map(Timestamp::unix_millis))
        .bind(stream.reason.as_ref().map(text))
        .bind(&stream.error)
        .bind(i64::from(stream.presumed))
        .bind(stream.receiver_stats.as_ref().and_then(|stats| serde_json::to_string(stats).ok()))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Writes down what an agent said about the end of its stream, before anything is done about it.
    /// An end that was only presumed is certain from now on.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn note_stream_end(
        &self,
        sender: &SenderId,
        id: &StreamId,
        reason: EndReason,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE streams SET end_reason = $3, error = $4, presumed = 0 WHERE id = $1 AND sender_id = $2 \
             AND (state IN ('starting', 'live') OR presumed = 1)",
        )
        .bind(id.as_str())
        .bind(sender.as_str())
        .bind(text(&reason))
        .bind(error)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Takes back an end that was only presumed; false when it was certain, or the sender has another
    /// stream that is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revive_stream(
        &self,
        sender: &SenderId,
        id: &StreamId,
        recording: Option<&str>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE streams SET state = 'starting', ended_at = NULL, end_reason = NULL, error = NULL, \
             presumed = 0, recording = $3 WHERE id = $1 AND sender_id = $2 AND presumed = 1",
        )
        .bind(id.as_str())
        .bind(sender.as_str())
        .bind(recording)
        .execute(self.writer())
        .await;
        unless_taken(done.map(|done| done.rows_affected() == 1))
    }

    /// One stream.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stream(&self, id: &StreamId) -> Result<Option<StreamRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM streams WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.reader())
            .await?;
        row.map(StreamRow::try_from).transpose()
    }

    /// The streams of one account or of all, newest first, those that are over included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn streams(
        &self,
        scope: &Scope,
        page: Page<'_, StreamId>,
    ) -> Result<Vec<StreamRow>, StoreError> {
        let query = match scope {
            Scope::All => sqlx::query_as("SELECT * FROM streams WHERE id < $1 ORDER BY id DESC LIMIT $2"),
            Scope::Account(_) => {
                sqlx::query_as("SELECT * FROM streams WHERE id < $1 AND owner = $3 ORDER BY id DESC LIMIT $2")
            }
        };
        let query = query.bind(page.after.map_or(AFTER_ALL, StreamId::as_str)).bind(i64::from(page.limit));
        let query = match scope {
            Scope::All => query,
            Scope::Account(owner) => query.bind(owner.as_str()),
        };
        let rows: Vec<Row> = query.fetch_all(self.reader()).await?;
        rows.into_iter().map(StreamRow::try_from).collect()
    }

    /// Every stream that is not over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished_streams(&self) -> Result<Vec<StreamRow>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM streams WHERE state IN ('starting', 'live', 'stopping')")
                .fetch_all(self.reader())
                .await?;
        rows.into_iter().map(StreamRow::try_from).collect()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    sender_id: String,
    owner: String,
    state: String,
    created_at: i64,
    live_at: Option<i64>,
    ended_at: Option<i64>,
    end_reason: Option<String>,
    error: Option<String>,
    presumed: i64,
    ports: String,
    latency_ms: i64,
    recording: Option<String>,
    forwards: i64,
    receiver_stats: Option<String>,
}

impl TryFrom<Row> for StreamRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("streams.id", &row.id)?,
            sender: parse("streams.sender_id", &row.sender_id)?,
            owner: parse("streams.owner", &row.owner)?,
            state: typed("streams.state", row.state)?,
            created_at: time(row.created_at),
            live_at: row.live_at.map(time),
            ended_at: row.ended_at.map(time),
            reason: row.end_reason.map(|text| typed("streams.end_reason", text)).transpose()?,
            error: row.error,
            presumed: row.presumed != 0,
            ports: row
                .ports
                .split(',')
                .filter(|port| !port.is_empty())
                .map(|port| parse("streams.ports", port))
                .collect::<Result<_, _>>()?,
            latency_ms: u32::try_from(row.latency_ms)
                .map_err(|e| StoreError::Corrupt { column: "streams.latency_ms", reason: e.to_string() })?,
            recording: row.recording,
            forwards: row.forwards != 0,
            receiver_stats: row.receiver_stats.and_then(|text| stats(&row.id, &text)),
        })
    }
}

/// Statistics as they were written, maybe by another version: without them the rest of the row, and of the
/// list it stands in, is as good.
fn stats(stream: &str, text: &str) -> Option<ReceiverStats> {
    serde_json::from_str(text)
        .inspect_err(|error| {
            tracing::warn!(stream, %error, "statistics of a stream in the database cannot be read; left out");
        })
        .ok()
}

/// A value as the wire writes it, which is a plain text for these types.
fn text<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        other => unreachable!("an enum without fields is written as text, not {other:?}"),
    }
}

fn typed<T: DeserializeOwned>(column: &'static str, text: String) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(text))
        .map_err(|e| StoreError::Corrupt { column, reason: e.to_string() })
}

fn ports_text(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

fn unless_taken(done: Result<bool, sqlx::Error>) -> Result<bool, StoreError> {
    match done.map_err(StoreError::from) {
        Err(error) if error.is_unique_violation() => Ok(false),
        other => other,
    }
}

/// Behind every stream's id in the order of bytes.
const AFTER_ALL: &str = "str_~";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SenderRow;

    #[tokio::test]
    async fn statistics_that_cannot_be_read_are_left_out_and_the_stream_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let (sender, owner, at): (SenderId, UserId, _) =
            ("snd_1".parse().unwrap(), "usr_1".parse().unwrap(), time(0));
        let camera = SenderRow::new(sender.clone(), owner.clone(), "Camera".to_owned(), at);
        store.insert_sender(&camera, "hash", at).await.unwrap();
        let row = StreamRow {
            id: "str_1".parse().unwrap(),
            sender,
            owner,
            state: StreamLife::Live,
            created_at: at,
            live_at: None,
            ended_at: None,
            reason: None,
            error: None,
            presumed: false,
            ports: vec![15_000],
            latency_ms: 100,
            recording: None,
            forwards: false,
            receiver_stats: None,
        };
        assert!(store.insert_stream(&row).await.unwrap());
        store
            .update_stream(&StreamRow { receiver_stats: Some(ReceiverStats::default()), ..row.clone() })
            .await
            .unwrap();
        let stats = async || store.streams(&Scope::All, Page::ALL).await.unwrap().remove(0).receiver_stats;
        assert_eq!(stats().await, Some(ReceiverStats::default()));
        sqlx::query("UPDATE streams SET receiver_stats = '{\"uptime\": 1}'")
            .execute(store.writer())
            .await
            .unwrap();
        assert_eq!(stats().await, None);
        assert_eq!(store.unfinished_streams().await.unwrap(), [row]);
    }
}
