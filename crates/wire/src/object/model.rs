//! Models (contract section 11.9).

use loomgate_domain::Timestamp;
use serde::Serialize;

use super::{TIME, kind, list::LIST};
use crate::shape::{Field, STRING, Shape, list, object};

/// A model that runs can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// `model`
    pub object: &'static str,
    /// When it was made, as far as its provider tells.
    pub created: Timestamp,
    /// Whose it is.
    pub owned_by: String,
}

impl Model {
    /// A model of this name.
    pub fn new(id: impl Into<String>, created: Timestamp, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: "model",
            created,
            owned_by: owned_by.into(),
        }
    }
}

/// All models: this list has no pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelList {
    /// `list`
    pub object: &'static str,
    /// The models.
    pub data: Vec<Model>,
}

impl ModelList {
    /// These models.
    pub fn new(data: Vec<Model>) -> Self {
        Self {
            object: "list",
            data,
        }
    }
}

/// The shape of a model.
pub static SHAPE: Shape = object(
    "Model",
    "A model that runs can use.",
    &[
        Field::required("id", &STRING, "Its name."),
        Field::required("object", &kind(&["model"]), "What this is."),
        Field::required("created", &TIME, "When it was made, in unix seconds."),
        Field::required("owned_by", &STRING, "Whose it is."),
    ],
);

/// The shape of the list of models.
pub static MODELS: Shape = object(
    "ModelList",
    "All models.",
    &[
        Field::required("object", &LIST, "What this is."),
        Field::required("data", &list(&SHAPE), "The models."),
    ],
);
