//! What a simulated relay saw and did.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bigbrotr_core::event::Pubkey;
use bigbrotr_core::filter::Filter;

use super::lock;
use crate::limits::MAX_RECORDED;

/// A snapshot of what a simulated relay saw and did since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// TCP connections accepted.
    pub connections: u64,
    /// WebSocket sessions opened.
    pub sessions: u64,
    /// WebSocket sessions open now.
    pub open_sessions: usize,
    /// The most clients that were reading at once: who has asked for events over a connection that
    /// is still open. Connections that authenticated as the same key are one client.
    pub most_readers: usize,
    /// NIP-11 documents asked for.
    pub information_requests: u64,
    /// REQ messages received.
    pub req_count: u64,
    /// The latest REQ messages, oldest first.
    pub reqs: Vec<RecordedReq>,
    /// COUNT messages received.
    pub count_count: u64,
    /// EVENT messages received.
    pub events_received: u64,
    /// Events sent, live ones and repetitions included.
    pub events_sent: u64,
    /// NEG-OPEN messages received.
    pub reconciliations: u64,
    /// NEG-OPEN and NEG-MSG messages that were not refused at once.
    pub reconcile_rounds: u64,
    /// NEG messages received: bytes of text.
    pub reconcile_bytes_in: u64,
    /// NEG messages sent: bytes of text.
    pub reconcile_bytes_out: u64,
    /// Who authenticated, in order.
    pub authenticated: Vec<Pubkey>,
    /// Bytes read from all sockets, TLS included.
    pub bytes_in: u64,
    /// Bytes written to all sockets, TLS included.
    pub bytes_out: u64,
}

/// A REQ as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReq {
    /// Subscription id.
    pub sub_id: String,
    /// What was asked for.
    pub filters: Vec<Filter>,
}

/// Who reads now, by session.
#[derive(Debug, Default)]
struct Readers {
    now: HashMap<u64, Option<Pubkey>>,
    most: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) sessions: AtomicU64,
    pub(super) open_sessions: AtomicUsize,
    readers: Mutex<Readers>,
    pub(super) information_requests: AtomicU64,
    pub(super) req_count: AtomicU64,
    pub(super) count_count: AtomicU64,
    pub(super) events_received: AtomicU64,
    pub(super) events_sent: AtomicU64,
    pub(super) reconciliations: AtomicU64,
    pub(super) reconcile_rounds: AtomicU64,
    pub(super) reconcile_bytes_in: AtomicU64,
    pub(super) reconcile_bytes_out: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    reqs: Mutex<VecDeque<RecordedReq>>,
    authenticated: Mutex<Vec<Pubkey>>,
}

impl Counters {
    pub(super) fn bump(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn req_count(&self) -> u64 {
        self.req_count.load(Ordering::Relaxed)
    }

    pub(super) fn record_req(&self, sub_id: &str, filters: &[Filter]) {
        Self::bump(&self.req_count);
        let mut reqs = lock(&self.reqs);
        if reqs.len() == MAX_RECORDED {
            reqs.pop_front();
        }
        reqs.push_back(RecordedReq {
            sub_id: sub_id.to_owned(),
            filters: filters.to_vec(),
        });
    }

    /// Notes that a session asks for events.
    pub(super) fn begin_reading(&self, session: u64, who: Option<Pubkey>) {
        let mut readers = lock(&self.readers);
        readers.now.insert(session, who);
        let known: HashSet<&Pubkey> = readers.now.values().flatten().collect();
        let unknown = readers.now.values().filter(|who| who.is_none()).count();
        readers.most = readers.most.max(known.len() + unknown);
    }

    /// Notes that a session has ended.
    pub(super) fn end_reading(&self, session: u64) {
        lock(&self.readers).now.remove(&session);
    }

    pub(super) fn record_authenticated(&self, pubkey: Pubkey) {
        let mut authenticated = lock(&self.authenticated);
        if authenticated.len() < MAX_RECORDED {
            authenticated.push(pubkey);
        }
    }

    pub(super) fn snapshot(&self) -> RelayStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RelayStats {
            connections: get(&self.connections),
            sessions: get(&self.sessions),
            open_sessions: self.open_sessions.load(Ordering::Relaxed),
            most_readers: lock(&self.readers).most,
            information_requests: get(&self.information_requests),
            req_count: get(&self.req_count),
            reqs: lock(&self.reqs).iter().cloned().collect(),
            count_count: get(&self.count_count),
            events_received: get(&self.events_received),
            events_sent: get(&self.events_sent),
            reconciliations: get(&self.reconciliations),
            reconcile_rounds: get(&self.reconcile_rounds),
            reconcile_bytes_in: get(&self.reconcile_bytes_in),
            reconcile_bytes_out: get(&self.reconcile_bytes_out),
            authenticated: lock(&self.authenticated).clone(),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
        }
    }
}
