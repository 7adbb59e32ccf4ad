//! The body of a search (contract section 11.8).

use loomgate_domain::Limits;
use serde::Deserialize;
use serde_json::Value;

use super::Request;
use crate::{
    Problem,
    shape::{
        Array, Cap, Field, Format, STRING, Shape, Tagged, Variant, filled, inline, list, object,
        one_of, read,
    },
};

/// `POST /vector_stores/{vector_store_id}/search`
#[derive(Debug, Clone, PartialEq)]
pub struct SearchVectorStore {
    /// What is searched for; at least one.
    pub queries: Vec<String>,
    /// Whether a model may put them in other words.
    pub rewrite_query: bool,
    /// 1 to 50.
    pub max_num_results: u32,
    /// What narrows the search down: a condition of the right shape.
    pub filters: Option<Value>,
    /// Whether results are ranked anew.
    pub ranker: Ranker,
    /// 0 to 1: what scores less is left out.
    pub score_threshold: f64,
}

/// Who ranks the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Ranker {
    /// The server's choice.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Nobody: they stay as they were found.
    #[serde(rename = "none")]
    None,
    /// The one that there is.
    #[serde(rename = "default-2024-11-15")]
    Default,
}

static QUERY: Shape = filled(Cap::None, Format::Any);

static SEARCH: Shape = object(
    "SearchVectorStoreRequest",
    "A search.",
    &[
        Field::required(
            "query",
            &Shape::Union(&[
                &QUERY,
                &Shape::Array(Array {
                    items: &QUERY,
                    min: 1,
                    max: Cap::At(16),
                    rule: None,
                }),
            ]),
            "What is searched for.",
        ),
        Field::optional(
            "rewrite_query",
            &Shape::Boolean,
            "Whether a model may put it in other words.",
        )
        .nullable()
        .or("false"),
        Field::optional(
            "max_num_results",
            &Shape::Integer {
                min: Some(1),
                max: Some(50),
            },
            "The most results.",
        )
        .nullable()
        .or("10"),
        Field::optional("filters", &FILTER, "Which files are searched.").nullable(),
        Field::optional("ranking_options", &RANKING, "How results are ranked.").nullable(),
    ],
);

static RANKING: Shape = inline(&[
    Field::optional(
        "ranker",
        &one_of(&["none", "auto", "default-2024-11-15"]),
        "Who ranks them.",
    )
    .nullable()
    .or("\"auto\""),
    Field::optional(
        "score_threshold",
        &Shape::Number {
            min: Some(0.0),
            max: Some(1.0),
        },
        "What scores less is left out.",
    )
    .nullable()
    .or("0"),
]);

static SCALAR: Shape = Shape::Union(&[&STRING, &ANY_NUMBER, &Shape::Boolean]);
static ANY_NUMBER: Shape = Shape::Number {
    min: None,
    max: None,
};

const KEY: Field = Field::required("key", &STRING, "Which attribute.");
static COMPARISON: [Field; 2] = [KEY, Field::required("value", &SCALAR, "With what.")];
static AMONG: [Field; 2] = [KEY, Field::required("value", &SCALARS, "With what.")];
static SCALARS: Shape = list(&SCALAR);
static COMPOUND: [Field; 1] = [Field::required("filters", &FILTERS, "Which.")];
static FILTERS: Shape = list(&FILTER);

const fn variant(tag: &'static str, doc: &'static str, fields: &'static [Field]) -> Variant {
    Variant { tag, doc, fields }
}

/// A condition, which others may be part of.
pub(crate) static FILTER: Shape = Shape::Tagged(Tagged {
    name: "AttributeFilter",
    doc: "A condition on the attributes of a file.",
    variants: &[
        variant("eq", "The same.", &COMPARISON),
        variant("ne", "Another, or none.", &COMPARISON),
        variant("gt", "Greater.", &COMPARISON),
        variant("gte", "Greater, or the same.", &COMPARISON),
        variant("lt", "Less.", &COMPARISON),
        variant("lte", "Less, or the same.", &COMPARISON),
        variant("in", "One of these.", &AMONG),
        variant("nin", "None of these.", &AMONG),
        variant("and", "All of these.", &COMPOUND),
        variant("or", "Any of these.", &COMPOUND),
    ],
});

#[derive(Deserialize)]
struct Body {
    query: QueryBody,
    #[serde(default)]
    rewrite_query: Option<bool>,
    #[serde(default)]
    max_num_results: Option<u32>,
    #[serde(default)]
    filters: Option<Value>,
    #[serde(default)]
    ranking_options: Option<RankingBody>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum QueryBody {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, Default)]
struct RankingBody {
    ranker: Option<Ranker>,
    score_threshold: Option<f64>,
}

impl Request for SearchVectorStore {
    fn shape() -> &'static Shape {
        &SEARCH
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: Body = read(&SEARCH, value, limits)?;
        let ranking = body.ranking_options.unwrap_or_default();
        Ok(Self {
            queries: match body.query {
                QueryBody::One(query) => vec![query],
                QueryBody::Several(queries) => queries,
            },
            rewrite_query: body.rewrite_query.unwrap_or(false),
            max_num_results: body.max_num_results.unwrap_or(10),
            filters: body.filters,
            ranker: ranking.ranker.unwrap_or_default(),
            score_threshold: ranking.score_threshold.unwrap_or(0.0),
        })
    }
}
