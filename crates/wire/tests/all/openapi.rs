//! The API document: complete, closed, and without loose ends.

use std::collections::BTreeSet;

use loomgate_wire::openapi::document;
use serde_json::Value;

fn visit(value: &Value, seen: &mut impl FnMut(&Value)) {
    seen(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        Value::Object(map) => map.values().for_each(|item| visit(item, seen)),
        _ => {}
    }
}

#[test]
fn every_operation_of_the_release_is_there() {
    let document = document();
    let mut ids = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            ids.push(operation["operationId"].as_str().unwrap());
        }
    }
    ids.sort_unstable();
    let expected = "addUploadPart cancelRun cancelUpload cancelVectorStoreFileBatch \
        completeUpload createAssistant createFile createMessage createRun createThread \
        createThreadAndRun createUpload createVectorStore createVectorStoreFile \
        createVectorStoreFileBatch deleteAssistant deleteFile deleteMessage deleteThread \
        deleteVectorStore deleteVectorStoreFile downloadFile getAssistant getMessage getRun \
        getRunStep getThread getVectorStore getVectorStoreFile getVectorStoreFileBatch health \
        listAssistants listFiles listFilesInVectorStoreBatch listMessages listModels \
        listRunSteps listRuns listVectorStoreFiles listVectorStores metrics modifyAssistant \
        modifyMessage modifyRun modifyThread modifyVectorStore openapi ready retrieveFile \
        retrieveModel retrieveVectorStoreFileContent searchVectorStore streamRun \
        submitToolOuputsToRun updateVectorStoreFileAttributes";
    assert_eq!(ids, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    visit(&document, &mut |value| {
        if let Some(Value::String(target)) = value.get("$ref") {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
            used.insert(target.clone());
        }
    });
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            used.contains(&format!("#/components/schemas/{name}")),
            "{name}"
        );
    }
}

#[test]
fn every_object_is_closed_or_open_on_purpose() {
    visit(&document(), &mut |value| {
        if value.get("properties").is_some_and(Value::is_object) && value.get("type").is_some() {
            assert_eq!(value["additionalProperties"], false, "{value}");
        }
    });
}

#[test]
fn limits_defaults_and_streams_are_told() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let create = &schemas["CreateAssistantRequest"];
    assert_eq!(create["required"], serde_json::json!(["model"]));
    assert_eq!(create["properties"]["name"]["maxLength"], 256);
    assert_eq!(create["properties"]["tools"]["maxItems"], 128);
    assert_eq!(create["properties"]["temperature"]["default"], 1);
    let run = &document["paths"]["/v1/threads/{thread_id}/runs"]["post"];
    let answers = run["responses"]["200"]["content"].as_object().unwrap();
    let kinds: Vec<&String> = answers.keys().collect();
    assert_eq!(kinds, ["application/json", "text/event-stream"]);
    let thread = &document["paths"]["/v1/threads"]["post"];
    assert_eq!(thread["requestBody"]["required"], false);
    let modify = &schemas["ModifyAssistantRequest"];
    let stores = modify.pointer("/properties/tool_resources/anyOf/0/$ref");
    assert_eq!(stores.unwrap(), "#/components/schemas/ToolResourcesRequest");
    assert!(
        !schemas["ToolResourcesRequest"]
            .to_string()
            .contains("vector_stores")
    );
}

#[test]
fn the_text_is_the_document() {
    let text: Value = serde_json::from_slice(&loomgate_wire::openapi::json()).unwrap();
    assert_eq!(text, document());
}
