//! Vector stores: what is taken, what is refused and how, and what clients get.

use loomgate_domain::{
    FileBatchId, FileId, Limits, Patch, Timestamp, VectorStoreId,
    vector_store::{
        AttributeValue, Attributes, Chunking, FileBatch, FileCounts, IndexingError,
        IndexingErrorCode, IndexingStatus, VectorStore, VectorStoreFile,
    },
};
use loomgate_wire::{
    Problem, Request,
    object::{self, OnePage, SearchResult, TextPart, list, vector_store},
    request::{
        CreateFileBatch, CreateVectorStore, CreateVectorStoreFile, ModifyVectorStore,
        ModifyVectorStoreFile, Ranker, SearchVectorStore, list_query,
    },
    shape::{Shape, validate},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{problem, read};

const NOW: Timestamp = Timestamp(1_758_064_068);

fn store() -> VectorStore {
    VectorStore::new(VectorStoreId::trusted("vs_1"), NOW)
}

fn file() -> VectorStoreFile {
    VectorStoreFile {
        file_id: FileId::trusted("file-1"),
        vector_store_id: VectorStoreId::trusted("vs_1"),
        created_at: NOW,
        status: IndexingStatus::InProgress,
        last_error: None,
        chunking: Chunking::default(),
        attributes: Attributes::default(),
        usage_bytes: 0,
    }
}

/// The object as JSON, having checked that its shape describes it.
fn shown(object: &impl Serialize, shape: &Shape) -> String {
    let text = serde_json::to_string(object).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    validate(shape, &value, &Limits::default()).unwrap();
    text
}

fn told<T: Request>(body: &Value, message: &str, param: &str, code: &'static str) {
    let expected = Problem {
        message: message.to_owned(),
        param: Some(param.to_owned()),
        code: Some(code),
    };
    assert_eq!(problem::<T>(body), expected);
}

#[test]
fn objects_as_recorded() {
    let mut record = store();
    let plain = r#"{"id":"vs_1","object":"vector_store","created_at":1758064068,"name":null,"description":null,"usage_bytes":0,"file_counts":{"in_progress":0,"completed":0,"failed":0,"cancelled":0,"total":0},"status":"completed","expires_after":null,"expires_at":null,"last_active_at":1758064068,"metadata":{}}"#;
    let shape = &vector_store::SHAPE;
    assert_eq!(shown(&object::VectorStore::at(&record, NOW), shape), plain);
    record.expires_after_days = Some(3);
    record.file_counts.in_progress = 1;
    let json: Value =
        serde_json::from_str(&shown(&object::VectorStore::at(&record, NOW), shape)).unwrap();
    assert_eq!(
        json["expires_after"],
        json!({"anchor": "last_active_at", "days": 3})
    );
    assert_eq!(json["expires_at"], NOW.0 + 259_200);
    assert_eq!(json["status"], "in_progress");
    assert_eq!(json["file_counts"]["total"], 1);
    let late = object::VectorStore::at(&record, NOW.plus(259_200));
    assert_eq!(late.status, "expired");

    let expected = r#"{"id":"file-1","object":"vector_store.file","usage_bytes":0,"created_at":1758064068,"vector_store_id":"vs_1","status":"in_progress","last_error":null,"chunking_strategy":{"type":"static","static":{"max_chunk_size_tokens":800,"chunk_overlap_tokens":400}},"attributes":{}}"#;
    let shape = &vector_store::FILE;
    assert_eq!(
        shown(&object::VectorStoreFile::from(&file()), shape),
        expected
    );
    let failed = VectorStoreFile {
        status: IndexingStatus::Failed,
        last_error: Some(IndexingError {
            code: IndexingErrorCode::UnsupportedFile,
            message: "no".into(),
        }),
        attributes: Attributes::new([("a".to_owned(), AttributeValue::Boolean(true))]).unwrap(),
        ..file()
    };
    let json = shown(&object::VectorStoreFile::from(&failed), shape);
    assert!(json.contains(r#""last_error":{"code":"unsupported_file","message":"no"}"#));
    assert!(json.contains(r#""attributes":{"a":true}"#));

    let batch = FileBatch {
        id: FileBatchId::trusted("vsfb_1"),
        vector_store_id: VectorStoreId::trusted("vs_1"),
        created_at: NOW,
        is_cancelled: false,
        file_counts: FileCounts {
            in_progress: 5,
            ..FileCounts::default()
        },
    };
    let expected = r#"{"id":"vsfb_1","object":"vector_store.file_batch","created_at":1758064068,"status":"in_progress","vector_store_id":"vs_1","file_counts":{"in_progress":5,"completed":0,"failed":0,"cancelled":0,"total":5}}"#;
    assert_eq!(
        shown(&object::FileBatch::from(&batch), &vector_store::BATCH),
        expected
    );
}

#[test]
fn pages_as_the_contract_has_them() {
    let content = OnePage::content("words");
    let expected = r#"{"object":"vector_store.file_content.page","data":[{"type":"text","text":"words"}],"has_more":false,"next_page":null}"#;
    assert_eq!(shown(&content, &vector_store::CONTENT), expected);
    assert!(shown(&OnePage::content(""), &vector_store::CONTENT).contains(r#""data":[]"#));
    let (queries, file, attributes) = (
        ["q".to_owned()],
        FileId::trusted("file-1"),
        Attributes::default(),
    );
    let result = SearchResult {
        file_id: &file,
        filename: "a.txt",
        score: 0.5,
        attributes: &attributes,
        content: [TextPart::new("words")],
    };
    let results = OnePage::results(&queries, vec![result]);
    let expected = r#"{"object":"vector_store.search_results.page","search_query":["q"],"data":[{"file_id":"file-1","filename":"a.txt","score":0.5,"attributes":{},"content":[{"type":"text","text":"words"}]}],"has_more":false,"next_page":null}"#;
    assert_eq!(shown(&results, &vector_store::RESULTS), expected);
    let (store, file) = (store(), self::file());
    let stores = object::List::new(vec![object::VectorStore::at(&store, NOW)], false);
    shown(&stores, &list::VECTOR_STORES);
    let files = object::List::new(vec![object::VectorStoreFile::from(&file)], false);
    let files: Value = serde_json::from_str(&shown(&files, &list::VECTOR_STORE_FILES)).unwrap();
    assert_eq!(files["last_id"], "file-1");
}

#[test]
fn stores_are_read() {
    assert_eq!(
        read::<CreateVectorStore>(&json!({})).unwrap(),
        CreateVectorStore::default()
    );
    let body = json!({
        "file_ids": ["file-1"], "name": "n", "description": null,
        "expires_after": {"anchor": "last_active_at", "days": 365},
        "chunking_strategy": {"type": "static", "static": {
            "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}},
        "metadata": null,
    });
    let read_store: CreateVectorStore = read(&body).unwrap();
    assert_eq!(read_store.expires_after_days, Some(365));
    assert_eq!(read_store.file_ids, [FileId::trusted("file-1")]);
    let sizes = (
        read_store.chunking.max_tokens,
        read_store.chunking.overlap_tokens,
    );
    assert_eq!(sizes, (100, 50));
    let modify: ModifyVectorStore = read(&json!({"expires_after": null, "name": null})).unwrap();
    assert_eq!(
        (modify.expires_after_days, modify.name),
        (Patch::Null, Patch::Null)
    );
    assert_eq!(modify.metadata, Patch::Absent);
}

#[test]
fn files_and_batches_are_read() {
    let body = json!({"file_id": "file-1", "attributes": {"year": 2024, "lang": "de"},
        "chunking_strategy": {"type": "auto"}});
    let file: CreateVectorStoreFile = read(&body).unwrap();
    assert_eq!(file.chunking, Chunking::default());
    let year = AttributeValue::Number(2024.into());
    assert_eq!(file.attributes.get("year"), Some(&year));
    let cleared: ModifyVectorStoreFile = read(&json!({"attributes": null})).unwrap();
    assert_eq!(cleared.attributes, Attributes::default());

    let batch: CreateFileBatch =
        read(&json!({"file_ids": ["file-1", "file-2"], "attributes": {"a": true}})).unwrap();
    assert_eq!(batch.files.len(), 2);
    assert!(
        batch
            .files
            .iter()
            .all(|file| file.attributes.get("a").is_some())
    );
    let batch: CreateFileBatch = read(&json!({
        "files": [{"file_id": "file-1", "attributes": {"b": 1}}, {"file_id": "file-2"}],
        "file_ids": null, "attributes": {"a": true},
    }))
    .unwrap();
    assert!(batch.files[0].attributes.get("a").is_none());
    assert!(batch.files[0].attributes.get("b").is_some());
}

#[test]
fn searches_are_read() {
    let plain: SearchVectorStore = read(&json!({"query": "q"})).unwrap();
    assert_eq!(plain.queries, ["q"]);
    assert_eq!((plain.max_num_results, plain.rewrite_query), (10, false));
    assert_eq!((plain.ranker, plain.filters), (Ranker::Auto, None));
    let full: SearchVectorStore = read(&json!({
        "query": ["a", "b"], "rewrite_query": true, "max_num_results": 50,
        "ranking_options": {"ranker": "none", "score_threshold": 0.25},
        "filters": {"type": "and", "filters": [
            {"type": "gte", "key": "year", "value": 2024},
            {"type": "or", "filters": [{"type": "nin", "key": "lang", "value": ["de", 1]}]},
        ]},
    }))
    .unwrap();
    assert_eq!(full.queries, ["a", "b"]);
    assert_eq!((full.ranker, full.score_threshold), (Ranker::None, 0.25));
    let filters = full.filters.unwrap();
    assert_eq!(
        filters["filters"][1]["filters"][0]["value"],
        json!(["de", 1])
    );
}

#[test]
fn what_is_wrong_with_stores() {
    told::<CreateVectorStore>(
        &json!({"file_ids": ["x"]}),
        "Invalid 'file_ids[0]': 'x'. Expected an ID that begins with 'file'.",
        "file_ids[0]",
        "invalid_value",
    );
    told::<CreateVectorStore>(
        &json!({"file_ids": vec!["file-1"; 501]}),
        "Invalid 'file_ids': array too long. Expected an array with maximum length 500, but got \
         an array with length 501 instead.",
        "file_ids",
        "array_above_max_length",
    );
    told::<CreateVectorStore>(
        &json!({"expires_after": {"days": 3}}),
        "Missing required parameter: 'expires_after.anchor'.",
        "expires_after.anchor",
        "missing_required_parameter",
    );
    told::<ModifyVectorStore>(
        &json!({"expires_after": {"anchor": "last_active_at", "days": 366}}),
        "Invalid 'expires_after.days': integer above maximum value. Expected a value <= 365, but \
         got 366 instead.",
        "expires_after.days",
        "integer_above_max_value",
    );
    told::<ModifyVectorStore>(
        &json!({"file_ids": []}),
        "Unknown parameter: 'file_ids'.",
        "file_ids",
        "unknown_parameter",
    );
    told::<CreateVectorStore>(
        &json!({"chunking_strategy": {"type": "other"}}),
        "Invalid value: 'other'. Supported values are: 'auto' and 'static'.",
        "chunking_strategy.type",
        "invalid_value",
    );
    let sized = |size: u32, overlap: u32| {
        json!({"chunking_strategy": {"type": "static", "static": {
        "max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}})
    };
    told::<CreateVectorStore>(
        &sized(99, 0),
        "Invalid 'chunking_strategy.static.max_chunk_size_tokens': integer below minimum value. \
         Expected a value >= 100, but got 99 instead.",
        "chunking_strategy.static.max_chunk_size_tokens",
        "integer_below_min_value",
    );
    told::<CreateVectorStore>(
        &sized(101, 51),
        "Invalid 'chunking_strategy.static.chunk_overlap_tokens': the overlap must be at most \
         half of 'max_chunk_size_tokens'.",
        "chunking_strategy.static.chunk_overlap_tokens",
        "invalid_value",
    );
}

#[test]
fn what_is_wrong_with_files_and_batches() {
    told::<CreateVectorStoreFile>(
        &json!({}),
        "Missing required parameter: 'file_id'.",
        "file_id",
        "missing_required_parameter",
    );
    told::<CreateVectorStoreFile>(
        &json!({"file_id": "file-1", "attributes": {"a": [1]}}),
        "Invalid type for 'attributes.a': expected one of a string or decimal or boolean, but got \
         an array instead.",
        "attributes.a",
        "invalid_type",
    );
    let long = "x".repeat(513);
    told::<ModifyVectorStoreFile>(
        &json!({"attributes": {"a": long}}),
        "Invalid 'attributes.a': string too long. Expected a string with maximum length 512, but \
         got a string with length 513 instead.",
        "attributes.a",
        "string_above_max_length",
    );
    let many: serde_json::Map<_, _> = (0..17).map(|n| (n.to_string(), json!(n))).collect();
    told::<ModifyVectorStoreFile>(
        &json!({"attributes": many}),
        "Invalid 'attributes': too many properties. Expected an object with at most 16 \
         properties, but got an object with 17 properties instead.",
        "attributes",
        "object_above_max_properties",
    );
    told::<ModifyVectorStoreFile>(
        &json!({}),
        "Missing required parameter: 'attributes'.",
        "attributes",
        "missing_required_parameter",
    );
    told::<CreateFileBatch>(
        &json!({}),
        "Missing required parameter: 'file_ids'.",
        "file_ids",
        "missing_required_parameter",
    );
    told::<CreateFileBatch>(
        &json!({"file_ids": ["file-1"], "files": [{"file_id": "file-1"}]}),
        "Mutually exclusive parameters. Ensure you are only providing one of: 'file_ids' or \
         'files'.",
        "files",
        "mutually_exclusive_parameters",
    );
    told::<CreateFileBatch>(
        &json!({"file_ids": []}),
        "Invalid 'file_ids': empty array. Expected an array with minimum length 1, but got an \
         empty array instead.",
        "file_ids",
        "empty_array",
    );
}

#[test]
fn what_is_wrong_with_searches() {
    told::<SearchVectorStore>(
        &json!({"query": ""}),
        "Invalid 'query': empty string. Expected a string with minimum length 1, but got an empty \
         string instead.",
        "query",
        "empty_string",
    );
    told::<SearchVectorStore>(
        &json!({"query": "q", "max_num_results": 51}),
        "Invalid 'max_num_results': integer above maximum value. Expected a value <= 50, but got \
         51 instead.",
        "max_num_results",
        "integer_above_max_value",
    );
    told::<SearchVectorStore>(
        &json!({"query": "q", "ranking_options": {"ranker": "default_2024_08_21"}}),
        "Invalid value: 'default_2024_08_21'. Supported values are: 'none', 'auto', and \
         'default-2024-11-15'.",
        "ranking_options.ranker",
        "invalid_value",
    );
    told::<SearchVectorStore>(
        &json!({"query": "q", "filters": {"type": "and", "filters": [{"type": "eq", "key": "k"}]}}),
        "Missing required parameter: 'filters.filters[0].value'.",
        "filters.filters[0].value",
        "missing_required_parameter",
    );
    told::<SearchVectorStore>(
        &json!({"query": "q", "filters": {"type": "in", "key": "k", "value": 1}}),
        "Invalid type for 'filters.value': expected an array, but got an integer instead.",
        "filters.value",
        "invalid_type",
    );
}

#[test]
fn lists_are_filtered_by_the_statuses_that_there_are() {
    let query = list_query(Some("filter=failed"), &["filter"]).unwrap();
    assert_eq!(query.filter, Some(IndexingStatus::Failed));
    let other = list_query(Some("filter=nonsense"), &[]).unwrap();
    assert_eq!(other.filter, None);
    let unknown = list_query(Some("filter=nonsense"), &["filter"]).unwrap_err();
    let expected = "Invalid value: 'nonsense'. Supported values are: 'in_progress', 'completed', \
                    'failed', and 'cancelled'.";
    assert_eq!(unknown.message, expected);
    assert_eq!(unknown.param.as_deref(), Some("filter"));
}
