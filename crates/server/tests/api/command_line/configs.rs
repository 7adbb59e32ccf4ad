//! `loomgate configs`, and `loomgate keys rotate`.

use crate::program::{fail, run};

#[tokio::test]
async fn a_config_is_saved_in_versions_shown_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("routing.json");
    let save = ["configs", "save", "pc-main", "--file", "routing.json"];

    std::fs::write(&file, r#"{"virtual_key":"echo"}"#).unwrap();
    let first = run(folder, &save).await;
    assert!(
        first.starts_with("config: pc-main (workspace default)\nversion: cv_"),
        "{first}"
    );
    std::fs::write(&file, r#"{"virtual_key":"echo","retry":{"attempts":2}}"#).unwrap();
    let second = run(folder, &save).await;
    assert_ne!(first, second);
    let listed = run(folder, &["configs", "list"]).await;
    assert_eq!(
        listed.matches("pc-main").count(),
        2,
        "slug and name: {listed}"
    );
    let shown = run(folder, &["configs", "show", "pc-main"]).await;
    assert!(shown.contains("\"attempts\": 2"), "{shown}");

    // Others do not see it, and what makes no sense is not kept.
    fail(
        folder,
        &["configs", "show", "pc-main", "--workspace", "other"],
    )
    .await;
    for (text, told) in [
        ("{", "no JSON"),
        (
            r#"{"strategy":{"mode":"fall"},"targets":[]}"#,
            "Invalid 'config'",
        ),
        (
            r#"{"provider":"openai","api_key":"sk-made-up"}"#,
            "looks like a credential",
        ),
        (
            r#"{"strategy":{"mode":"single"},"targets":[{"virtual_key":"nowhere"}]}"#,
            "config.targets[0] names the virtual key `nowhere`, which is not there",
        ),
        (
            r#"{"provider":"opnai","custom_host":"https://a.example/v1"}"#,
            "unknown provider 'opnai'",
        ),
        (
            r#"{"provider":"vllm","regoin":"x"}"#,
            "path: regoin, message: Unknown key",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, error) = fail(folder, &save).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(told), "{error}");
    }
    let odd = [&save[..], &["--workspace", "../x"]].concat();
    let (code, error) = fail(folder, &odd).await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--workspace: a name has"), "{error}");
    // A name that looks like an id stays the name that it is.
    std::fs::write(&file, r#"{"virtual_key":"echo"}"#).unwrap();
    let elsewhere = [&save[..], &["--workspace", "ws_a"]].concat();
    run(folder, &elsewhere).await;
    let listed = run(folder, &["configs", "list"]).await;
    assert!(listed.contains("  ws_a  "), "{listed}");
    let deleted = run(folder, &["configs", "delete", "pc-main"]).await;
    assert_eq!(deleted, "pc-main (workspace default) is deleted.\n");
    fail(folder, &["configs", "delete", "pc-main"]).await;
}

#[tokio::test]
async fn a_rotated_key_has_a_new_secret() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = run(folder, &["keys", "create", "--name", "app"]).await;
    let rotated = run(folder, &["keys", "rotate", "app", "--transition", "5"]).await;
    let secret = |text: &str| text.lines().next().unwrap().to_owned();
    assert!(rotated.starts_with("api key: lg-"), "{rotated}");
    assert_ne!(secret(&made), secret(&rotated));
    assert!(rotated.contains("goes on for 5 minutes"), "{rotated}");
    run(folder, &["keys", "revoke", "app"]).await;
    fail(folder, &["keys", "rotate", "app"]).await;
}
