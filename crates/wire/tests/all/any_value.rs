//! Whatever a client sends: no panic, and the shape alone decides.

use loomgate_domain::Limits;
use loomgate_wire::{
    Request, parse,
    request::{
        CreateAssistant, CreateFileBatch, CreateMessage, CreateRun, CreateThread,
        CreateThreadAndRun, CreateVectorStore, CreateVectorStoreFile, ModifyAssistant,
        ModifyMessage, ModifyRun, ModifyThread, ModifyVectorStore, ModifyVectorStoreFile,
        SearchVectorStore, SubmitToolOutputs, include_query, list_query, stream_place,
    },
    shape::{Field, Format, Presence, Rule, Shape, validate},
};
use proptest::{collection::vec, prelude::*, sample::select, strategy::BoxedStrategy};
use serde_json::{Map, Value, json};

/// Any JSON, with names that requests know among its keys.
fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Numbers that come through text unchanged.
        any::<i32>().prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        "\\PC{0,12}".prop_map(Value::from),
        select(vec![
            "function",
            "auto",
            "user",
            "text",
            "asst_1",
            "last_messages"
        ])
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        select(vec![
            "model",
            "tools",
            "type",
            "function",
            "name",
            "metadata",
            "messages",
            "content",
            "role",
            "tool_outputs",
            "tool_call_id",
            "truncation_strategy",
            "response_format",
            "assistant_id",
            "file_ids",
            "attributes",
            "query",
            "filters",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Values that a shape describes.
fn described(shape: &'static Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Text(text) => match &text.format {
            Format::OneOf(values) => select(*values).prop_map(Value::from).boxed(),
            Format::Name => "[a-zA-Z0-9_-]{1,64}".prop_map(Value::from).boxed(),
            Format::Id(start) => "[a-z0-9]{0,24}"
                .prop_map(move |rest| json!(format!("{start}_{rest}")))
                .boxed(),
            Format::Url => "(http|https)://[a-z]{1,9}/".prop_map(Value::from).boxed(),
            Format::Any | Format::Binary | Format::Content => {
                "\\PC{1,16}".prop_map(Value::from).boxed()
            }
        },
        Shape::Integer { min, max } => {
            let range = min.unwrap_or(i64::MIN)..=max.unwrap_or(i64::MAX);
            range.prop_map(Value::from).boxed()
        }
        Shape::Number { min, max } => {
            let range = min.unwrap_or(-1e9)..=max.unwrap_or(1e9);
            range.prop_map(Value::from).boxed()
        }
        Shape::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Array(array) => {
            let most = array.max.get(&Limits::default()).unwrap_or(3).min(3);
            let items = vec(described(array.items), array.min..=most);
            checked(items.prop_map(Value::from).boxed(), array.rule)
        }
        Shape::Object(object) => checked(fields(object.fields, None), object.rule),
        // It is made of its own kind.
        Shape::Tagged(tagged) if tagged.name == "AttributeFilter" => filter(),
        Shape::Tagged(tagged) => {
            let variants: Vec<_> = tagged
                .variants
                .iter()
                .map(|variant| fields(variant.fields, Some(variant.tag)))
                .collect();
            proptest::strategy::Union::new(variants).boxed()
        }
        Shape::Metadata => vec(("[a-z]{1,64}", "\\PC{0,99}"), 0..=16)
            .prop_map(|pairs| {
                let pairs = pairs.into_iter().map(|(key, value)| (key, json!(value)));
                Value::Object(pairs.collect())
            })
            .boxed(),
        Shape::Attributes => {
            let value = prop_oneof![
                "\\PC{0,99}".prop_map(Value::from),
                any::<bool>().prop_map(Value::from),
                any::<i32>().prop_map(Value::from),
            ];
            vec(("[a-z]{1,64}", value), 0..=16)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
                .boxed()
        }
        Shape::AnyObject => any_json()
            .prop_map(|inner| json!({ "inner": inner }))
            .boxed(),
        Shape::Union(members) => {
            let members: Vec<_> = members.iter().map(|member| described(member)).collect();
            proptest::strategy::Union::new(members).boxed()
        }
    }
}

/// A condition on attributes.
fn filter() -> BoxedStrategy<Value> {
    let value = || {
        prop_oneof![
            "\\PC{0,9}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
        ]
    };
    let comparison = (select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]), value())
        .prop_map(|(tag, value)| json!({"type": tag, "key": "k", "value": value}));
    let among = (select(vec!["in", "nin"]), vec(value(), 0..3))
        .prop_map(|(tag, values)| json!({"type": tag, "key": "k", "value": values}));
    prop_oneof![comparison, among]
        .prop_recursive(3, 12, 3, |inner| {
            (select(vec!["and", "or"]), vec(inner, 0..3))
                .prop_map(|(tag, filters)| json!({"type": tag, "filters": filters}))
        })
        .boxed()
}

fn checked(values: BoxedStrategy<Value>, rule: Option<Rule>) -> BoxedStrategy<Value> {
    match rule {
        Some(rule) => values
            .prop_filter("breaks a rule", move |value| (rule.broken)(value).is_none())
            .boxed(),
        None => values,
    }
}

fn fields(fields: &'static [Field], tag: Option<&'static str>) -> BoxedStrategy<Value> {
    let field = |field: &'static Field| -> BoxedStrategy<Option<(String, Value)>> {
        let with = |value| Some((field.name.to_owned(), value));
        let absent = (field.presence != Presence::Required).then(|| Just(None).boxed());
        let null = field.nullable.then(|| Just(with(Value::Null)).boxed());
        let set = (field.presence != Presence::OnlyNull)
            .then(|| described(field.shape).prop_map(with).boxed());
        let all = [absent, null, set].into_iter().flatten();
        proptest::strategy::Union::new(all).boxed()
    };
    let all: Vec<_> = fields.iter().map(field).collect();
    all.prop_map(move |pairs| {
        let mut map: Map<String, Value> = pairs.into_iter().flatten().collect();
        if let Some(tag) = tag {
            map.insert("type".to_owned(), json!(tag));
        }
        Value::Object(map)
    })
    .boxed()
}

/// Puts `what` in the place of one node of `value`.
fn spoil(value: &mut Value, at: usize, what: Value) {
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    let count = children.len();
    if at == 0 || count == 0 {
        *value = what;
    } else if let Some(child) = children.into_iter().nth(at % count) {
        spoil(child, at / count, what);
    }
}

/// The shape and the struct agree: what the one lets through the other reads.
fn agree<T: Request>(value: &Value) -> Result<(), TestCaseError> {
    let limits = Limits::default();
    let checked = validate(T::shape(), value, &limits).err();
    let read = T::from_value(value.clone(), &limits).err();
    prop_assert_eq!(&checked, &read);
    // The quick way of some requests takes no more and no less.
    let parsed = parse::<T>(value.to_string().as_bytes(), &limits).err();
    prop_assert_eq!(checked, parsed);
    Ok(())
}

fn agree_all(value: &Value) -> Result<(), TestCaseError> {
    agree::<CreateAssistant>(value)?;
    agree::<ModifyAssistant>(value)?;
    agree::<CreateThread>(value)?;
    agree::<ModifyThread>(value)?;
    agree::<CreateMessage>(value)?;
    agree::<ModifyMessage>(value)?;
    agree::<CreateRun>(value)?;
    agree::<ModifyRun>(value)?;
    agree::<CreateThreadAndRun>(value)?;
    agree::<SubmitToolOutputs>(value)?;
    agree::<CreateVectorStore>(value)?;
    agree::<ModifyVectorStore>(value)?;
    agree::<CreateVectorStoreFile>(value)?;
    agree::<ModifyVectorStoreFile>(value)?;
    agree::<CreateFileBatch>(value)?;
    agree::<SearchVectorStore>(value)
}

/// What fails is printed, not filed.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

macro_rules! requests {
    ($($name:ident: $request:ty;)*) => {proptest! {
        #![proptest_config(config())]
        $(
            #[test]
            fn $name(
                mut value in described(<$request>::shape()),
                at in any::<u16>(),
                what in any_json(),
            ) {
                let limits = Limits::default();
                prop_assert_eq!(<$request>::from_value(value.clone(), &limits).err(), None);
                spoil(&mut value, at.into(), what);
                agree::<$request>(&value)?;
            }
        )*
    }};
}

requests! {
    create_assistant: CreateAssistant;
    modify_assistant: ModifyAssistant;
    create_thread: CreateThread;
    modify_thread: ModifyThread;
    create_message: CreateMessage;
    create_run: CreateRun;
    modify_run: ModifyRun;
    create_thread_and_run: CreateThreadAndRun;
    submit_tool_outputs: SubmitToolOutputs;
    create_vector_store: CreateVectorStore;
    modify_vector_store: ModifyVectorStore;
    create_vector_store_file: CreateVectorStoreFile;
    modify_vector_store_file: ModifyVectorStoreFile;
    create_file_batch: CreateFileBatch;
    search_vector_store: SearchVectorStore;
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_json_is_answered(value in any_json()) {
        agree_all(&value)?;
    }

    #[test]
    fn any_query_is_answered(query in "(limit|order|after|include\\[\\]|%|&|=|\\PC){0,9}") {
        if let Ok(list) = list_query(Some(&query), &["include", "run_id"]) {
            prop_assert!((1..=100).contains(&list.limit));
        }
        let _ = include_query(Some(&query));
        let _ = stream_place(Some(&query), Some(&query));
    }
}
