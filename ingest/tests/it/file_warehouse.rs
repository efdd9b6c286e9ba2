//! A warehouse in one append-only file, for processes that are killed: a line a batch, and a line where everything before
//! is durable. Opening it again loses what came after the last such line, as a crash of the machine may.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use liftgate_domain::{
    EventCounts, MomentsAnswer, MomentsQuery, NodeMark, SealedBatch, StoreError, Timestamp, Warehouse, Watermark,
};
use serde_json::{Value, json};
use tokio::sync::watch;

const DURABLE: &str = "durable";
/// Batches that become durable together.
const DURABLE_BATCHES: usize = 2;

type Name = (u64, u64);

pub struct FileWarehouse {
    state: Mutex<State>,
    evidence: watch::Sender<Watermark>,
}

struct State {
    file: File,
    names: BTreeSet<Name>,
    durable: BTreeSet<Name>,
    ids: Vec<String>,
    since_durable: usize,
}

impl FileWarehouse {
    pub fn open(path: &Path) -> Arc<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let durable_bytes = text.rfind(&format!("{DURABLE}\n")).map_or(0, |at| at + DURABLE.len() + 1);
        let mut watermark = Watermark::default();
        let (mut names, mut ids) = (BTreeSet::new(), Vec::new());
        for line in text[..durable_bytes].lines().filter(|line| *line != DURABLE) {
            let batch: Value = serde_json::from_str(line).unwrap();
            let number = |field: &str| batch[field].as_u64().unwrap();
            names.insert((number("epoch"), number("sequence")));
            ids.extend(batch["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
            let received_at = Timestamp(batch["through"].as_i64().unwrap());
            let mark = NodeMark { epoch: number("epoch"), sequence: number("sequence"), received_at };
            watermark.advance(batch["node"].as_str().unwrap(), mark);
        }
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.set_len(durable_bytes as u64).unwrap();
        let state = State { file, durable: names.clone(), names, ids, since_durable: 0 };
        Arc::new(Self { state: Mutex::new(state), evidence: watch::channel(watermark).0 })
    }

    /// The ids of all rows, sorted, repeats included.
    pub fn ids(&self) -> Vec<String> {
        let mut ids = self.state.lock().unwrap().ids.clone();
        ids.sort();
        ids
    }
}

impl State {
    fn make_durable(&mut self) {
        self.file.write_all(format!("{DURABLE}\n").as_bytes()).unwrap();
        self.durable = self.names.clone();
        self.since_durable = 0;
    }
}

#[async_trait]
impl Warehouse for FileWarehouse {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        if !batch.rows.is_empty() && state.names.insert((batch.epoch, batch.sequence)) {
            let ids: Vec<String> = batch.rows.iter().map(|row| row.event_id.clone()).collect();
            let (node, epoch, sequence, through) =
                (&*batch.node, batch.epoch, batch.sequence, batch.received_through.0);
            let line = json!({"node": node, "epoch": epoch, "sequence": sequence, "through": through, "ids": ids});
            state.file.write_all(format!("{line}\n").as_bytes()).unwrap();
            state.ids.extend(ids);
            state.since_durable += 1;
            if state.since_durable == DURABLE_BATCHES {
                state.make_durable();
            }
        }
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        self.evidence.send_modify(|watermark| watermark.advance(&batch.node, mark));
        Ok(())
    }

    fn durable_through(&self, _: &str, epoch: u64) -> u64 {
        let state = self.state.lock().unwrap();
        (1..).take_while(|sequence| state.durable.contains(&(epoch, *sequence))).last().unwrap_or(0)
    }

    fn is_durable(&self, _: &str, epoch: u64, sequence: u64) -> bool {
        self.state.lock().unwrap().durable.contains(&(epoch, sequence))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.state.lock().unwrap().make_durable();
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.evidence.subscribe()
    }

    async fn moments(&self, _: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        Err(StoreError::Invalid("this warehouse only keeps ids".to_owned()))
    }

    async fn counts(&self, _: u64) -> Result<EventCounts, StoreError> {
        Err(StoreError::Invalid("this warehouse only keeps ids".to_owned()))
    }
}
