//! Standard Webhooks signatures: `v1,` + base64 HMAC-SHA256 over `id.timestamp.body`, one for every secret in force.
//!
//! Does not know requests or headers. Source: <https://www.standardwebhooks.com/>, specification 1.0.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use liftgate_domain::Entropy;
use sha2::Sha256;
use thiserror::Error;

/// How far the timestamp of an attempt may be from the receiver's clock.
pub const TOLERANCE_S: i64 = 300;

const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;
const SECRET_BYTES_NEW: usize = 32;

/// The most signatures of a header that are looked at: a header must not buy unbounded work.
const SIGNATURES_MAX: usize = 16;

/// Base64 that writes padding and reads with or without it, as the official libraries do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret or a signature was refused. Never carries the secret.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The secret is not `whsec_` + base64 of 24 to 64 bytes.
    #[error("a signing secret is `whsec_` followed by base64 of 24 to 64 bytes")]
    Secret,
    /// The attempt is older than [`TOLERANCE_S`].
    #[error("timestamp `{timestamp_s}` is too old")]
    TooOld {
        /// Seconds since the epoch, as sent.
        timestamp_s: i64,
    },
    /// The attempt is more than [`TOLERANCE_S`] in the future.
    #[error("timestamp `{timestamp_s}` is too far in the future")]
    TooNew {
        /// Seconds since the epoch, as sent.
        timestamp_s: i64,
    },
    /// No signature in the header was made with any of the secrets.
    #[error("no signature matches")]
    Mismatch,
}

/// A signing secret. Its `Debug` form shows nothing of it.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_` + base64 (padded or not) of 24 to 64 bytes; [`SignatureError::Secret`] for anything else.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SignatureError::Secret)?;
        let bytes = BASE64.decode(encoded).map_err(|_| SignatureError::Secret)?;
        if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(SignatureError::Secret)
        }
    }

    /// A new secret of 256 random bits, as text for the endpoint's body and its owner's eyes.
    pub fn generate(entropy: &dyn Entropy) -> String {
        let mut bytes = [0_u8; SECRET_BYTES_NEW];
        entropy.fill(&mut bytes);
        format!("{SECRET_PREFIX}{}", BASE64.encode(bytes))
    }

    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(whsec_***)")
    }
}

/// The `webhook-signature` header: one `v1,<base64>` for every secret, in their order, separated by spaces.
///
/// `timestamp_s` is the attempt's time in seconds since the epoch, exactly as sent in `webhook-timestamp`.
pub fn sign(secrets: &[Secret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| format!("v1,{}", BASE64.encode(secret.mac(id, timestamp_s, body).finalize().into_bytes())))
        .collect();
    signatures.join(" ")
}

/// Checks a `webhook-signature` header as a receiver must: time first, then any signature by any secret, compared in
/// constant time. Signatures of other versions than `v1` are passed over.
pub fn verify(
    secrets: &[Secret],
    id: &str,
    timestamp_s: i64,
    now_s: i64,
    header: &str,
    body: &[u8],
) -> Result<(), SignatureError> {
    if timestamp_s < now_s.saturating_sub(TOLERANCE_S) {
        return Err(SignatureError::TooOld { timestamp_s });
    }
    if timestamp_s > now_s.saturating_add(TOLERANCE_S) {
        return Err(SignatureError::TooNew { timestamp_s });
    }
    let signatures: Vec<Vec<u8>> = header
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|part| BASE64.decode(part.strip_prefix("v1,")?).ok())
        .collect();
    let matches = secrets.iter().any(|secret| {
        let mac = secret.mac(id, timestamp_s, body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
}
