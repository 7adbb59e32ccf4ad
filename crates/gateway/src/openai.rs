//! Servers that speak OpenAI's chat completions.

mod body;
mod calls;
mod chunk;
mod failure;
mod request;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use loomgate_domain::IdGen;
use loomgate_wire::chat::ChatRequest;
use parking_lot::Mutex;
use reqwest::{
    RequestBuilder, Response,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use self::{body::Body, chunk::Decoder, request::Dialect};
use crate::{
    ChatStream, Model, OpenAi, Target,
    error::{Error, Failure, Who},
};

/// Servers remembered to refuse `stream_options`. When there are more, all are forgotten, which
/// costs each of them one refused request.
const REMEMBERED: usize = 1_024;

/// Makes the requests.
pub(crate) struct Client {
    http: reqwest::Client,
    ids: Arc<dyn IdGen>,
    /// Name and address of targets that refuse `stream_options`.
    without_stream_options: Mutex<HashSet<(String, Url)>>,
}

impl Client {
    pub(crate) fn new(http: reqwest::Client, ids: Arc<dyn IdGen>) -> Self {
        Self {
            http,
            ids,
            without_stream_options: Mutex::default(),
        }
    }

    /// One attempt at a turn, up to its first event.
    pub(crate) async fn chat(
        &self,
        target: &Target,
        provider: &OpenAi,
        request: &ChatRequest,
    ) -> Result<ChatStream, Failure> {
        let server = (target.name.clone(), provider.base_url.clone());
        let with_options = !self.without_stream_options.lock().contains(&server);
        let response = match self.complete(target, provider, request, with_options).await {
            Err(failure) if with_options && refuses_stream_options(&failure.error) => {
                let response = self.complete(target, provider, request, false).await?;
                let mut known = self.without_stream_options.lock();
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(server);
                response
            }
            result => result?,
        };
        let decoder = Decoder::new(Arc::clone(&self.ids), provider.api_key.clone());
        match content_type(&response) {
            "application/json" => {
                let idle = target.timeouts.idle;
                let events = Body::in_one_piece(response, decoder, idle).await?;
                return Ok(ChatStream::new(stream::iter(events.into_iter().map(Ok))));
            }
            "text/html" => {
                let message = "The provider answered with a web page: is its base_url right?";
                return Err(Error::new(Who::Upstream, false, message).into());
            }
            _ => {}
        }
        let mut body = Body::new(response, decoder, target.timeouts);
        let first = body.next().await.transpose()?;
        let rest = stream::unfold(body, |mut body| async move {
            body.next().await.map(|event| (event, body))
        });
        Ok(ChatStream::new(stream::iter(first.map(Ok)).chain(rest)))
    }

    /// One attempt at the list of models.
    pub(crate) async fn models(
        &self,
        target: &Target,
        provider: &OpenAi,
    ) -> Result<Vec<Model>, Failure> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            id: String,
            created: Option<i64>,
            owned_by: Option<String>,
        }
        let request = self.http.get(address(provider, &["models"])?);
        let response = send(request, target, provider).await?;
        let bytes = body::whole(response, body::WHOLE_BYTES, target.timeouts.idle).await?;
        let list: List = serde_json::from_slice(&bytes)
            .map_err(|_| Error::nonsense("The provider sent something else than a model list."))?;
        let models = list.data.into_iter().map(|entry| Model {
            id: entry.id,
            created: entry.created.unwrap_or(0),
            owned_by: entry.owned_by.unwrap_or_default(),
        });
        Ok(models.collect())
    }

    async fn complete(
        &self,
        target: &Target,
        provider: &OpenAi,
        request: &ChatRequest,
        stream_options: bool,
    ) -> Result<Response, Failure> {
        let dialect = Dialect {
            max_tokens_field: provider.max_tokens_field,
            stream_options,
        };
        let body = request::body(request, target.model(&request.model), dialect);
        let body = serde_json::to_vec(&body).map_err(|error| unsendable(&error))?;
        let request = self
            .http
            .post(address(provider, &["chat", "completions"])?)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(Bytes::from(body));
        send(request, target, provider).await
    }
}

/// Sends, and returns with the headers of a response that is a success.
async fn send(
    request: RequestBuilder,
    target: &Target,
    provider: &OpenAi,
) -> Result<Response, Failure> {
    let request = authorized(request, provider)?;
    let patience = target.timeouts.first_byte;
    let response = timeout(patience, request.send())
        .await
        .map_err(|_| {
            Error::new(
                Who::Timeout,
                true,
                format!("The provider did not answer within {patience:?}."),
            )
        })?
        .map_err(failure::of_transport)?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(failure::of_response(response, provider.api_key.as_ref(), target.timeouts.idle).await)
}

fn authorized(request: RequestBuilder, provider: &OpenAi) -> Result<RequestBuilder, Error> {
    let mut request = request;
    if let Some(key) = &provider.api_key {
        // Said here, because the library's error would be about a header of the caller.
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .map_err(|_| unsendable(&"the virtual key's api_key is no possible header value"))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if let Some(organization) = &provider.organization {
        request = request.header("openai-organization", organization);
    }
    if let Some(project) = &provider.project {
        request = request.header("openai-project", project);
    }
    Ok(request)
}

fn address(provider: &OpenAi, path: &[&str]) -> Result<Url, Error> {
    let mut url = provider.base_url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unsendable(
            &"the virtual key's base_url must not contain a user or password",
        ));
    }
    url.path_segments_mut()
        .map_err(|()| unsendable(&"the virtual key's base_url is no http address"))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

fn unsendable(reason: &dyn std::fmt::Display) -> Error {
    let message = format!("The request to the provider could not be made: {reason}.");
    Error::new(Who::Local, false, message)
}

fn refuses_stream_options(error: &Error) -> bool {
    matches!(error.status, Some(400 | 422)) && error.message.contains("stream_options")
}

/// The media type without its parameters; empty when there is none.
fn content_type(response: &Response) -> &str {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}
