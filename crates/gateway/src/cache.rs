//! Answers that are given again to the same request (`contract/portkey.md` section 4.2, "cache",
//! mode `simple`).
//!
//! What it is: a map bounded in bytes. What is oldest in use goes first when it is full, and what
//! has expired is never given. Time is an argument.
//!
//! What it is not: it does not know configs; whether a request wants it, and for how long, is
//! decided before.
//!
//! Invariant: it never holds more bytes than it was made for.
//! Invariant: two requests share an answer only if every part of their [`KeyParts`] is the same,
//! the workspace and the provider's account included.
//! Invariant: calls that make or read stored objects (assistants, threads, runs, files, vector
//! stores, uploads, batches, responses) are not cacheable.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

/// What an entry takes besides its body and headers.
const OVERHEAD: u64 = 256;
/// An answer may take one part in so many of the whole.
const PARTS: u64 = 16;
/// Calls whose answer follows from the request alone and names nothing that is kept elsewhere.
const CACHEABLE: [&str; 5] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/moderations",
    "/rerank",
];

/// Everything that tells two requests apart.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// The tenant.
    pub workspace: &'a str,
    /// `x-portkey-cache-namespace`, or the config's: it takes the place of `metadata`.
    pub namespace: Option<&'a str>,
    /// The request's method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Who answers: `openai`.
    pub provider: &'a str,
    /// The account: a virtual key's slug, or a hash of the credential and the host that came with
    /// the request.
    pub destination: &'a str,
    /// The model, where the body does not say it (a deployment).
    pub model: Option<&'a str>,
    /// The body's content type.
    pub content_type: &'a str,
    /// What else decides on the answer: the rules of the config, the address, what is forwarded.
    pub rules: &'a str,
    /// The request's metadata: other users get other answers, unless a namespace says otherwise.
    pub metadata: &'a BTreeMap<String, String>,
    /// The body as it goes to the provider.
    pub body: &'a [u8],
}

/// A hash of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The hash of all parts, each with its length before it.
    pub fn new(parts: &KeyParts<'_>) -> Self {
        let KeyParts {
            workspace,
            namespace,
            method,
            path,
            provider,
            destination,
            model,
            content_type,
            rules,
            metadata,
            body,
        } = *parts;
        let mut hash = Hash(blake3::Hasher::new());
        for part in [
            workspace,
            method,
            path,
            provider,
            destination,
            content_type,
            rules,
        ] {
            hash.part(part.as_bytes());
        }
        hash.option(model);
        hash.option(namespace);
        if namespace.is_none() {
            for (key, value) in metadata {
                hash.part(key.as_bytes());
                hash.part(value.as_bytes());
            }
            hash.0.update(&[0xff; 8]);
        }
        hash.part(body);
        Self(*hash.0.finalize().as_bytes())
    }
}

struct Hash(blake3::Hasher);

impl Hash {
    fn part(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn option(&mut self, part: Option<&str>) {
        self.0.update(&[u8::from(part.is_some())]);
        self.part(part.unwrap_or_default().as_bytes());
    }
}

/// An answer that may be given again.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The status.
    pub status: u16,
    /// The headers that are to be given again.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Cached {
    /// The same without the larger buffers that its parts may be slices of.
    fn compact(self) -> Self {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            // A value's bytes make a value.
            if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name.clone(), copy);
            }
        }
        Self {
            status: self.status,
            headers,
            body: Bytes::copy_from_slice(&self.body),
        }
    }

    fn bytes(&self) -> u64 {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + 32);
        (headers.sum::<usize>() as u64)
            .saturating_add(self.body.len() as u64)
            .saturating_add(OVERHEAD)
    }
}

/// Answers of this process.
#[derive(Debug)]
pub struct Cache {
    limit: u64,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<CacheKey, Entry>,
    /// Keys by when they were last used.
    by_use: BTreeMap<u64, CacheKey>,
    bytes: u64,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    cached: Arc<Cached>,
    expires_ms: i64,
    bytes: u64,
    used: u64,
}

impl Cache {
    /// An empty one of at most so many bytes; 0 holds nothing.
    pub fn new(bytes: u64) -> Self {
        Self {
            limit: bytes,
            entries: Mutex::default(),
        }
    }

    /// The answer to a request, if there is one that has not expired.
    pub fn get(&self, key: &CacheKey, now_ms: i64) -> Option<Arc<Cached>> {
        let entries = &mut *self.entries.lock();
        let entry = entries.by_key.get_mut(key)?;
        if entry.expires_ms <= now_ms {
            entries.remove(key);
            return None;
        }
        entries.uses += 1;
        // The key that is moved is the one that was put.
        let key = entries.by_use.remove(&entry.used)?;
        entry.used = entries.uses;
        entries.by_use.insert(entry.used, key);
        Some(Arc::clone(&entry.cached))
    }

    /// Keeps an answer for so long, in place of a former one. One that is larger than a sixteenth
    /// of the cache is not kept.
    pub fn put(&self, key: CacheKey, cached: Cached, ttl: Duration, now_ms: i64) {
        let bytes = cached.bytes();
        let is_kept = bytes <= self.limit / PARTS && !ttl.is_zero();
        let kept = is_kept.then(|| Arc::new(cached.compact()));
        let entries = &mut *self.entries.lock();
        entries.remove(&key);
        let Some(cached) = kept else {
            return;
        };
        while entries.bytes + bytes > self.limit {
            let Some((_, oldest)) = entries.by_use.pop_first() else {
                return;
            };
            entries.forget(&oldest);
        }
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        entries.uses += 1;
        entries.bytes += bytes;
        entries.by_use.insert(entries.uses, key.clone());
        let entry = Entry {
            cached,
            expires_ms: now_ms.saturating_add(ttl_ms),
            bytes,
            used: entries.uses,
        };
        entries.by_key.insert(key, entry);
    }
}

impl Entries {
    fn remove(&mut self, key: &CacheKey) {
        if let Some(used) = self.forget(key) {
            self.by_use.remove(&used);
        }
    }

    /// Takes an entry out, but for its place in the order of use, which is returned.
    fn forget(&mut self, key: &CacheKey) -> Option<u64> {
        let entry = self.by_key.remove(key)?;
        self.bytes -= entry.bytes;
        Some(entry.used)
    }
}

/// Whether a call may be answered from the cache: one whose answer follows from its body and is
/// not streamed. `path` is the caller's, with or without `/v1` before it.
pub fn is_cacheable(method: &str, path: &str, stream: bool) -> bool {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    method == "POST" && !stream && CACHEABLE.contains(&path)
}

#[cfg(test)]
mod tests;
