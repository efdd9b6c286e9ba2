//! The nouns that join the rooms, and the two ports.
