//! Pages of lists (contract section 4).

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{assistant, kind};
use crate::shape::{Field, STRING, Shape, list, object};

/// Something that lists name by its id.
pub trait Identified {
    /// The id.
    fn id(&self) -> &str;
}

/// A page: `{"object":"list","data","first_id","last_id","has_more"}`.
#[derive(Debug, Clone)]
pub struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

impl<T: Identified> List<T> {
    /// A page of these items.
    pub fn new(data: Vec<T>, has_more: bool) -> Self {
        Self { data, has_more }
    }
}

impl<T: Identified + Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_struct("List", 5)?;
        list.serialize_field("object", "list")?;
        list.serialize_field("data", &self.data)?;
        list.serialize_field("first_id", &self.data.first().map(Identified::id))?;
        list.serialize_field("last_id", &self.data.last().map(Identified::id))?;
        list.serialize_field("has_more", &self.has_more)?;
        list.end()
    }
}

/// The fields of a page of such items.
const fn page(items: &'static Shape) -> [Field; 5] {
    [
        Field::required("object", &LIST, "What this is."),
        Field::required("data", items, "The items, in the order asked for."),
        Field::required("first_id", &STRING, "Id of the first item.").nullable(),
        Field::required("last_id", &STRING, "Id of the last item.").nullable(),
        Field::required("has_more", &Shape::Boolean, "Whether the list goes on."),
    ]
}

pub(super) static LIST: Shape = kind(&["list"]);

/// A page of assistants.
pub static ASSISTANTS: Shape = object("AssistantList", "A page.", &page(&list(&assistant::SHAPE)));
/// A page of files.
pub static FILES: Shape = object("FileList", "A page.", &page(&list(&super::file::SHAPE)));
/// A page of messages.
pub static MESSAGES: Shape = object(
    "MessageList",
    "A page.",
    &page(&list(&super::message::SHAPE)),
);
/// A page of runs.
pub static RUNS: Shape = object("RunList", "A page.", &page(&list(&super::run::SHAPE)));
/// A page of vector stores.
pub static VECTOR_STORES: Shape = object(
    "VectorStoreList",
    "A page.",
    &page(&list(&super::vector_store::SHAPE)),
);
/// A page of files in a vector store.
pub static VECTOR_STORE_FILES: Shape = object(
    "VectorStoreFileList",
    "A page.",
    &page(&list(&super::vector_store::FILE)),
);
/// A page of run steps.
pub static STEPS: Shape = object("RunStepList", "A page.", &page(&list(&super::step::SHAPE)));
