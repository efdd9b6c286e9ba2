//! From moments to estimates and verdicts.
