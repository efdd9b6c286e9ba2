//! The two planes on their engines: SQLite and PostgreSQL, Parquet with DataFusion, and in-memory oracles.
