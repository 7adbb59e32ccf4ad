use super::*;

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
        ("/completions", "/openai/deployments/gpt/completions"),
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
            azure.url(path, None, None).as_str(),
            format!("https://mine.openai.azure.com{expected}?api-version=2024-05-01-preview"),
        );
    }
}

#[test]
fn the_v1_form_has_neither_deployment_nor_version() {
    let azure = account(Some("gpt"), Some("v1"));
    let base = "https://mine.openai.azure.com/openai/v1";
    let chat = azure.url("chat/completions", None, Some("gpt"));
    assert_eq!(chat.as_str(), format!("{base}/chat/completions"));
    let list = azure.url("threads", Some("limit=2"), None);
    assert_eq!(list.as_str(), format!("{base}/threads?limit=2"));
    let given = Azure {
        base: Url::parse("https://proxy.example/azure/openai/v1/").unwrap(),
        deployment: None,
        api_version: None,
    };
    assert_eq!(
        given.url("embeddings", None, None).as_str(),
        "https://proxy.example/azure/openai/v1/embeddings"
    );
}

#[test]
fn the_callers_query_stays_and_may_set_the_version() {
    let azure = account(None, None);
    assert_eq!(
        azure
            .url("threads", Some("limit=2&after=a%26b"), None)
            .query(),
        Some("limit=2&after=a%26b&api-version=2024-10-21")
    );
    assert_eq!(
        azure
            .url("threads", Some("api-version=preview"), None)
            .query(),
        Some("api-version=preview")
    );
    assert_eq!(
        azure.url("threads", Some(""), None).query(),
        Some("api-version=2024-10-21")
    );
}

#[test]
fn the_model_is_the_deployment_where_none_is_named() {
    let path = |model| {
        account(None, None)
            .url("chat/completions", None, model)
            .path()
            .to_owned()
    };
    assert_eq!(
        path(Some("gpt-4o")),
        "/openai/deployments/gpt-4o/chat/completions"
    );
    assert_eq!(
        path(Some("../../x?y#z")),
        "/openai/deployments/..%2F..%2Fx%3Fy%23z/chat/completions"
    );
    assert_eq!(path(None), "/openai/chat/completions");
}

#[test]
fn nothing_climbs_out_of_the_base() {
    let azure = account(Some(".."), None);
    for path in [
        "../admin",
        "threads/../../admin",
        "threads/./x",
        "%2e%2e/admin",
    ] {
        let url = azure.url(path, None, None);
        assert_eq!(url.host_str(), Some("mine.openai.azure.com"));
        assert!(url.path().starts_with("/openai/"), "{path}: {url}");
        assert!(!url.path().contains(".."), "{path}: {url}");
    }
    let chat = azure.url("chat/completions", None, None);
    assert_eq!(chat.path(), "/openai/deployments/chat/completions");
}

#[test]
fn credentials_have_their_own_headers() {
    assert_eq!(Credential::ApiKey.header(), ("api-key", ""));
    assert_eq!(Credential::AdToken.header(), ("authorization", "Bearer "));
}
