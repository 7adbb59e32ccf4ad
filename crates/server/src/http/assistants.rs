//! `/v1/assistants` (contract section 5).

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use loomgate_domain::{Assistant, AssistantId, Patch, id::new_id};
use loomgate_wire::{
    object,
    request::{CreateAssistant, ModifyAssistant, list_query},
};

use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    error::ApiError,
    http::{
        access::{Access, Routes},
        idempotency::Idempotency,
        list,
        named::Named,
        path::AssistantPath,
        reply,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get("/v1/assistants", DataPlane, index)
        .create("/v1/assistants", DataPlane, create)
        .get("/v1/assistants/{assistant_id}", DataPlane, show)
        .post("/v1/assistants/{assistant_id}", DataPlane, modify)
        .delete("/v1/assistants/{assistant_id}", DataPlane, delete)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateAssistant>,
) -> Result<Response, ApiError> {
    Named::default()
        .and_resources(&[&body.tool_resources])
        .and_store(body.vector_store.as_ref())
        .expect(&app, &caller)
        .await?;
    let now = app.clock.now();
    let mut tool_resources = body.tool_resources;
    let store = body
        .vector_store
        .map(|new| app.making(now).vector_store(new));
    if let Some(store) = &store {
        tool_resources.set_vector_store(store.record.id.as_str());
    }
    let assistant = Assistant {
        id: new_id(&*app.ids),
        created_at: now,
        name: body.name,
        description: body.description,
        model: body.model,
        instructions: body.instructions,
        tools: body.tools,
        tool_resources,
        metadata: body.metadata,
        temperature: body.temperature,
        top_p: body.top_p,
        reasoning_effort: body.reasoning_effort,
        response_format: body.response_format,
    };
    let (reply, receipt) = once.reply(&object::Assistant::from(&assistant))?;
    let assistants = app.store.assistants();
    assistants
        .create(&caller.workspace, assistant, store, receipt)
        .await?;
    Ok(reply)
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let page = list::page(&list_query(query.as_deref(), &[])?);
    let page = app.store.assistants().list(&caller.workspace, page).await;
    let page = page.map_err(list::cursor::<AssistantId>)?;
    list::reply(
        page.items.iter().map(object::Assistant::from),
        page.has_more,
    )
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: AssistantPath,
) -> Result<Response, ApiError> {
    let found = app
        .store
        .assistants()
        .get(&caller.workspace, &path.assistant)
        .await?;
    let assistant = found.ok_or_else(|| ApiError::not_found(&path.assistant))?;
    reply::json(&object::Assistant::from(&assistant))
}

async fn modify(
    State(app): State<App>,
    caller: Caller,
    path: AssistantPath,
    ApiJson(body): ApiJson<ModifyAssistant>,
) -> Result<Response, ApiError> {
    if let Patch::Set(resources) = &body.tool_resources {
        let resources = [resources];
        let named = Named::default().and_resources(&resources);
        named.expect(&app, &caller).await?;
    }
    let assistants = app.store.assistants();
    let modified = assistants
        .update(&caller.workspace, &path.assistant, move |assistant| {
            apply(assistant, body.clone())
        })
        .await?;
    let assistant = modified.ok_or_else(|| ApiError::not_found(&path.assistant))?;
    reply::json(&object::Assistant::from(&assistant))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: AssistantPath,
) -> Result<Response, ApiError> {
    let assistants = app.store.assistants();
    if !assistants
        .delete(&caller.workspace, &path.assistant)
        .await?
    {
        return Err(ApiError::not_found(&path.assistant));
    }
    reply::json(&object::Deleted::assistant(&path.assistant))
}

/// Fields that are absent keep what is there; null resets (contract section 3.2).
fn apply(mut assistant: Assistant, body: ModifyAssistant) -> Assistant {
    if let Some(model) = body.model {
        assistant.model = model;
    }
    body.name.apply_option(&mut assistant.name);
    body.description.apply_option(&mut assistant.description);
    body.instructions.apply_option(&mut assistant.instructions);
    body.tools.apply(&mut assistant.tools);
    body.tool_resources.apply(&mut assistant.tool_resources);
    body.metadata.apply(&mut assistant.metadata);
    body.temperature.apply_option(&mut assistant.temperature);
    body.top_p.apply_option(&mut assistant.top_p);
    body.reasoning_effort
        .apply_option(&mut assistant.reasoning_effort);
    body.response_format.apply(&mut assistant.response_format);
    assistant
}
