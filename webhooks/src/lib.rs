//! Outbox to endpoints: sign, retry, format.
