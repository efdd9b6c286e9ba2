//! Liftgate: the composition of the rooms into one binary.
