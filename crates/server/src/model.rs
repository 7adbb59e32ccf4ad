//! The engine's models, over the gateway.

use std::sync::{Arc, OnceLock, Weak};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use loomgate_domain::{Run, Usage, WorkspaceId, limit::Charge, run::Route};
use loomgate_engine::{ChatModel, ModelError, ModelErrorKind, ModelTurn, Receipt};
use loomgate_gateway::{ModelCall, Phase, Who, relay::Caller};
use loomgate_wire::chat::ChatRequest;

use crate::{app::Services, auth::KeyRecord, error::ApiError, images, record, routing};

/// Carries out model turns by sending them through the gateway.
///
/// The engine is one of the services that this needs, so these come later: see
/// [`GatewayModel::connect`].
#[derive(Debug, Default)]
pub struct GatewayModel {
    services: OnceLock<Weak<Services>>,
}

impl GatewayModel {
    /// Gives it what it works with. Runs are only claimed afterwards.
    pub(crate) fn connect(&self, services: &Arc<Services>) {
        // The first connection holds.
        let _ = self.services.set(Arc::downgrade(services));
    }
}

impl ChatModel for GatewayModel {
    fn chat<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        run: &'a Run,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ModelTurn, ModelError>> {
        async move {
            let Some(services) = self.services.get().and_then(Weak::upgrade) else {
                return Err(misconfigured("The server is stopping."));
            };
            chat(&services, workspace, run, request).await
        }
        .boxed()
    }
}

async fn chat(
    services: &Services,
    workspace: &WorkspaceId,
    run: &Run,
    request: &ChatRequest,
) -> Result<ModelTurn, ModelError> {
    let key = key_of(services, workspace, run).await?;
    let by_name = routing::slug_in_model(&request.model);
    let route = &run.settings.route;
    let sealed = match route {
        Route::Sealed => services
            .open_wishes(workspace, &run.id)
            .await
            .map_err(|error| of_routing(&error))?,
        Route::VirtualKey(_) | Route::Config(_) => None,
    };
    let slug = by_name.map(|(slug, _)| slug);
    let way = routing::resume(
        services,
        workspace,
        (route, slug),
        sealed.as_ref(),
        key.as_deref(),
    )
    .await
    .map_err(|error| of_routing(&error))?;
    let named;
    let request = match by_name {
        Some((_, name)) => {
            named = ChatRequest {
                model: name.to_owned(),
                ..request.clone()
            };
            &named
        }
        None => request,
    };
    let shown = images::shown(services, workspace, request);
    let shown = shown.await.map_err(|error| of_images(&error))?;
    let request = shown.as_ref().unwrap_or(request);
    let metadata = run
        .settings
        .origin
        .as_ref()
        .map(|origin| origin.metadata.clone());
    let call = ModelCall {
        caller: Caller {
            workspace: workspace.clone(),
            key: key.and_then(|key| key.limited.clone()),
            metadata: Arc::new(metadata.unwrap_or_default()),
        },
        path: format!("/v1/threads/{}/runs", run.thread_id),
        capture: services.logbook.body_bytes(),
    };
    let sink = record::model_call(services, workspace, run, way.config);
    let turn = services.gateway.chat(&way.plan, &call, request, sink).await;
    let turn = turn.map_err(|error| of_gateway(&error))?;
    let events = turn
        .events
        .map(|event| event.map_err(|error| of_gateway(&error)));
    Ok(ModelTurn {
        events: events.boxed(),
        receipt: Some(Box::new(TurnReceipt(turn.receipt))),
    })
}

/// The key that made the run, whose limits hold for it as long as the key is there.
async fn key_of(
    services: &Services,
    workspace: &WorkspaceId,
    run: &Run,
) -> Result<Option<Arc<KeyRecord>>, ModelError> {
    let Some(origin) = &run.settings.origin else {
        return Ok(None);
    };
    services
        .keyring
        .by_id(workspace, &origin.api_key)
        .await
        .map_err(|error| misconfigured(&error.to_string()))
}

struct TurnReceipt(loomgate_gateway::Receipt);

impl Receipt for TurnReceipt {
    fn charges(&self, usage: &Usage) -> Vec<Charge> {
        self.0.charges(usage)
    }

    fn settled(&self, usage: &Usage) {
        self.0.settled(usage);
    }
}

fn misconfigured(message: &str) -> ModelError {
    ModelError {
        kind: ModelErrorKind::Misconfigured,
        message: message.to_owned(),
    }
}

/// The cause is no word for clients.
fn of_images(error: &ApiError) -> ModelError {
    tracing::error!(?error, "an image file could not be read for a run");
    ModelError {
        kind: ModelErrorKind::Server,
        message: error.message().to_owned(),
    }
}

fn of_routing(error: &ApiError) -> ModelError {
    misconfigured(error.message())
}

fn of_gateway(error: &loomgate_gateway::Error) -> ModelError {
    let kind = match (error.who, error.phase, error.status) {
        (_, Phase::MidStream, _) if error.retryable => ModelErrorKind::Broken,
        (Who::Timeout, ..) | (Who::Upstream, _, Some(408)) => ModelErrorKind::Timeout,
        (Who::Network, ..) => ModelErrorKind::Unreachable,
        (Who::Local, ..) => ModelErrorKind::Misconfigured,
        (Who::Upstream, _, Some(401 | 403)) => ModelErrorKind::Unauthorized,
        // 412: a budget of the key is used up.
        (Who::Upstream, _, Some(412 | 429)) => ModelErrorKind::RateLimited,
        (Who::Upstream, _, Some(446)) => ModelErrorKind::Denied,
        (Who::Upstream, _, Some(400..500)) => ModelErrorKind::InvalidRequest,
        (Who::Upstream, ..) => ModelErrorKind::Server,
    };
    ModelError {
        kind,
        message: error.message.clone(),
    }
}
