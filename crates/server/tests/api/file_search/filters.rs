//! Filters of `POST /vector_stores/{id}/search`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{INDEXING, done, of_store};
use crate::{admin::ok, app::TestApp, files::upload, process::text};

#[tokio::test]
async fn numbers_are_compared() {
    let app = TestApp::start_with(INDEXING).await;
    let store = ok(&app.post("/v1/vector_stores", &json!({})).await);
    for year in [2020, 2021, 2022] {
        let words = b"The yearly report.";
        let file = upload(&app, &format!("{year}.txt"), "assistants", words).await;
        let body = json!({"file_id": file["id"], "attributes": {"year": year}});
        ok(&app.post(&of_store(&store, "files"), &body).await);
        assert_eq!(done(&app, &store, &file["id"]).await["status"], "completed");
    }
    let by = |kind: &str, year: u32| json!({"type": kind, "key": "year", "value": year});
    for (filters, expected) in [
        (by("gt", 2020), &["2021.txt", "2022.txt"][..]),
        (by("gt", 2022), &[]),
        (by("gte", 2022), &["2022.txt"]),
        (by("lt", 2021), &["2020.txt"]),
        (by("lte", 2021), &["2020.txt", "2021.txt"]),
        (
            json!({"type": "and", "filters": [by("gt", 2020), by("lte", 2021)]}),
            &["2021.txt"],
        ),
    ] {
        let body = json!({"query": "report", "filters": filters});
        let page = ok(&app.post(&of_store(&store, "search"), &body).await);
        let names = page["data"].as_array().unwrap().iter();
        let names: BTreeSet<_> = names.map(|it: &Value| text(it, "filename")).collect();
        let expected = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names, expected, "{filters}");
    }
    app.stop().await;
}
