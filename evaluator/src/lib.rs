//! Which variation does this unit get, and why.
