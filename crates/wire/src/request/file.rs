//! Forms and bodies of the file and upload operations (contract sections 11.1 and 11.3).

use loomgate_domain::{Limits, PartId, file::Purpose};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::{
    Problem,
    problem::shown,
    shape::{Cap, Field, Format, Shape, Text, filled, inline, list, object, one_of, read},
};

/// What `POST /files` says beside the file itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateFile {
    /// One of [`Purpose::GIVEN`].
    pub purpose: Purpose,
    /// Seconds from its creation to its expiry.
    pub expires_after_s: Option<u32>,
}

/// The fields of such a form, as they come, in any order.
#[derive(Debug, Default)]
pub struct FileForm {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
    has_file: bool,
}

/// `POST /uploads`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUpload {
    /// The name of the file.
    pub filename: String,
    /// What it is for.
    pub purpose: Purpose,
    /// How many bytes there will be.
    pub bytes: u64,
    /// What they are.
    pub mime_type: String,
    /// Seconds from its creation to the file's expiry.
    pub expires_after_s: Option<u32>,
}

/// `POST /uploads/{upload_id}/complete`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteUpload {
    /// The parts, in their order.
    pub part_ids: Vec<PartId>,
    /// MD5 of the whole, as 32 hex digits in lower case.
    pub md5: Option<String>,
}

/// Shortest and longest life of a file that has an end.
const LIFETIME_S: (i64, i64) = (3600, 2_592_000);

impl FileForm {
    /// Names of the fields that have a value; the file is `file`.
    pub const FIELDS: [&'static str; 3] =
        ["purpose", "expires_after[anchor]", "expires_after[seconds]"];

    /// The file has come. Error: it came before.
    pub fn file(&mut self) -> Result<(), Problem> {
        if std::mem::replace(&mut self.has_file, true) {
            return Err(twice("file"));
        }
        Ok(())
    }

    /// A field has come. Errors: it is unknown, or came before.
    pub fn put(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let place = match name {
            "purpose" => &mut self.purpose,
            "expires_after[anchor]" => &mut self.anchor,
            "expires_after[seconds]" => &mut self.seconds,
            other => return Err(unexpected(other)),
        };
        match place.replace(value) {
            Some(_) => Err(twice(name)),
            None => Ok(()),
        }
    }

    /// The whole form has come. The texts are of the older of the original's two generations of
    /// checks, as recorded (contract section 1.5).
    pub fn end(self) -> Result<CreateFile, Problem> {
        if !self.has_file {
            return Err(required("file"));
        }
        let Some(name) = self.purpose else {
            return Err(required("purpose"));
        };
        let given = Purpose::GIVEN.iter().find(|known| known.as_str() == name);
        let Some(purpose) = given.copied() else {
            let known = Purpose::GIVEN.map(|known| format!("'{}'", known.as_str()));
            let (name, known) = (shown(&name), known.join(", "));
            let message = format!("'{name}' is not one of [{known}] - 'purpose'");
            return Err(Problem::new(message, "purpose", None));
        };
        Ok(CreateFile {
            purpose,
            expires_after_s: expires_after(self.anchor, self.seconds)?,
        })
    }
}

fn expires_after(anchor: Option<String>, seconds: Option<String>) -> Result<Option<u32>, Problem> {
    if anchor.is_none() && seconds.is_none() {
        return Ok(None);
    }
    // The form's fields as the object that they stand for.
    let mut value = json!({});
    if let Some(anchor) = anchor {
        value["anchor"] = anchor.into();
    }
    if let Some(seconds) = seconds {
        let number = seconds.trim().parse::<i64>();
        value["seconds"] = number.map_or_else(|_| seconds.into(), Value::from);
    }
    let form = json!({"expires_after": value});
    let read: ExpiringBody = read(&EXPIRING, form, &Limits::default())?;
    Ok(read.expires_after.map(|policy| policy.seconds))
}

/// A field that the form of parts does not have, or has no name.
pub fn unexpected(name: &str) -> Problem {
    let name = shown(name);
    let message = format!("Additional properties are not allowed ('{name}' was unexpected)");
    Problem {
        message,
        param: None,
        code: None,
    }
}

/// A field that is missing.
pub fn required(name: &str) -> Problem {
    Problem {
        message: format!("'{name}' is a required property"),
        param: None,
        code: None,
    }
}

/// A field that came more than once.
pub fn twice(name: &str) -> Problem {
    let message = format!("'{name}' was sent more than once");
    Problem::new(message, name, None)
}

static BINARY: Shape = Shape::Text(Text {
    min: 0,
    max: Cap::None,
    bytes: true,
    format: Format::Binary,
});

static ANY_PURPOSE: Shape = one_of(&[
    "fine-tune",
    "assistants",
    "batch",
    "user_data",
    "vision",
    "evals",
]);

static EXPIRES_AFTER: Shape = object(
    "FileExpirationAfter",
    "When a file goes away.",
    &[
        Field::required("anchor", &one_of(&["created_at"]), "Counted from then."),
        Field::required(
            "seconds",
            &Shape::Integer {
                min: Some(LIFETIME_S.0),
                max: Some(LIFETIME_S.1),
            },
            "1 hour to 30 days.",
        ),
    ],
);

static EXPIRING: Shape = inline(&[Field::optional("expires_after", &EXPIRES_AFTER, "")]);

/// The form of `POST /files`, for the API document.
pub static FILE_FORM: Shape = object(
    "CreateFileRequest",
    "A new file, as a form. `expires_after` is two fields: `expires_after[anchor]` and \
     `expires_after[seconds]`.",
    &[
        Field::required(
            "file",
            &BINARY,
            "The bytes; the part's file name is the file's.",
        ),
        Field::required("purpose", &ANY_PURPOSE, "What it is for."),
        Field::optional(
            "expires_after[anchor]",
            &one_of(&["created_at"]),
            "Counted from then.",
        ),
        Field::optional(
            "expires_after[seconds]",
            &Shape::Integer {
                min: Some(LIFETIME_S.0),
                max: Some(LIFETIME_S.1),
            },
            "Then it goes away.",
        ),
    ],
);

/// The form of `POST /uploads/{upload_id}/parts`, for the API document.
pub static PART_FORM: Shape = object(
    "AddUploadPartRequest",
    "A part of an upload, as a form.",
    &[Field::required("data", &BINARY, "The bytes.")],
);

static CREATE: Shape = object(
    "CreateUploadRequest",
    "A file that will come in parts.",
    &[
        Field::required(
            "filename",
            &filled(Cap::None, Format::Any),
            "The name of the file.",
        ),
        Field::required(
            "purpose",
            &one_of(&["assistants", "batch", "fine-tune", "vision"]),
            "What it is for.",
        ),
        Field::required(
            "bytes",
            &Shape::Integer {
                min: Some(1),
                max: None,
            },
            "How many bytes there will be.",
        ),
        Field::required(
            "mime_type",
            &filled(Cap::None, Format::Any),
            "What they are.",
        ),
        Field::optional("expires_after", &EXPIRES_AFTER, "When the file goes away.").nullable(),
    ],
);

static COMPLETE: Shape = object(
    "CompleteUploadRequest",
    "The order of the parts.",
    &[
        Field::required(
            "part_ids",
            &list(&crate::shape::STRING),
            "The parts, in their order.",
        ),
        Field::optional(
            "md5",
            &crate::shape::STRING,
            "MD5 of the whole, as hex digits.",
        )
        .nullable(),
    ],
);

#[derive(Deserialize)]
struct ExpiringBody {
    expires_after: Option<ExpiresAfter>,
}

#[derive(Deserialize)]
struct ExpiresAfter {
    seconds: u32,
}

#[derive(Deserialize)]
struct CreateBody {
    filename: String,
    purpose: String,
    bytes: u64,
    mime_type: String,
    expires_after: Option<ExpiresAfter>,
}

#[derive(Deserialize)]
struct CompleteBody {
    part_ids: Vec<PartId>,
    md5: Option<String>,
}

impl Request for CreateUpload {
    fn shape() -> &'static Shape {
        &CREATE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: CreateBody = read(&CREATE, value, limits)?;
        if body.bytes > limits.upload_total_bytes {
            return Err(Problem::above(
                "bytes".to_owned(),
                crate::problem::Numeric::Integer,
                limits.upload_total_bytes,
                body.bytes,
            ));
        }
        Ok(Self {
            filename: body.filename,
            // The shape lets no others through.
            purpose: Purpose::parse(&body.purpose).ok_or_else(Problem::unparsable)?,
            bytes: body.bytes,
            mime_type: body.mime_type,
            expires_after_s: body.expires_after.map(|policy| policy.seconds),
        })
    }
}

impl Request for CompleteUpload {
    fn shape() -> &'static Shape {
        &COMPLETE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: CompleteBody = read(&COMPLETE, value, limits)?;
        Ok(Self {
            part_ids: body.part_ids,
            md5: body.md5.map(|md5| md5.to_ascii_lowercase()),
        })
    }
}
