//! What a JSON value has to look like. There is one table for each request and each object; the
//! checks of requests ([`validate`]), the OpenAPI document and the tests of responses all read
//! the same table, so they can not drift apart (`docs/decisions/0002-shapes.md`).

use loomgate_domain::Limits;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Problem;

pub mod openapi;
mod path;
mod validate;

pub use validate::validate;

/// What a JSON value may be.
pub enum Shape {
    /// A string.
    Text(Text),
    /// A whole number, written as one (`1.0` is none).
    Integer {
        /// Smallest.
        min: Option<i64>,
        /// Largest.
        max: Option<i64>,
    },
    /// Any number.
    Number {
        /// Smallest.
        min: Option<f64>,
        /// Largest.
        max: Option<f64>,
    },
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array(Array),
    /// An object with known fields.
    Object(Object),
    /// One of several objects, told apart by their `type`.
    Tagged(Tagged),
    /// The `metadata` map (contract section 3.1).
    Metadata,
    /// The `attributes` map: the same with texts, numbers and booleans (contract section 11.6).
    Attributes,
    /// Any object: JSON schemas, for instance.
    AnyObject,
    /// One of these, told apart by their JSON type.
    Union(&'static [&'static Shape]),
}

/// A string.
pub struct Text {
    /// Fewest characters: 0 or 1.
    pub min: usize,
    /// Most characters, or bytes where `bytes` is set.
    pub max: Cap,
    /// Count bytes instead of characters.
    pub bytes: bool,
    /// What else it must be.
    pub format: Format,
}

/// What a string must be.
pub enum Format {
    /// Anything.
    Any,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A name of letters, digits, `_` and `-`.
    Name,
    /// An id that begins like this.
    Id(&'static str),
    /// An http, https or data address.
    Url,
    /// Bytes of a form; never JSON.
    Binary,
    /// Words of a message; has an error text of its own when empty.
    Content,
}

impl Format {
    /// The pattern of [`Format::Name`], as error texts and the document show it.
    pub const NAME_PATTERN: &'static str = "^[a-zA-Z0-9_-]+$";
}

/// An upper limit.
pub enum Cap {
    /// None.
    None,
    /// A number of the wire format.
    At(usize),
    /// A number that the operator may change.
    Limit(fn(&Limits) -> usize),
}

impl Cap {
    /// The number in force.
    pub fn get(&self, limits: &Limits) -> Option<usize> {
        match self {
            Self::None => None,
            Self::At(most) => Some(*most),
            Self::Limit(of) => Some(of(limits)),
        }
    }
}

/// A list.
pub struct Array {
    /// What its items are.
    pub items: &'static Shape,
    /// Fewest items: 0 or 1.
    pub min: usize,
    /// Most items.
    pub max: Cap,
    /// A rule over all items.
    pub rule: Option<Rule>,
}

/// An object with known fields; any other field is refused.
pub struct Object {
    /// Its name among the schemas of the API document; empty: written in place.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// A rule over several fields.
    pub rule: Option<Rule>,
}

/// One of several objects, told apart by their `type`.
pub struct Tagged {
    /// Its name among the schemas of the API document; empty: written in place.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The objects.
    pub variants: &'static [Variant],
}

/// One of the objects of a [`Tagged`].
pub struct Variant {
    /// The value of its `type`.
    pub tag: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its fields but for `type`.
    pub fields: &'static [Field],
}

/// A field of an object.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: &'static Shape,
    /// Whether it has to be there.
    pub presence: Presence,
    /// Whether null may stand for "nothing".
    pub nullable: bool,
    /// What it is when left out: JSON text for the API document.
    pub default: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
}

/// Whether a field has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has to.
    Required,
    /// It may be left out.
    Optional,
    /// No field of the API, but clients send it as null: tolerated and not documented.
    OnlyNull,
}

impl Field {
    /// A field that has to be there.
    pub const fn required(name: &'static str, shape: &'static Shape, doc: &'static str) -> Self {
        Self {
            name,
            shape,
            presence: Presence::Required,
            nullable: false,
            default: None,
            doc,
        }
    }

    /// A field that may be left out.
    pub const fn optional(name: &'static str, shape: &'static Shape, doc: &'static str) -> Self {
        Self {
            presence: Presence::Optional,
            ..Self::required(name, shape, doc)
        }
    }

    /// A field that is tolerated as null.
    pub const fn only_null(name: &'static str) -> Self {
        Self {
            presence: Presence::OnlyNull,
            nullable: true,
            ..Self::required(name, &Shape::AnyObject, "")
        }
    }

    /// The same, and null is allowed.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same with a default, as JSON text.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// A rule that no single field can tell. Told only when everything else is right.
#[derive(Clone, Copy)]
pub struct Rule {
    /// How a value breaks it.
    pub broken: fn(&Value) -> Option<Violation>,
    /// The same as keywords of JSON Schema, for the API document.
    pub schema: &'static str,
}

/// A broken [`Rule`].
pub struct Violation {
    /// Path below the value that was checked; empty for the value itself.
    pub at: &'static str,
    /// The error text, made from the whole path.
    pub text: fn(path: &str) -> String,
    /// The error code.
    pub code: &'static str,
}

/// Any string.
pub const STRING: Shape = Shape::Text(Text {
    min: 0,
    max: Cap::None,
    bytes: false,
    format: Format::Any,
});

/// A string with an upper limit.
pub const fn text(max: Cap) -> Shape {
    Shape::Text(Text {
        min: 0,
        max,
        bytes: false,
        format: Format::Any,
    })
}

/// A string of at least one character.
pub const fn filled(max: Cap, format: Format) -> Shape {
    Shape::Text(Text {
        min: 1,
        max,
        bytes: false,
        format,
    })
}

/// One of these strings.
pub const fn one_of(values: &'static [&'static str]) -> Shape {
    Shape::Text(Text {
        min: 0,
        max: Cap::None,
        bytes: false,
        format: Format::OneOf(values),
    })
}

/// A list without limits.
pub const fn list(items: &'static Shape) -> Shape {
    Shape::Array(Array {
        items,
        min: 0,
        max: Cap::None,
        rule: None,
    })
}

/// A list with an upper limit.
pub const fn list_of(items: &'static Shape, max: Cap) -> Shape {
    Shape::Array(Array {
        items,
        min: 0,
        max,
        rule: None,
    })
}

/// An object that has a name in the API document.
pub const fn object(name: &'static str, doc: &'static str, fields: &'static [Field]) -> Shape {
    Shape::Object(Object {
        name,
        doc,
        fields,
        rule: None,
    })
}

/// An object that is written in place in the API document.
pub const fn inline(fields: &'static [Field]) -> Shape {
    object("", "", fields)
}

/// Checks a value, then reads it. The shape lets nothing through that `T` can not read; should
/// it ever, the client learns that the body was not understood.
pub(crate) fn read<T: DeserializeOwned>(
    shape: &Shape,
    value: Value,
    limits: &Limits,
) -> Result<T, Problem> {
    validate(shape, &value, limits)?;
    serde_json::from_value(value).map_err(|_| Problem::unparsable())
}
