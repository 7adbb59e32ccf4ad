use http::{HeaderValue, header::CONTENT_TYPE};
use proptest::prelude::*;

use super::*;

const START: i64 = 1_800_000_000_000;
const MINUTE: Duration = Duration::from_mins(1);

fn key(body: &str) -> CacheKey {
    let metadata = BTreeMap::new();
    CacheKey::new(&parts(&metadata, body))
}

fn parts<'a>(metadata: &'a BTreeMap<String, String>, body: &'a str) -> KeyParts<'a> {
    KeyParts {
        workspace: "ws_default",
        namespace: None,
        method: "POST",
        path: "/v1/chat/completions",
        provider: "openai",
        destination: "main",
        model: None,
        content_type: "application/json",
        rules: "",
        metadata,
        body: body.as_bytes(),
    }
}

fn answer(bytes: usize) -> Cached {
    Cached {
        status: 200,
        headers: HeaderMap::new(),
        body: Bytes::from(vec![b'x'; bytes]),
    }
}

fn bytes(cache: &Cache) -> u64 {
    let entries = cache.entries.lock();
    let sum = entries.by_key.values().map(|entry| entry.bytes).sum();
    assert_eq!(entries.bytes, sum);
    assert_eq!(entries.by_use.len(), entries.by_key.len());
    sum
}

#[test]
fn an_answer_is_given_whole_until_it_expires() {
    let cache = Cache::new(1 << 20);
    let mut stored = answer(3);
    stored
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    cache.put(key("a"), stored, MINUTE, START);
    let found = cache.get(&key("a"), START + 59_999).unwrap();
    assert_eq!((found.status, &found.body[..]), (200, &b"xxx"[..]));
    assert_eq!(found.headers[CONTENT_TYPE], "application/json");
    assert!(cache.get(&key("b"), START).is_none());
    assert!(cache.get(&key("a"), START + 60_000).is_none());
    assert_eq!(bytes(&cache), 0, "what has expired is let go");
}

#[test]
fn what_is_kept_holds_on_to_no_larger_buffer() {
    let cache = Cache::new(1 << 20);
    let buffer = Bytes::from(vec![b'x'; 1 << 20]);
    let mut slice = answer(0);
    slice.body = buffer.slice(..10);
    let value = HeaderValue::from_maybe_shared(buffer.slice(..5)).unwrap();
    slice.headers.append("x-twice", value.clone());
    slice.headers.append("x-twice", value);
    cache.put(key("a"), slice, MINUTE, START);
    assert!(buffer.is_unique(), "nobody else holds the buffer");
    let found = cache.get(&key("a"), START).unwrap();
    assert_eq!(found.headers.get_all("x-twice").iter().count(), 2);
    assert_eq!(found.headers["x-twice"], "xxxxx");
}

#[test]
fn a_new_answer_takes_the_place_of_the_old() {
    let cache = Cache::new(1 << 20);
    cache.put(key("a"), answer(1), MINUTE, START);
    cache.put(key("a"), answer(2), MINUTE, START);
    assert_eq!(cache.get(&key("a"), START).unwrap().body.len(), 2);
    assert_eq!(bytes(&cache), 2 + OVERHEAD);
    // Also when the new one is not kept.
    cache.put(key("a"), answer(1 << 20), MINUTE, START);
    assert!(cache.get(&key("a"), START).is_none());
    cache.put(key("a"), answer(2), Duration::ZERO, START);
    assert!(cache.get(&key("a"), START).is_none());
}

#[test]
fn an_answer_of_more_than_a_sixteenth_is_not_kept() {
    let cache = Cache::new(16_000);
    let most = 1_000 - 256;
    cache.put(key("fits"), answer(most), MINUTE, START);
    cache.put(key("too large"), answer(most + 1), MINUTE, START);
    assert!(cache.get(&key("fits"), START).is_some());
    assert!(cache.get(&key("too large"), START).is_none());
    let mut headers = answer(most);
    headers
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("a"));
    cache.put(key("headers count"), headers, MINUTE, START);
    assert!(cache.get(&key("headers count"), START).is_none());
    let none = Cache::new(0);
    none.put(key("a"), answer(0), MINUTE, START);
    assert!(none.get(&key("a"), START).is_none());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let cache = Cache::new(16_000);
    let put = |name: &str| cache.put(key(name), answer(744), MINUTE, START);
    let names: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    for name in &names {
        put(name);
    }
    assert_eq!(bytes(&cache), 16_000);
    assert!(cache.get(&key("0"), START).is_some());
    put("new");
    assert!(cache.get(&key("0"), START).is_some());
    assert!(cache.get(&key("1"), START).is_none());
    assert!(cache.get(&key("2"), START).is_some());
    assert_eq!(bytes(&cache), 16_000);
}

#[test]
fn every_part_of_a_request_tells_it_apart() {
    let none = BTreeMap::new();
    let user = |name: &str| BTreeMap::from([("_user".to_owned(), name.to_owned())]);
    let (ann, bob) = (user("ann"), user("bob"));
    let base = parts(&none, "{}");
    let all = [
        base,
        KeyParts {
            workspace: "ws_other",
            ..base
        },
        KeyParts {
            namespace: Some(""),
            ..base
        },
        KeyParts {
            namespace: Some("x"),
            ..base
        },
        KeyParts {
            method: "PUT",
            ..base
        },
        KeyParts {
            path: "/v1/completions",
            ..base
        },
        KeyParts {
            provider: "groq",
            ..base
        },
        KeyParts {
            destination: "other",
            ..base
        },
        KeyParts {
            model: Some(""),
            ..base
        },
        KeyParts {
            model: Some("gpt-4o"),
            ..base
        },
        KeyParts {
            content_type: "text/plain",
            ..base
        },
        KeyParts { rules: "x", ..base },
        KeyParts {
            metadata: &ann,
            ..base
        },
        KeyParts {
            metadata: &bob,
            ..base
        },
        KeyParts {
            body: b"{ }",
            ..base
        },
        // The same letters, cut elsewhere.
        KeyParts {
            provider: "openaim",
            destination: "ain",
            ..base
        },
    ];
    let keys: std::collections::HashSet<CacheKey> = all.iter().map(CacheKey::new).collect();
    assert_eq!(keys.len(), all.len());
    assert!(keys.contains(&CacheKey::new(&base)));
}

#[test]
fn a_namespace_is_shared_whatever_the_metadata() {
    let none = BTreeMap::new();
    let some = BTreeMap::from([("_user".to_owned(), "ann".to_owned())]);
    let shared = |metadata| {
        CacheKey::new(&KeyParts {
            namespace: Some("team"),
            ..parts(metadata, "{}")
        })
    };
    assert_eq!(shared(&none), shared(&some));
}

#[test]
fn only_calls_without_a_memory_are_cacheable() {
    let yes = [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/rerank",
    ];
    for path in yes {
        assert!(is_cacheable("POST", path, false), "{path}");
        assert!(!is_cacheable("POST", path, true), "{path}");
        assert!(!is_cacheable("GET", path, false), "{path}");
    }
    let no = [
        "/v1/threads/thread_1/runs/run_1",
        "/v1/threads",
        "/v1/threads/runs",
        "/v1/assistants",
        "/v1/files",
        "/v1/vector_stores",
        "/v1/vector_stores/vs_1/search",
        "/v1/uploads",
        "/v1/batches",
        "/v1/responses",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/chat/completions/",
        "/v1/chat/completions/chatcmpl_1",
        "/v2/chat/completions",
        "/v1",
        "",
    ];
    for path in no {
        assert!(!is_cacheable("POST", path, false), "{path}");
    }
}

proptest! {
    /// Whatever is put and asked for, the bound holds and what is found is what was put last.
    #[test]
    fn it_never_holds_more_than_it_may(
        steps in prop::collection::vec((0_u8..40, prop::option::of(0_usize..2_000), 0_i64..30_000), 1..200),
    ) {
        let cache = Cache::new(20_000);
        let mut model: HashMap<u8, (usize, i64)> = HashMap::new();
        let mut now = START;
        for (name, put, wait) in steps {
            now += wait;
            let key = key(&name.to_string());
            if let Some(size) = put {
                cache.put(key, answer(size), MINUTE, now);
                model.insert(name, (size, now + 60_000));
            } else if let Some(found) = cache.get(&key, now) {
                let (size, expires) = model[&name];
                prop_assert_eq!(found.body.len(), size);
                prop_assert!(now < expires);
            }
            prop_assert!(bytes(&cache) <= 20_000);
        }
    }
}
