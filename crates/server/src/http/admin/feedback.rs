//! `/v1/feedback`: what people thought of an answer (contract portkey.md section 8).

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use loomgate_domain::{FeedbackId, Id, Patch, Scope, feedback::Feedback, id::new_id};
use serde_json::{Value, json};

use super::{
    fields::{Fields, OneOrMore},
    path::Path,
    tenant::Tenant,
};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::{Created, Idempotency},
        reply,
    },
};

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    let needs = Access::Scope(Scope::LogsWrite);
    Routes::default()
        .create_as(Created::Logged, "/v1/feedback", needs, create)
        .put("/v1/feedback/{id}", needs, update)
}

/// One, or a list: then all of them are kept or none.
async fn create(
    State(app): State<App>,
    tenant: Tenant,
    once: Idempotency,
    OneOrMore(bodies): OneOrMore,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let mut given = Vec::new();
    for mut body in bodies {
        let trace_id = trace_id(&mut body)?;
        let Judgement {
            value,
            weight,
            metadata,
        } = Judgement::read(body)?;
        given.push(Feedback {
            id: new_id(&*app.ids),
            workspace: tenant.workspace.clone(),
            trace_id,
            value,
            weight,
            metadata,
            created_at: app.clock.now(),
        });
    }
    let ids: Vec<_> = given.iter().map(|feedback| feedback.id.clone()).collect();
    let (response, receipt) = once.reply_to(&tenant.caller, &saved(&ids))?;
    app.store.logs().add_feedback(given, receipt).await?;
    Ok(response)
}

/// Replaces what was said.
async fn update(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let id: FeedbackId = Id::parse(&id).map_err(|_| not_found(&id))?;
    // The Node SDK repeats the id of the path, in its own spelling or folded to snake case.
    for name in ["feedbackID", "feedback_id"] {
        if let Patch::Set(repeated) = body.text(name, 256)?
            && repeated != id.as_str()
        {
            return Err(body.refuse(name, format!("'{name}' is not the id of the path.")));
        }
    }
    let Judgement {
        value,
        weight,
        metadata,
    } = Judgement::read(body)?;
    let logs = app.store.logs();
    let updated = logs.update_feedback(&tenant.workspace, &id, value, weight, metadata);
    if !updated.await? {
        return Err(not_found(id.as_str()));
    }
    Ok(reply::json(&saved(&[id]))?)
}

fn trace_id(body: &mut Fields) -> Result<String, AdminError> {
    // The Node SDK's documents write it in their own way.
    let named = match body.text("traceID", 512)? {
        Patch::Absent => body.text("trace_id", 512)?,
        named => named,
    };
    named.into_option().ok_or_else(|| body.missing("trace_id"))
}

/// What was said.
struct Judgement {
    value: i8,
    weight: f64,
    metadata: BTreeMap<String, String>,
}

impl Judgement {
    /// Reads the rest of a body.
    fn read(mut body: Fields) -> Result<Self, AdminError> {
        let value = body.whole("value", -10..=10)?.into_option();
        let value = value.and_then(|value| i8::try_from(value).ok());
        let value = value.ok_or_else(|| body.missing("value"))?;
        let weight = body.number("weight", 0.0..=1.0)?.into_option();
        let metadata = body.pairs("metadata")?.into_option();
        body.finish()?;
        Ok(Self {
            value,
            weight: weight.unwrap_or(1.0),
            metadata: metadata.unwrap_or_default(),
        })
    }
}

fn saved(ids: &[FeedbackId]) -> Value {
    json!({
        "status": "success",
        "message": "Feedback successfully saved",
        "feedback_ids": ids,
    })
}

fn not_found(id: &str) -> AdminError {
    let id: String = id.chars().take(64).collect();
    ApiError::missing(format!("There is no feedback '{id}'."))
        .param("id")
        .into()
}
