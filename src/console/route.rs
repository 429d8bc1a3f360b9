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
    answer: MethodRouter<Console>,
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
        Self { method, path, right, about: Text::new(zh, en), answer }
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
