//! Routes and who may use them. A route can only be added together with its [`Access`], and the
//! one layer here enforces it: a handler that is reached has a [`Caller`].

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    handler::Handler,
    http::{Method, Response, StatusCode},
    middleware::Next,
    response::IntoResponse as _,
    routing::{MethodFilter, on},
};
use foldhash::HashMap;
use loomgate_domain::Scope;

use crate::{
    app::App,
    auth,
    error::{AdminError, ApiError},
    http::{
        idempotency::{self, Created},
        relay,
    },
};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Public,
    /// Keys with this scope.
    Scope(Scope),
    /// Keys with this scope, and what is asked for may live upstream: then the call is relayed.
    DataPlane,
}

/// What each route asks for, by its path and then by its method.
#[derive(Debug, Default)]
struct AccessTable {
    declared: HashMap<&'static str, Vec<(Method, Access)>>,
    /// What the `POST` of a path creates.
    created: HashMap<&'static str, Created>,
}

impl AccessTable {
    /// `None`: no such path. A method that the path does not have is answered by axum, which needs
    /// no key.
    fn of(&self, path: &str, method: &Method) -> Option<Access> {
        // Axum answers HEAD with the handler of GET.
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let methods = self.declared.get(path)?;
        let declared = methods.iter().find(|(declared, _)| declared == method);
        Some(declared.map_or(Access::Public, |(_, access)| *access))
    }

    /// What a request creates.
    fn created(&self, path: &str, method: &Method) -> Option<Created> {
        let created = self.created.get(path).copied();
        created.filter(|_| *method == Method::POST)
    }
}

/// Routes in the making.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<App>,
    table: AccessTable,
}

macro_rules! methods {
    ($($name:ident $filter:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[must_use]
        pub fn $name<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
        where
            H: Handler<T, App>,
            T: 'static,
        {
            self.on(path, (MethodFilter::$filter, Method::$filter), access, handler)
        }
    )*};
}

impl Routes {
    methods! {
        get GET "Adds a `GET`.";
        post POST "Adds a `POST`.";
        put PUT "Adds a `PUT`.";
        delete DELETE "Adds a `DELETE`.";
    }

    /// Adds a `POST` that creates something: it honours `Idempotency-Key`, and its handler takes an
    /// [`Idempotency`](super::idempotency::Idempotency).
    #[must_use]
    pub fn create<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.create_as(Created::Object, path, access, handler)
    }

    /// The same of what is not an object of the Assistants API.
    #[must_use]
    pub fn create_as<H, T>(
        mut self,
        created: Created,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.table.created.insert(path, created);
        self.post(path, access, handler)
    }

    fn on<H, T>(
        mut self,
        path: &'static str,
        (filter, method): (MethodFilter, Method),
        access: Access,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let methods = self.table.declared.entry(path).or_default();
        methods.push((method, access));
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    /// These and others.
    #[must_use]
    pub fn merge(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        for (path, methods) in others.table.declared {
            let known = self.table.declared.entry(path).or_default();
            known.extend(methods);
        }
        self.table.created.extend(others.table.created);
        self
    }

    /// The router, each route behind what it asks for.
    pub fn into_router(self, app: &App) -> Router<App> {
        let guard = Guard {
            app: app.clone(),
            table: Arc::new(self.table),
        };
        self.router
            .route_layer(axum::middleware::from_fn_with_state(guard, enforce))
    }

    /// Every route: path, method and who may use it.
    pub fn declared(&self) -> impl Iterator<Item = (&'static str, &Method, Access)> {
        let paths = self.table.declared.iter();
        paths.flat_map(|(path, methods)| {
            methods
                .iter()
                .map(|(method, access)| (*path, method, *access))
        })
    }
}

#[derive(Clone)]
struct Guard {
    app: App,
    table: Arc<AccessTable>,
}

async fn enforce(
    State(Guard { app, table }): State<Guard>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map(MatchedPath::as_str);
    let declared = path.and_then(|path| table.of(path, request.method()));
    let created = path.and_then(|path| table.created(path, request.method()));
    let scope = match declared {
        Some(Access::Public) => return next.run(request).await,
        Some(Access::Scope(scope)) => scope,
        Some(Access::DataPlane) => Scope::CompletionsWrite,
        // A route without a word on access is closed.
        None => return ApiError::internal_logged().into_response(),
    };
    let (mut parts, body) = request.into_parts();
    let caller = match auth::admit(&mut parts, &app, scope).await {
        Ok(caller) => caller,
        Err(error) => return refuse(error),
    };
    if declared == Some(Access::DataPlane) {
        match relay::upstream(&app, &caller, &parts).await {
            Ok(None) => {}
            Ok(way) => {
                let request = Request::from_parts(parts, body);
                return relay::relay(app, caller, way, request).await;
            }
            Err(error) => return error.into_response(),
        }
    }
    if let Some(created) = created.filter(|_| parts.headers.contains_key(idempotency::KEY)) {
        let request = Request::from_parts(parts, body);
        return idempotency::answer(&app, caller, created, request, next).await;
    }
    parts.extensions.insert(caller);
    next.run(Request::from_parts(parts, body)).await
}

/// Answers whoever is not let in. 403 is the one error with a documented form of its own on both
/// planes.
pub(super) fn refuse(error: ApiError) -> Response<Body> {
    if error.status() == StatusCode::FORBIDDEN {
        AdminError::from(error).into_response()
    } else {
        error.into_response()
    }
}
