//! A file that a job made: it lives as long as somebody knows of it, and is sent piece by piece.

use crate::console::Problem;
use crate::console::api::not_found;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Bytes sent at a time.
const PIECE: usize = 64 * 1024;

/// A file.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    /// What it is called where it is saved.
    pub(super) name: String,
    pub(super) media: &'static str,
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.path.display(), "the file of a job cannot be removed");
        }
    }
}

/// Sends it.
pub(super) async fn answer(made: &Made) -> Result<Response, Problem> {
    let file = File::open(&made.path).await.map_err(|_| not_found("文件", "file"))?;
    let bytes = file.metadata().await.map(|meta| meta.len()).map_err(|_| not_found("文件", "file"))?;
    let pieces = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, made.media.to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", made.name)),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
