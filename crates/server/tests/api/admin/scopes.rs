//! Every route of the admin API asks for its scope, and for no other (T2).

use loomgate_domain::Scope;
use loomgate_server::http::{self, access::Access};
use reqwest::Method;
use serde_json::{Value, json};

use super::{all_but_admin, call, ok, post, refused, start};
use crate::app::{KEY_A, TestApp};

/// A key of workspace `a` with these scopes.
async fn key_with(app: &TestApp, scopes: &[&str]) -> String {
    let body = json!({"name": "scoped", "scopes": scopes});
    let made = ok(&post(app, KEY_A, "/v1/api-keys/workspace/service", &body).await);
    made["key"].as_str().unwrap().to_owned()
}

/// The routes of the admin API: those with a scope of their own.
fn routes() -> Vec<(Method, String, Scope)> {
    let routes = http::admin::routes();
    let mut found: Vec<_> = routes
        .declared()
        .filter_map(|(path, method, access)| match access {
            Access::Scope(scope) => Some((method.clone(), filled(path), scope)),
            Access::Public | Access::DataPlane => {
                assert_eq!(path, "/v1/logs/exports/{id}/file", "needs a scope");
                None
            }
        })
        .collect();
    found.sort_by_key(|(method, path, _)| (path.clone(), method.to_string()));
    found
}

fn filled(path: &str) -> String {
    path.replace("/{id}/{sub_type}", "/workspace/service")
        .replace("{*graph}", "requests")
        .replace("{*group}", "users")
        .replace("{slug}", "nothing")
        .replace("{id}", "nothing")
}

#[tokio::test]
async fn a_key_that_lacks_exactly_the_scope_is_refused() {
    let app = start().await;
    let routes = routes();
    assert!(routes.len() > 35, "{}", routes.len());
    for scope in Scope::ALL.iter().filter(|scope| **scope != Scope::Admin) {
        let others = all_but_admin().into_iter();
        let others: Vec<_> = others.filter(|other| *other != scope.as_str()).collect();
        let without = key_with(&app, &others).await;
        let only = key_with(&app, &[scope.as_str()]).await;
        for (method, path, needed) in routes.iter().filter(|(_, _, needed)| needed == scope) {
            let answer = call(&app, &without, (method.clone(), path), &Value::Null).await;
            let error = refused(&answer, 403, "AB03");
            assert!(
                error.message.contains(needed.as_str()),
                "{method} {path}: {error:?}"
            );
            // With it, what is wrong is something else, if anything.
            let answer = call(&app, &only, (method.clone(), path), &Value::Null).await;
            assert!(
                matches!(answer.status, 200 | 400 | 404),
                "{method} {path}: {} {}",
                answer.status,
                answer.text
            );
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn every_route_needs_a_key() {
    let app = start().await;
    for (method, path, _) in routes() {
        let answer = crate::app::Answer::of(app.bare(method.clone(), &path)).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_the_usual_form() {
    let app = start().await;
    for path in [
        "/v1/virtual-keys/%E9",
        "/v1/providers/%E9",
        "/v1/configs/%E9",
        "/v1/configs/%E9/versions",
        "/v1/api-keys/%E9",
        "/v1/logs/%E9",
        "/v1/logs/exports/%E9",
        "/v1/analytics/graphs/%E9",
    ] {
        let answer = call(&app, KEY_A, (Method::GET, path), &Value::Null).await;
        refused(&answer, 400, "AB01");
    }
    app.stop().await;
}
