//! An immutable file of the keys of one day, sorted. A look-up that passes the filter reads one page.
//!
//! `<day>-<first>-<last>.keys`: pages, filter, the high half of each page's first key, footer. `first..=last` are the
//! numbers of the writes in it: a run whose numbers lie within another's of the same day has been merged into that one.
//! Pages carry a checksum each, which a look-up checks; so does what is read at the start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::filter::{BLOCK_BYTES, Filter};
use super::{Day, Key};
use crate::Error;

/// What a look-up reads, in bytes.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Keys of a full page.
pub(crate) const PAGE_KEYS: usize = 255;
const KEY_BYTES: usize = 16;
const KEYS_END: usize = PAGE_KEYS * KEY_BYTES;
const FENCE_BYTES: u64 = 8;
pub(crate) const FOOTER_BYTES: usize = 48;
const MAGIC: [u8; 4] = *b"LGK2";
/// A run of at most this many pages is checked whole when it is opened; the pages of larger ones when they are read.
const CHECKED_PAGES_MAX: u64 = 256;
/// Bytes read at once when a run is opened.
const READ_BYTES: usize = 1 << 20;

/// The extension of a run's file.
pub(crate) const EXTENSION: &str = "keys";
/// The extension added to a run that was found damaged while in use.
pub(crate) const DAMAGED: &str = "damaged";

/// Where a run belongs; its file name.
#[derive(Copy, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct RunName {
    pub day: Day,
    pub first: u64,
    pub last: u64,
}

/// A run, open for look-ups.
#[derive(Debug)]
pub(crate) struct Run {
    pub name: RunName,
    pub path: PathBuf,
    /// How many keys it has.
    pub count: u64,
    pub filter: Filter,
    /// The high half of the first key of each page.
    pub fences: Vec<u64>,
    pub file: File,
    pub damaged: AtomicBool,
}

/// What the footer says.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Footer {
    pub day: Day,
    pub count: u64,
    pub pages: u64,
    pub blocks: u64,
    /// Of filter and fences.
    pub crc: u32,
}

impl RunName {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        let Self { day, first, last } = self;
        dir.join(format!("{day}-{first:012}-{last:012}.{EXTENSION}"))
    }

    pub(crate) fn of(path: &Path) -> Option<Self> {
        let mut parts = path.file_stem()?.to_str()?.rsplitn(3, '-');
        let (last, first, day) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { day: day.parse().ok()?, first: first.parse().ok()?, last: last.parse().ok()? })
    }

    /// All that the other run has is in this one.
    pub(crate) fn covers(self, other: Self) -> bool {
        self != other && self.day == other.day && self.first <= other.first && other.last <= self.last
    }
}

impl Run {
    /// Opens a run; `None` when it is damaged.
    pub(crate) fn open(path: PathBuf) -> Result<Option<Self>, Error> {
        let run = match Self::read(&path) {
            Ok(run) => run,
            Err(error) if is_damage(&error) => return Ok(None),
            Err(error) => return Err(Error::disk(&path, &error)),
        };
        Ok(Some(run))
    }

    fn read(path: &Path) -> io::Result<Self> {
        let name = RunName::of(path).ok_or_else(|| damage("its name is not one of a run"))?;
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES];
        let footer_at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| damage("it is too short"))?;
        file.read_exact_at(&mut footer, footer_at)?;
        let footer = Footer::decode(&footer).ok_or_else(|| damage("its footer does not match its checksum"))?;
        let pages_end = footer.pages.saturating_mul(PAGE_BYTES as u64);
        let filter_end = pages_end.saturating_add(footer.blocks.saturating_mul(BLOCK_BYTES as u64));
        let fences_end = filter_end.saturating_add(footer.pages.saturating_mul(FENCE_BYTES));
        let is_whole = fences_end == footer_at && footer.count.div_ceil(PAGE_KEYS as u64) == footer.pages;
        if !is_whole || footer.day != name.day || footer.pages == 0 || footer.blocks == 0 {
            return Err(damage("its length does not match its footer"));
        }
        let mut filter = Filter::with_room(footer.blocks);
        let crc = read_span(&file, pages_end, filter_end, 0, |bytes| filter.decode(bytes))?;
        let mut fences = Vec::with_capacity(usize::try_from(footer.pages).map_err(io::Error::other)?);
        let crc = read_span(&file, filter_end, fences_end, crc, |bytes| {
            let words = bytes.chunks_exact(FENCE_BYTES as usize);
            fences.extend(words.map(|word| u64::from_le_bytes(word.try_into().expect("the chunk has 8 bytes"))));
        })?;
        if crc != footer.crc || !fences.is_sorted() {
            return Err(damage("its index does not match its checksum"));
        }
        let damaged = AtomicBool::new(false);
        let run = Self { name, path: path.to_owned(), count: footer.count, filter, fences, file, damaged };
        if footer.pages <= CHECKED_PAGES_MAX {
            (0..footer.pages).try_for_each(|page| run.read_page(page).map(drop))?;
        }
        Ok(run)
    }

    /// Whether the key is in the run. Blocks on the disk for one page, rarely more.
    pub(crate) fn contains(&self, key: Key) -> Result<bool, Error> {
        let high = (key >> 64) as u64;
        // Keys with the same high half may begin on an earlier page than the last whose first key has it.
        for page in (0..self.fences.partition_point(|fence| *fence <= high)).rev() {
            if self.page(page as u64)?.find(key) {
                return Ok(true);
            }
            if self.fences[page] < high {
                break;
            }
        }
        Ok(false)
    }

    /// A page, checked. One that is damaged is an error now and always; the next start moves the run aside.
    pub(crate) fn page(&self, page: u64) -> Result<Page, Error> {
        self.read_page(page).map_err(|error| {
            if is_damage(&error) {
                self.mark_damaged();
            }
            Error::disk(&self.path, &error)
        })
    }

    pub(crate) fn page_count(&self) -> u64 {
        self.fences.len() as u64
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.filter.bytes() + self.fences.capacity() * size_of::<u64>()
    }

    fn read_page(&self, number: u64) -> io::Result<Page> {
        let mut page = Page([0; PAGE_BYTES]);
        self.file.read_exact_at(&mut page.0, number * PAGE_BYTES as u64)?;
        let is_full = number + 1 < self.page_count();
        let count = if is_full { PAGE_KEYS as u64 } else { self.count - number * PAGE_KEYS as u64 };
        let is_sound = page.trailer() == (page.crc(), number) && page.len() as u64 == count;
        if !is_sound || page.first().map(|key| (key >> 64) as u64) != self.fences.get(number as usize).copied() {
            return Err(damage("a page does not match its checksum"));
        }
        Ok(page)
    }

    /// Renames the file, so that the next start finds it by its name and begins a new epoch without it. Until then what
    /// can be read of it still counts.
    fn mark_damaged(&self) {
        if self.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(file = %self.path.display(),
            "A file of known event ids is damaged; requests that need its page are refused until a restart moves it aside.");
        if let Err(error) = fs::rename(&self.path, self.path.with_added_extension(DAMAGED)) {
            tracing::error!(%error, file = %self.path.display(), "A damaged file of event ids could not be renamed.");
        }
    }
}

impl Footer {
    pub(crate) fn encode(self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.day.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.pages.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..FOOTER_BYTES - 4]);
        bytes[FOOTER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        let footer = Self {
            day: Day::from_le_bytes(*bytes[4..].first_chunk()?),
            count: u64::from_le_bytes(*bytes[8..].first_chunk()?),
            pages: u64::from_le_bytes(*bytes[16..].first_chunk()?),
            blocks: u64::from_le_bytes(*bytes[24..].first_chunk()?),
            crc: u32::from_le_bytes(*bytes[32..].first_chunk()?),
        };
        (footer.encode() == *bytes).then_some(footer)
    }
}

/// The keys of one page, sorted; then their count, the page's number and a checksum of all that.
pub(crate) struct Page([u8; PAGE_BYTES]);

impl Page {
    pub(crate) fn encode(number: u64, keys: &[Key]) -> Self {
        let mut page = Self([0; PAGE_BYTES]);
        for (bytes, key) in page.0.chunks_exact_mut(KEY_BYTES).zip(keys) {
            bytes.copy_from_slice(&key.to_le_bytes());
        }
        let count = u32::try_from(keys.len()).expect("a page has at most 255 keys");
        page.0[KEYS_END..KEYS_END + 4].copy_from_slice(&count.to_le_bytes());
        page.0[KEYS_END + 4..KEYS_END + 12].copy_from_slice(&number.to_le_bytes());
        let crc = page.crc();
        page.0[KEYS_END + 12..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        u32::from_le_bytes(*self.0[KEYS_END..].first_chunk().expect("the page has a trailer")) as usize
    }

    /// The key at a place below [`Page::len`].
    pub(crate) fn get(&self, at: usize) -> Key {
        Key::from_le_bytes(*self.0[at * KEY_BYTES..].first_chunk().expect("the page has whole keys"))
    }

    fn first(&self) -> Option<Key> {
        (self.len() > 0).then(|| self.get(0))
    }

    fn find(&self, key: Key) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.get(middle).cmp(&key) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    fn crc(&self) -> u32 {
        crc32c::crc32c(&self.0[..PAGE_BYTES - 4])
    }

    /// The stored checksum and page number.
    fn trailer(&self) -> (u32, u64) {
        let crc = u32::from_le_bytes(*self.0[PAGE_BYTES - 4..].first_chunk().expect("the page has a trailer"));
        let number = u64::from_le_bytes(*self.0[KEYS_END + 4..].first_chunk().expect("the page has a trailer"));
        (crc, number)
    }
}

/// Reads a span piece by piece; answers the checksum that goes on from `crc`.
fn read_span(file: &File, from: u64, to: u64, mut crc: u32, mut take: impl FnMut(&[u8])) -> io::Result<u32> {
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(to - from).unwrap_or(READ_BYTES))];
    let mut at = from;
    while at < to {
        let piece = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..piece], at)?;
        crc = crc32c::crc32c_append(crc, &buffer[..piece]);
        take(&buffer[..piece]);
        at += piece as u64;
    }
    Ok(crc)
}

fn damage(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file of event ids is damaged: {what}"))
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
