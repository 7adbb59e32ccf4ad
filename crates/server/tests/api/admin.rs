//! The admin API: its tree is that of the URLs.

mod analytics;
mod api_keys;
mod configs;
mod exports;
mod feedback;
mod idempotency;
mod logs;
mod providers;
mod races;
mod scopes;
mod tenants;
mod virtual_keys;

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Error, TestApp};

/// Workspace `a`: all scopes but `admin`.
pub(crate) const MANAGER_A: &str = "lg-test-manager-a-0123456789abcdefgh";
/// Workspace `b`: the same.
pub(crate) const MANAGER_B: &str = "lg-test-manager-b-0123456789abcdefgh";
/// A provider's key that no answer may hold.
pub(crate) const CANARY: &str = "sk-canary-provider-0123456789wxyz";

/// All scopes but `admin`.
pub(crate) fn all_but_admin() -> Vec<&'static str> {
    let scopes = loomgate_domain::Scope::ALL.iter();
    scopes
        .map(|scope| scope.as_str())
        .filter(|scope| *scope != "admin")
        .collect()
}

/// A server whose configuration has a manager of either workspace, and a saved config.
pub(crate) async fn start() -> TestApp {
    let scopes = serde_json::to_string(&all_but_admin()).unwrap();
    let manager = |name: &str, key: &str, workspace: &str| {
        format!(
            "[[api_keys]]\nname = '{name}'\nkey = '{key}'\nworkspace = '{workspace}'\n\
             default_virtual_key = 'echo'\nscopes = {scopes}\n"
        )
    };
    let options = [
        manager("manager-a", MANAGER_A, "a"),
        manager("manager-b", MANAGER_B, "b"),
        // What the tests insert is all that there is to see.
        "[logs]\nrecord = 'off'\n".to_owned(),
        "[configs.fixed]\njson = '{\"virtual_key\":\"echo\"}'\n".to_owned(),
    ];
    TestApp::start_with(&options.concat()).await
}

/// A call with a key and a body.
pub(crate) async fn call(
    app: &TestApp,
    key: &str,
    (method, path): (Method, &str),
    body: &Value,
) -> Answer {
    let request = app.bare(method, path).header("x-portkey-api-key", key);
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    Answer::of(request).await
}

pub(crate) async fn get(app: &TestApp, key: &str, path: &str) -> Answer {
    call(app, key, (Method::GET, path), &Value::Null).await
}

pub(crate) async fn post(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    call(app, key, (Method::POST, path), body).await
}

pub(crate) async fn put(app: &TestApp, key: &str, path: &str, body: &Value) -> Answer {
    call(app, key, (Method::PUT, path), body).await
}

pub(crate) async fn delete(app: &TestApp, key: &str, path: &str) -> Answer {
    call(app, key, (Method::DELETE, path), &Value::Null).await
}

/// An answer that has to be a success.
#[track_caller]
pub(crate) fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// An error that has to have both forms, with this code of Portkey's.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) -> Error {
    let body = answer.json();
    assert_eq!(body["success"], json!(false), "{}", answer.text);
    assert_eq!(body["data"]["errorCode"], code, "{}", answer.text);
    let error = answer.error(status);
    let documented = "You do not have enough permissions to execute this request";
    let expected = if status == 403 {
        documented
    } else {
        &error.message
    };
    assert_eq!(body["data"]["message"], expected, "{}", answer.text);
    error
}

/// A 400 about a field, in these words.
#[track_caller]
pub(crate) fn invalid(answer: &Answer, param: &str, words: &str) {
    let error = refused(answer, 400, "AB01");
    assert_eq!(error.param.as_deref(), Some(param), "{error:?}");
    assert!(error.message.contains(words), "{words}: {error:?}");
}

/// The ids of a list, in order.
#[track_caller]
pub(crate) fn ids(answer: &Answer, name: &str) -> Vec<String> {
    let body = ok(answer);
    assert_eq!(body["object"], "list", "{body}");
    let data = body["data"].as_array().unwrap().iter();
    data.map(|object| object[name].as_str().unwrap().to_owned())
        .collect()
}
