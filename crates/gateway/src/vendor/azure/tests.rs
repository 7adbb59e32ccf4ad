use super::*;

/// The place as an address below the account's base.
fn url(azure: &Azure, path: &str, query: Option<&str>, model: Option<&str>) -> String {
    let (path, query) = azure.place(path, query, model);
    let base = azure.base.as_str().trim_end_matches('/');
    let query = query.map(|query| format!("?{query}"));
    format!("{base}/{path}{}", query.unwrap_or_default())
}

fn account(deployment: Option<&str>, api_version: Option<&str>) -> Azure {
    Azure {
        base: Url::parse("https://mine.openai.azure.com/openai").unwrap(),
        deployment: deployment.map(str::to_owned),
        api_version: api_version.map(str::to_owned),
    }
}

#[test]
fn model_calls_go_below_the_deployment_and_the_rest_beside_it() {
    let azure = account(Some("gpt"), Some("2024-05-01-preview"));
    for (path, expected) in [
        (
            "chat/completions",
            "/openai/deployments/gpt/chat/completions",
        ),
        ("completions", "/openai/deployments/gpt/completions"),
        ("embeddings", "/openai/deployments/gpt/embeddings"),
        (
            "images/generations",
            "/openai/deployments/gpt/images/generations",
        ),
        ("audio/speech", "/openai/deployments/gpt/audio/speech"),
        (
            "chat/completions/chatcmpl-1",
            "/openai/chat/completions/chatcmpl-1",
        ),
        ("threads", "/openai/threads"),
        ("threads/thread_1/runs", "/openai/threads/thread_1/runs"),
        ("files/file-1/content", "/openai/files/file-1/content"),
    ] {
        assert_eq!(
            url(&azure, path, None, None),
            format!("https://mine.openai.azure.com{expected}?api-version=2024-05-01-preview"),
        );
    }
}

#[test]
fn the_v1_form_has_neither_deployment_nor_version() {
    let azure = account(Some("gpt"), Some("v1"));
    let base = "https://mine.openai.azure.com/openai/v1";
    let chat = url(&azure, "chat/completions", None, Some("gpt"));
    assert_eq!(chat, format!("{base}/chat/completions"));
    let list = url(&azure, "threads", Some("limit=2"), None);
    assert_eq!(list, format!("{base}/threads?limit=2"));
    let given = Azure {
        base: Url::parse("https://proxy.example/azure/openai/v1/").unwrap(),
        deployment: None,
        api_version: None,
    };
    assert_eq!(
        url(&given, "embeddings", None, None),
        "https://proxy.example/azure/openai/v1/embeddings"
    );
}

#[test]
fn the_callers_query_stays_and_may_set_the_version() {
    let azure = account(None, None);
    let query = |query| azure.place("threads", Some(query), None).1;
    for (given, expected) in [
        (
            "limit=2&after=a%26b",
            "limit=2&after=a%26b&api-version=2024-10-21",
        ),
        ("x=[1]&&y", "x=[1]&&y&api-version=2024-10-21"),
        ("api-version=preview", "api-version=preview"),
        ("", "api-version=2024-10-21"),
    ] {
        assert_eq!(query(given).as_deref(), Some(expected));
    }
}

#[test]
fn paths_stay_byte_for_byte() {
    let azure = account(Some("gpt"), Some("v1"));
    for path in ["files/a%20b%2Fc", "threads/", "a//b;c=d/'(e)'", "%C3%A9"] {
        let dated = account(Some("gpt"), None);
        assert_eq!(dated.place(path, None, None).0, path);
        assert_eq!(azure.place(path, None, None).0, format!("v1/{path}"));
    }
}

#[test]
fn the_model_is_the_deployment_where_none_is_named() {
    let path = |model| account(None, None).place("chat/completions", None, model).0;
    assert_eq!(path(Some("gpt-4o")), "deployments/gpt-4o/chat/completions");
    assert_eq!(
        path(Some("../../x?y#z%2F")),
        "deployments/..%2F..%2Fx%3Fy%23z%252F/chat/completions"
    );
    for none in [None, Some(".."), Some("."), Some("")] {
        assert_eq!(path(none), "chat/completions", "{none:?}");
    }
}

#[test]
fn credentials_have_their_own_headers() {
    assert_eq!(Credential::ApiKey.header(), ("api-key", ""));
    assert_eq!(Credential::AdToken.header(), ("authorization", "Bearer "));
}
