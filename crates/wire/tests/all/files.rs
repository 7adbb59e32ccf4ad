//! Files and uploads: their objects as recorded, forms, and the query of the list.

use loomgate_domain::{
    File, FileId, Limits, Order, PartId, Timestamp, Upload, UploadId, UploadPart,
    file::{FileStatus, Purpose},
    upload::UploadStatus,
};
use loomgate_wire::{
    object::{self, Deleted, deleted, file, upload},
    request::{self, CompleteUpload, CreateUpload, FileForm, file_list_query},
    shape::{Shape, validate},
};
use serde::Serialize;
use serde_json::json;

fn shaped(object: &impl Serialize, shape: &Shape) -> String {
    let text = serde_json::to_string(object).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    validate(shape, &value, &Limits::default()).unwrap();
    text
}

fn record() -> File {
    File {
        id: FileId::trusted("file-1"),
        created_at: Timestamp(1_780_006_005),
        filename: "images_dog_and_cat.png".into(),
        purpose: Purpose::Vision,
        bytes: 3_162_696,
        expires_at: None,
        status: FileStatus::Processed,
    }
}

#[test]
fn a_file_as_recorded() {
    let expected = r#"{"object":"file","id":"file-1","purpose":"vision","filename":"images_dog_and_cat.png","bytes":3162696,"created_at":1780006005,"expires_at":null,"status":"processed","status_details":null}"#;
    let record = record();
    assert_eq!(shaped(&object::File::from(&record), &file::SHAPE), expected);
    let gone = shaped(&Deleted::file(&record.id), &deleted::FILE);
    assert_eq!(gone, r#"{"id":"file-1","object":"file","deleted":true}"#);
    for purpose in Purpose::ALL {
        let file = File {
            purpose: *purpose,
            expires_at: Some(Timestamp(7)),
            ..self::record()
        };
        shaped(&object::File::from(&file), &file::SHAPE);
    }
}

#[test]
fn an_upload_shows_its_file_once_it_is_one() {
    let mut record = Upload {
        id: UploadId::trusted("upload_1"),
        created_at: Timestamp(1_758_145_013),
        expires_at: Timestamp(1_758_148_613),
        filename: "uploads_test_file.jsonl".into(),
        purpose: Purpose::FineTune,
        mime_type: "text/jsonl".into(),
        bytes: 8,
        file_expires_after_s: None,
        status: UploadStatus::Pending,
        file_id: None,
    };
    let pending = shaped(&object::Upload::new(&record, None), &upload::SHAPE);
    let expected = r#"{"id":"upload_1","object":"upload","bytes":8,"created_at":1758145013,"filename":"uploads_test_file.jsonl","purpose":"fine-tune","status":"pending","expires_at":1758148613}"#;
    assert_eq!(pending, expected);
    record.status = UploadStatus::Completed;
    let file = self::record();
    let completed = shaped(&object::Upload::new(&record, Some(&file)), &upload::SHAPE);
    assert!(completed.contains(r#""status":"completed""#), "{completed}");
    assert!(
        completed.contains(r#""file":{"object":"file","id":"file-1""#),
        "{completed}"
    );
    let gone = shaped(&object::Upload::new(&record, None), &upload::SHAPE);
    assert!(gone.ends_with(r#""file":null}"#), "{gone}");
    let part = UploadPart {
        id: PartId::trusted("part_1"),
        upload_id: record.id.clone(),
        created_at: Timestamp(9),
    };
    let part = shaped(&object::UploadPart::from(&part), &upload::PART);
    let expected =
        r#"{"id":"part_1","object":"upload.part","created_at":9,"upload_id":"upload_1"}"#;
    assert_eq!(part, expected);
}

#[test]
fn a_form_takes_its_fields_in_any_order_and_each_once() {
    let mut form = FileForm::default();
    form.put("expires_after[seconds]", "3600".into()).unwrap();
    form.put("purpose", "vision".into()).unwrap();
    form.file().unwrap();
    form.put("expires_after[anchor]", "created_at".into())
        .unwrap();
    let asked = form.end().unwrap();
    assert_eq!(
        (asked.purpose, asked.expires_after_s),
        (Purpose::Vision, Some(3600))
    );
    let mut form = FileForm::default();
    form.file().unwrap();
    assert_eq!(
        form.file().unwrap_err().message,
        "'file' was sent more than once"
    );
    assert_eq!(
        form.end().unwrap_err().message,
        "'purpose' is a required property"
    );
    let none = FileForm::default().end().unwrap_err();
    assert_eq!(none.message, "'file' is a required property");
}

#[test]
fn the_list_of_files_has_long_pages_and_no_before() {
    let all = file_list_query(None).unwrap();
    assert_eq!((all.limit, all.order), (10_000, Order::Desc));
    let some = "limit=3&order=asc&after=file-1&before=file-2&purpose=vision&other=1";
    let some = file_list_query(Some(some)).unwrap();
    assert_eq!((some.limit, some.order), (3, Order::Asc));
    assert_eq!(some.after.as_deref(), Some("file-1"));
    assert_eq!(
        (some.before, some.purpose.as_deref()),
        (None, Some("vision"))
    );
    let problem = file_list_query(Some("limit=10001")).unwrap_err();
    assert!(
        problem.message.contains("Expected a value <= 10000"),
        "{problem}"
    );
}

#[test]
fn bodies_of_uploads_are_read() {
    let limits = Limits {
        upload_total_bytes: 100,
        ..Limits::default()
    };
    let body = json!({"filename": "a", "purpose": "batch", "bytes": 100, "mime_type": "text/plain",
        "expires_after": {"anchor": "created_at", "seconds": 7200}});
    let read: CreateUpload = request::parse(body.to_string().as_bytes(), &limits).unwrap();
    assert_eq!(
        (read.bytes, read.purpose, read.expires_after_s),
        (100, Purpose::Batch, Some(7200))
    );
    let large = body.to_string().replace("100", "101");
    let problem = request::parse::<CreateUpload>(large.as_bytes(), &limits).unwrap_err();
    assert_eq!(problem.code, Some("integer_above_max_value"));
    let body = json!({"part_ids": ["part_1", "part_2"], "md5": "ABC"}).to_string();
    let read: CompleteUpload = request::parse(body.as_bytes(), &limits).unwrap();
    assert_eq!(read.part_ids.len(), 2);
    assert_eq!(read.md5.as_deref(), Some("abc"));
}
