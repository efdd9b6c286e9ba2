//! How much quarantine may hold. Room is charged before an event is admitted, so that the bound is never passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an event takes besides its own bytes: its part of a frame, and what is kept of it in memory.
const OVERHEAD_BYTES: u64 = 128;

/// The room.
#[derive(Debug)]
pub(crate) struct Room {
    used_bytes: AtomicU64,
    bytes_max: u64,
}

/// A part of the room; given back when dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Charge {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { used_bytes: AtomicU64::new(0), bytes_max })
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Charges for an event of so many bytes; `None` when there is no room for it.
    pub(crate) fn charge(self: &Arc<Self>, event_bytes: usize) -> Option<Charge> {
        let bytes = event_bytes as u64 + OVERHEAD_BYTES;
        let within = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.bytes_max);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).ok()?;
        Some(Charge { room: Arc::clone(self), bytes })
    }

    /// Charges for what is there already, bound or not.
    pub(crate) fn charge_found(self: &Arc<Self>, event_bytes: usize) -> Charge {
        let bytes = event_bytes as u64 + OVERHEAD_BYTES;
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge { room: Arc::clone(self), bytes }
    }
}

impl Charge {
    /// The event stays; answers what to [`Room::give_back`] when it leaves.
    pub(crate) fn keep(mut self) -> u32 {
        // No event is larger than a request, which is far below 2^32 bytes.
        u32::try_from(std::mem::take(&mut self.bytes)).unwrap_or(u32::MAX)
    }
}

impl Room {
    pub(crate) fn give_back(&self, bytes: u32) {
        self.used_bytes.fetch_sub(u64::from(bytes), Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.room.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
