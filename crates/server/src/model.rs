//! The engine's models, over the gateway.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use loomgate_domain::{WorkspaceId, run::Route};
use loomgate_engine::{ChatModel, ChatStream, ModelError, ModelErrorKind};
use loomgate_gateway::{Gateway, Phase, Target, Who};
use loomgate_wire::chat::ChatRequest;

/// Virtual keys by name, resolved.
pub type Targets = Arc<HashMap<String, Target>>;

/// Carries out model turns by sending them through the gateway.
pub struct GatewayModel {
    /// The way out.
    pub gateway: Arc<Gateway>,
    /// Where the virtual keys lead.
    pub targets: Targets,
}

impl ChatModel for GatewayModel {
    fn chat<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        route: &'a Route,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        async move {
            let Route::VirtualKey(name) = route;
            let Some(target) = self.targets.get(name) else {
                return Err(ModelError {
                    kind: ModelErrorKind::Misconfigured,
                    message: format!("The virtual key '{name}' is not configured."),
                });
            };
            let stream = self.gateway.chat(target, request).await;
            let stream = stream.map_err(|error| of_gateway(&error))?;
            let events = stream.map(|event| event.map_err(|error| of_gateway(&error)));
            Ok(events.boxed())
        }
        .boxed()
    }
}

fn of_gateway(error: &loomgate_gateway::Error) -> ModelError {
    let kind = match (error.who, error.phase, error.status) {
        (_, Phase::MidStream, _) if error.retryable => ModelErrorKind::Broken,
        (Who::Timeout, ..) | (Who::Upstream, _, Some(408)) => ModelErrorKind::Timeout,
        (Who::Network, ..) => ModelErrorKind::Unreachable,
        (Who::Local, ..) => ModelErrorKind::Misconfigured,
        (Who::Upstream, _, Some(401 | 403)) => ModelErrorKind::Unauthorized,
        (Who::Upstream, _, Some(429)) => ModelErrorKind::RateLimited,
        (Who::Upstream, _, Some(400..500)) => ModelErrorKind::InvalidRequest,
        (Who::Upstream, ..) => ModelErrorKind::Server,
    };
    ModelError {
        kind,
        message: error.message.clone(),
    }
}
