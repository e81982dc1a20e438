//! Why a page cannot be shown. The guard, which knows who is asking, makes a page of it.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kit::{error::ApiError, problem::Problem};

/// The ways in which a page fails.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody has signed in.
    SignIn,
    /// The session's role does not reach so far.
    Role(&'static str),
    /// A form that did not come from one of our pages.
    Foreign,
    /// A page that took too long.
    Slow(Duration),
    /// What the API would have answered.
    Api(ApiError),
}

impl<E: Into<ApiError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Api(error.into())
    }
}

/// What the guard, which knows who is asking, makes a page of.
#[derive(Debug, Clone)]
pub(super) enum FaultPage {
    /// To the form for the key.
    SignIn,
    /// A page that says what is the matter.
    Problem(Box<Problem>),
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let forbidden = |code, detail: &str| Problem::new(StatusCode::FORBIDDEN, code, detail).into_response();
        let (mut response, page) = match self {
            Self::SignIn => (StatusCode::UNAUTHORIZED.into_response(), FaultPage::SignIn),
            Self::Role(detail) => {
                let page = Problem::new(StatusCode::FORBIDDEN, "role", detail);
                (forbidden("role", detail), FaultPage::Problem(Box::new(page)))
            }
            Self::Foreign => {
                let detail = "this form did not come from this console, or from an earlier session; nothing was done";
                let page = Problem::new(StatusCode::FORBIDDEN, "foreign-form", detail);
                (forbidden("foreign-form", detail), FaultPage::Problem(Box::new(page)))
            }
            Self::Slow(limit) => {
                let detail = format!(
                    "this page took longer than {} s: narrow what you ask, or get a long report as a file: \
                     POST /reports/{{name}}/runs of the API",
                    limit.as_secs()
                );
                return Self::Api(ApiError::unavailable(detail)).into_response();
            }
            Self::Api(error) => {
                let page = FaultPage::Problem(Box::new(error.problem()));
                // Also writes the log where the fault is ours.
                (error.into_response(), page)
            }
        };
        response.extensions_mut().insert(page);
        response
    }
}
