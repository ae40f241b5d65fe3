//! Pages: the Leptos application, rendered on the server, and its files.
//!
//! Every page is rendered whole before it is sent (no streaming), so that it
//! is complete without JavaScript and has the right status. A post that fails
//! renders the page of its own address again, with what was typed kept.

use std::sync::Arc;

use app::context::{
    ConsentAsked, ConsentView, DeviceAsked, FormState, FormTargets, FreshCodes, FreshSecret,
    LogoutAsked, LogoutView, SignedIn as PageSignedIn, Trace, Viewer,
};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use domain::identity::Role;
use domain::vault::connections;
use leptos::config::LeptosOptions;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::ResponseOptions;

use crate::door::{Door, TraceId, empty};
use crate::oauth::authorize;
use crate::session::SignedIn;

/// What a page is told beside its address.
#[derive(Clone, Default)]
pub struct Extras {
    /// What was typed and what was wrong with it.
    pub form: FormState,
    /// The consent that is asked for, on `/authorize`.
    pub consent: Option<ConsentView>,
    /// What a device asks for, on `/device`.
    pub device: Option<DeviceAsked>,
    /// A client's wish that the person sign out, on `/oidc/logout`.
    pub logout: Option<LogoutView>,
    /// A client secret that was just made, to be shown this once.
    pub fresh_secret: Option<FreshSecret>,
    /// Recovery codes that were just made, to be shown this once.
    pub fresh_codes: Option<FreshCodes>,
    /// Origins that a form of this page may lead to beside our own (CSP `form-action`).
    pub form_action: Vec<String>,
}

/// Renders the page of this request's path.
pub async fn page(State(door): State<Door>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    render(&door, request, Extras::default()).await
}

/// Where a link page's form leads: to the provider's consent page, and where
/// that sends a browser on to (`form-action` holds along the whole chain).
pub async fn provider_origins(door: &Door, id: &str) -> Vec<String> {
    let Ok(Some(connection)) = connections::get(&door.engine, id).await else {
        return Vec::new();
    };
    let origin = |address: &url::Url| address.origin().ascii_serialization();
    let entry = connection.entry();
    match &connection.overrides.authorize {
        Some(address) => entry.authorize.join(address).iter().map(origin).collect(),
        None => std::iter::once(origin(&entry.authorize))
            .chain(entry.authorize_hops.iter().cloned())
            .collect(),
    }
}

/// Signing in leads back to `/authorize`, and where consent stands already from
/// there to the client.
async fn after_sign_in(door: &Door, uri: &Uri) -> Option<String> {
    let query = uri.query().filter(|_| uri.path() == "/sign-in")?;
    let (_, return_to) =
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "return_to")?;
    authorize::target_of(door, return_to.strip_prefix("/authorize?")?).await
}

/// Renders the page of `request`, whatever its method, with `extras`.
pub async fn render(door: &Door, request: Request, extras: Extras) -> Response {
    let (mut parts, _) = request.into_parts();
    parts.method = Method::GET;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let trace = parts
        .extensions
        .get::<TraceId>()
        .map_or_else(String::new, |trace| trace.0.clone());
    let viewer = viewer(parts.extensions.get::<SignedIn>());
    let mut extras = extras;
    let linking = match parts.uri.path().strip_prefix("/accounts/link/") {
        Some(connection) => provider_origins(door, connection).await,
        None => Vec::new(),
    };
    let signing_in = after_sign_in(door, &parts.uri).await;
    extras
        .form_action
        .extend(linking.into_iter().chain(signing_in));
    let contexts = contexts(door, viewer, extras, trace);
    let options = door.leptos.clone();
    let handler = leptos_axum::render_app_async_with_context(contexts, move || {
        app::shell(LeptosOptions::clone(&options))
    });
    let mut response = handler(Request::from_parts(parts, Body::empty())).await;
    no_store(&mut response);
    response
}

/// Renders the page at `path` in answer to another request (a failed post).
pub async fn render_at(
    door: &Door,
    path: &str,
    signed_in: Option<&SignedIn>,
    trace: &TraceId,
    extras: Extras,
) -> Response {
    let Ok(uri) = path.parse::<Uri>() else {
        return empty(StatusCode::NOT_FOUND);
    };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    request.extensions_mut().insert(trace.clone());
    if let Some(signed_in) = signed_in {
        request.extensions_mut().insert(signed_in.clone());
    }
    render(door, request, extras).await
}

/// Server functions of the islands.
pub async fn server_functions(State(door): State<Door>, request: Request) -> Response {
    let viewer = viewer(request.extensions().get::<SignedIn>());
    let trace = request
        .extensions()
        .get::<TraceId>()
        .map_or_else(String::new, |trace| trace.0.clone());
    let contexts = contexts(&door, viewer, Extras::default(), trace);
    let mut response = leptos_axum::handle_server_fns_with_context(contexts, request)
        .await
        .into_response();
    no_store(&mut response);
    response
}

fn viewer(signed_in: Option<&SignedIn>) -> PageSignedIn {
    PageSignedIn(signed_in.map(|signed_in| Viewer {
        person_id: signed_in.person.id.clone(),
        name: signed_in.person.name.clone(),
        email: signed_in.person.email.clone(),
        admin: signed_in.person.role == Role::Admin,
    }))
}

fn contexts(
    door: &Door,
    viewer: PageSignedIn,
    extras: Extras,
    trace: String,
) -> impl Fn() + Clone + Send + Sync + 'static {
    let engine = door.engine.clone();
    move || {
        provide_context(engine.clone());
        provide_context(viewer.clone());
        provide_context(extras.form.clone());
        provide_context(Trace(trace.clone()));
        provide_context(FormTargets(extras.form_action.clone()));
        if let Some(consent) = &extras.consent {
            provide_context(ConsentAsked(Arc::new(consent.clone())));
        }
        if let Some(device) = &extras.device {
            provide_context(device.clone());
        }
        if let Some(logout) = &extras.logout {
            provide_context(LogoutAsked(Arc::new(logout.clone())));
        }
        if let Some(fresh) = &extras.fresh_secret {
            provide_context(fresh.clone());
        }
        if let Some(fresh) = &extras.fresh_codes {
            provide_context(fresh.clone());
        }
        let Some(response) = use_context::<ResponseOptions>() else {
            return;
        };
        if extras.form.status >= 400
            && let Ok(status) = StatusCode::from_u16(extras.form.status)
        {
            response.set_status(status);
        }
    }
}

fn no_store(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(
        HeaderName::from_static("vary"),
        HeaderValue::from_static("Cookie"),
    );
}

/// When the database is away there is no page to render.
#[must_use]
pub fn unavailable(_: &Door) -> Response {
    let mut response = (
        StatusCode::SERVICE_UNAVAILABLE,
        "Attorn cannot reach its database. Nothing was changed; try again in a moment.\n",
    )
        .into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
