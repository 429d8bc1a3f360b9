//! What an operator looks at: metrics and health.

mod figures;
mod metrics;

pub use figures::{Figures, figures};
pub use metrics::METRICS;

use crate::console::{Console, Problem};
use crate::runtime::Tally;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use tokio::sync::watch;

/// `/metrics`, `/healthz` and `/readyz`.
pub fn router(
    console: &Console,
    tally: Arc<Tally>,
    figures: watch::Receiver<Option<Arc<Figures>>>,
) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state((console.clone(), tally, figures))
}

type Watched = (Console, Arc<Tally>, watch::Receiver<Option<Arc<Figures>>>);

async fn metrics(State((console, tally, figures)): State<Watched>) -> Result<impl IntoResponse, Problem> {
    let live = console.live.borrow().clone();
    let figures = figures.borrow().clone();
    let (devices, destinations) = (&console.devices, &console.destinations);
    let text =
        metrics::render(&tally, &live, devices, destinations, figures.as_deref(), console.streams.open())
            .map_err(|error| {
                tracing::error!(error = %error, "the metrics could not be written");
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "指标生成失败，请查看日志",
                    "the metrics could not be written; the log says why",
                )
            })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

/// Ready while the pipeline gives pictures of how things stand.
async fn ready(State((console, ..)): State<Watched>) -> Result<&'static str, Problem> {
    if console.live.has_changed().is_ok() {
        return Ok("ready\n");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "数据管道已停止", "the pipeline has ended"))
}
