//! Ramp policies: gates, decisions, records and wake-ups.
