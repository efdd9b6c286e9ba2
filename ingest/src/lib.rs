//! Admits events: validate, log, deduplicate, seal, hand to the warehouse.
