//! `/v1/feedback`.

use serde_json::{Value, json};

use super::{MANAGER_A, MANAGER_B, invalid, ok, post, put, refused, start};

const PATH: &str = "/v1/feedback";

fn first_id(answer: &Value) -> String {
    assert_eq!(answer["status"], "success", "{answer}");
    answer["feedback_ids"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn feedback_is_given_alone_or_in_lists_and_changed() {
    let app = start().await;
    let one = json!({"trace_id": "t", "value": 5, "weight": 0.5, "metadata": {"a": "b"}});
    let id = first_id(&ok(&post(&app, MANAGER_A, PATH, &one).await));
    // Another spelling, in a list.
    let many = json!([{"traceID": "t", "value": -10}, {"trace_id": "u", "value": 10}]);
    let many = ok(&post(&app, MANAGER_A, PATH, &many).await);
    assert_eq!(many["feedback_ids"].as_array().unwrap().len(), 2);
    // What the Node SDK makes of a list.
    let many = json!({"0": {"trace_id": "t", "value": 1}, "1": {"trace_id": "t", "value": 2}});
    let many = ok(&post(&app, MANAGER_A, PATH, &many).await);
    assert_eq!(many["feedback_ids"].as_array().unwrap().len(), 2);
    let path = format!("{PATH}/{id}");
    let change = json!({"feedbackID": id, "value": 1, "weight": 1});
    assert_eq!(
        first_id(&ok(&put(&app, MANAGER_A, &path, &change).await)),
        id
    );

    let change = json!({"feedback_id": "fb_other", "value": 1});
    invalid(
        &put(&app, MANAGER_A, &path, &change).await,
        "feedback_id",
        "the path",
    );

    let other = put(&app, MANAGER_B, &path, &json!({"value": 1})).await;
    refused(&other, 404, "AB08");
    let none = put(
        &app,
        MANAGER_A,
        &format!("{PATH}/fb_none"),
        &json!({"value": 1}),
    )
    .await;
    refused(&none, 404, "AB08");
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_of_a_list_is_kept() {
    let app = start().await;
    for (body, param, words) in [
        (json!({"value": 1}), "trace_id", "Missing"),
        (json!({"trace_id": "t"}), "value", "Missing"),
        (
            json!({"trace_id": "t", "value": 11}),
            "value",
            "from -10 to 10",
        ),
        (
            json!({"trace_id": "t", "value": 1.5}),
            "value",
            "a whole number",
        ),
        (
            json!({"trace_id": "t", "value": 1, "weight": 1.1}),
            "weight",
            "from 0 to 1",
        ),
        (
            json!({"trace_id": "t", "value": 1, "wieght": 1}),
            "wieght",
            "'weight'",
        ),
        (
            json!({"trace_id": "t", "value": 1, "metadata": {"a": []}}),
            "metadata",
            "texts",
        ),
        (
            json!([{"trace_id": "t", "value": 1}, {"trace_id": "t"}]),
            "[1].value",
            "Missing",
        ),
        (
            json!([{"trace_id": "t", "value": 1}, 5]),
            "[1]",
            "an object",
        ),
    ] {
        invalid(&post(&app, MANAGER_A, PATH, &body).await, param, words);
    }
    refused(&post(&app, MANAGER_A, PATH, &json!([])).await, 400, "AB01");
    let span = "time_of_generation_min=2020-01-01&time_of_generation_max=2999-01-01";
    let graph = super::get(
        &app,
        MANAGER_A,
        &format!("/v1/analytics/graphs/feedbacks?{span}"),
    )
    .await;
    assert_eq!(ok(&graph)["summary"]["total"], 0);
    app.stop().await;
}
