//! Query strings of lists and of operations with `include[]` (contract sections 1.1 and 4), and of
//! streams that are opened again.

use std::borrow::Cow;

use loomgate_domain::{
    Order,
    limits::{FILE_LIST_LIMIT, LIST_LIMIT},
    run::EventId,
    vector_store::IndexingStatus,
};
use url::form_urlencoded;

use crate::{
    Problem,
    problem::{Numeric, shown},
};

/// The one thing that a client may ask to be included.
pub const INCLUDABLE: &str = "step_details.tool_calls[*].file_search.results[*].content";

/// Which part of a list is asked for. Cursors are not checked here: what they must begin with
/// depends on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// 1 to 100; of files, 1 to 10,000.
    pub limit: u32,
    /// Newest first, unless asked otherwise.
    pub order: Order,
    /// Only items after this id.
    pub after: Option<String>,
    /// Only items before this id.
    pub before: Option<String>,
    /// Only messages of this run.
    pub run_id: Option<String>,
    /// Only files of this status.
    pub filter: Option<IndexingStatus>,
    /// Only files of this purpose.
    pub purpose: Option<String>,
    /// Optional parts of the items.
    pub include: Vec<String>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            limit: 20,
            order: Order::default(),
            after: None,
            before: None,
            run_id: None,
            filter: None,
            purpose: None,
            include: Vec::new(),
        }
    }
}

/// Reads the query of a list. `extra` names what the list takes beyond limit, order, after and
/// before: `run_id`, `filter`, `include`. Other parameters are ignored; so is one without a value.
pub fn list_query(query: Option<&str>, extra: &[&str]) -> Result<ListQuery, Problem> {
    let mut list = ListQuery::default();
    for (name, value) in pairs(query) {
        match &*name {
            "limit" => list.limit = limit(&value, LIST_LIMIT)?,
            "order" => list.order = order(&value)?,
            "after" => list.after = Some(value.into_owned()),
            "before" => list.before = Some(value.into_owned()),
            "run_id" if extra.contains(&"run_id") => list.run_id = Some(value.into_owned()),
            "filter" if extra.contains(&"filter") => list.filter = Some(status(&value)?),
            "include" | "include[]" if extra.contains(&"include") => {
                list.include.push(include(&value)?);
            }
            _ => {}
        }
    }
    Ok(list)
}

/// Reads the query of the list of files, which has longer pages and no `before`.
pub fn file_list_query(query: Option<&str>) -> Result<ListQuery, Problem> {
    let mut list = ListQuery {
        limit: FILE_LIST_LIMIT,
        ..ListQuery::default()
    };
    for (name, value) in pairs(query) {
        match &*name {
            "limit" => list.limit = limit(&value, FILE_LIST_LIMIT)?,
            "order" => list.order = order(&value)?,
            "after" => list.after = Some(value.into_owned()),
            "purpose" => list.purpose = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(list)
}

/// Reads the query of an operation that takes `include[]` and nothing else.
pub fn include_query(query: Option<&str>) -> Result<Vec<String>, Problem> {
    pairs(query)
        .filter(|(name, _)| matches!(&**name, "include" | "include[]"))
        .map(|(_, value)| include(&value))
        .collect()
}

/// The header that says which event of a stream a client has read last: what browsers send.
pub const LAST_EVENT_ID: &str = "Last-Event-ID";

/// The parameter that says the same.
pub const STARTING_AFTER: &str = "starting_after";

/// Where a stream is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPlace {
    /// Behind this event.
    pub after: EventId,
    /// What names it: [`LAST_EVENT_ID`] or [`STARTING_AFTER`].
    pub field: &'static str,
}

impl StreamPlace {
    fn read(field: &'static str, text: &str) -> Result<Self, Problem> {
        let after = text.parse().map_err(|_| {
            let text = shown(text);
            Problem::new(
                format!(
                    "Invalid '{field}': '{text}'. Expected the id of an event of this run's \
                     stream, such as '1.57'."
                ),
                field,
                Some("invalid_value"),
            )
        })?;
        Ok(Self { after, field })
    }

    /// The run has no such event.
    pub fn unknown(self) -> Problem {
        let Self { after, field } = self;
        Problem::new(
            format!("Invalid '{field}': this run's stream has no event with the id '{after}'."),
            field,
            Some("invalid_value"),
        )
    }
}

/// Reads where a stream is to go on, from its query and its header. Empty ones count as none; a
/// parameter that the operation does not have is refused: a stream that goes on at another place
/// than its client means is worse than none.
pub fn stream_place(
    query: Option<&str>,
    last_event_id: Option<&str>,
) -> Result<Option<StreamPlace>, Problem> {
    let mut place = last_event_id
        .filter(|text| !text.is_empty())
        .map(|text| StreamPlace::read(LAST_EVENT_ID, text))
        .transpose()?;
    for (name, value) in pairs(query) {
        if name != STARTING_AFTER {
            return Err(Problem::unknown(shown(&name), None));
        }
        let named = StreamPlace::read(STARTING_AFTER, &value)?;
        let other = place.filter(|place| place.after != named.after);
        if let Some(StreamPlace { after, field }) = other {
            return Err(Problem::new(
                format!(
                    "Invalid '{STARTING_AFTER}': it names the event '{}', but '{field}' names \
                     '{after}'.",
                    named.after
                ),
                STARTING_AFTER,
                Some("invalid_value"),
            ));
        }
        place = Some(place.unwrap_or(named));
    }
    Ok(place)
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(_, value)| !value.is_empty())
}

fn limit(text: &str, most: u32) -> Result<u32, Problem> {
    let param = || "limit".to_owned();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let got = match text.parse::<f64>() {
            Ok(number) if number.is_finite() => "a decimal",
            _ => "a string",
        };
        return Err(Problem::wrong_type(param(), "an integer", got));
    }
    // All digits: what does not parse is too large.
    let got = shown(text);
    match text.parse::<i64>() {
        Ok(value) if value < 1 => Err(Problem::below(param(), Numeric::Integer, 1, got)),
        Err(_) if text.starts_with('-') => Err(Problem::below(param(), Numeric::Integer, 1, got)),
        Ok(value) => u32::try_from(value)
            .ok()
            .filter(|value| *value <= most)
            .ok_or_else(|| Problem::above(param(), Numeric::Integer, most, got)),
        Err(_) => Err(Problem::above(param(), Numeric::Integer, most, got)),
    }
}

fn order(text: &str) -> Result<Order, Problem> {
    match text {
        "asc" => Ok(Order::Asc),
        "desc" => Ok(Order::Desc),
        other => Err(Problem::not_supported_value(
            "order".to_owned(),
            other,
            &["asc", "desc"],
        )),
    }
}

fn status(text: &str) -> Result<IndexingStatus, Problem> {
    IndexingStatus::parse(text).ok_or_else(|| {
        let known: Vec<&str> = IndexingStatus::ALL.iter().map(|it| it.as_str()).collect();
        Problem::not_supported_value("filter".to_owned(), text, &known)
    })
}

fn include(text: &str) -> Result<String, Problem> {
    if text == INCLUDABLE {
        Ok(text.to_owned())
    } else {
        Err(Problem::not_supported_value(
            "include".to_owned(),
            text,
            &[INCLUDABLE],
        ))
    }
}
