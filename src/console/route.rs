//! A route cannot be written down without the right that it needs and the words that describe it.

use super::guard::may_ask;
use super::{Console, Problem};
use crate::access::Right;
use crate::model::Text;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with its gaps in braces.
    pub path: &'static str,
    /// What whoever asks must be allowed to do.
    pub right: Right,
    /// What it does, in a line.
    pub about: Text,
    /// What is said and answered, for those who write programs.
    pub(super) spoken: Spoken,
    answer: MethodRouter<Console>,
}

/// The form of something, as JSON Schema.
pub(super) type Form = fn(&mut SchemaGenerator) -> Schema;

/// What a route is asked and answers. What nobody wrote down is described as any JSON object.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spoken {
    /// The query: an object with a property for each parameter.
    pub(super) asks: Option<Form>,
    /// The body.
    pub(super) takes: Option<Form>,
    /// The answer.
    pub(super) gives: Option<Form>,
    /// Media types of the answer besides JSON, or instead of it where no form is given.
    pub(super) media: &'static [&'static str],
    /// The status of a good answer, where it is not 200.
    pub(super) status: Option<StatusCode>,
}

impl Route {
    /// Looks at something.
    pub(super) fn get<H: Handler<T, Console>, T: 'static>(
        path: &'static str,
        right: Right,
        about: (&str, &str),
        handler: H,
    ) -> Self {
        Self::new(Method::GET, path, right, about, get(handler))
    }

    /// Orders something.
    pub(super) fn post<H: Handler<T, Console>, T: 'static>(
        path: &'static str,
        right: Right,
        about: (&str, &str),
        handler: H,
    ) -> Self {
        Self::new(Method::POST, path, right, about, post(handler))
    }

    /// Sets something.
    pub(super) fn put<H: Handler<T, Console>, T: 'static>(
        path: &'static str,
        right: Right,
        about: (&str, &str),
        handler: H,
    ) -> Self {
        Self::new(Method::PUT, path, right, about, put(handler))
    }

    /// Takes something away.
    pub(super) fn delete<H: Handler<T, Console>, T: 'static>(
        path: &'static str,
        right: Right,
        about: (&str, &str),
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, path, right, about, delete(handler))
    }

    fn new(
        method: Method,
        path: &'static str,
        right: Right,
        (zh, en): (&str, &str),
        answer: MethodRouter<Console>,
    ) -> Self {
        let answer = answer.layer(middleware::from_fn(move |request, next| allowed(right, request, next)));
        Self { method, path, right, about: Text::new(zh, en), spoken: Spoken::default(), answer }
    }

    /// Its query is this.
    pub(super) fn asks<T: JsonSchema>(mut self) -> Self {
        self.spoken.asks = Some(T::json_schema);
        self
    }

    /// Its body is this.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.spoken.takes = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It answers with this.
    pub(super) fn gives<T: JsonSchema>(mut self) -> Self {
        self.spoken.gives = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It answers with these media types.
    pub(super) fn gives_media(mut self, media: &'static [&'static str]) -> Self {
        self.spoken.media = media;
        self
    }

    /// A good answer has this status.
    pub(super) fn answers(mut self, status: StatusCode) -> Self {
        self.spoken.status = Some(status);
        self
    }

    /// Takes bodies up to this size, bytes, instead of the usual.
    pub(super) fn bodies_up_to(mut self, bytes: usize) -> Self {
        self.answer = self.answer.layer(DefaultBodyLimit::max(bytes));
        self
    }
}

/// Joins routes; a path may have several methods.
pub(super) fn router(routes: Vec<Route>) -> Router<Console> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.answer))
}

async fn allowed(right: Right, request: Request, next: Next) -> Response {
    if right == Right::Open {
        return next.run(request).await;
    }
    match may_ask(&request).map(|known| known.who.may(right)) {
        Ok(true) => next.run(request).await,
        Ok(false) => Problem::new(
            StatusCode::FORBIDDEN,
            "您的角色没有此权限，请找管理员",
            "your role does not have this right; ask the administrator",
        )
        .into_response(),
        Err(problem) => problem.into_response(),
    }
}
