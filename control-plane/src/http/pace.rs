//! How many calls a second one caller may make: as many as they like, unless the operator says otherwise.
//!
//! A caller is the key that a call presents, read before anybody asks whether it is good; where it presents none, the
//! client's address. Each control plane counts for itself.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::caller::ClientAddress;
use crate::access::presented;
use crate::error::Envelope;

/// With more callers than this, those that have been quiet are forgotten.
const CALLERS: usize = 10_000;

/// Who is counted.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Caller {
    /// A hash of a key, in the clear for as long as it takes to make it.
    Key(u64),
    Address(Option<IpAddr>),
}

/// Counts the calls of each caller.
pub(super) struct Pace {
    callers: DefaultKeyedRateLimiter<Caller>,
    clock: DefaultClock,
}

impl Pace {
    /// Lets each caller make so many calls a second, and as many at once.
    pub(super) fn new(calls_per_second: NonZeroU32) -> Arc<Self> {
        let callers = RateLimiter::keyed(Quota::per_second(calls_per_second));
        Arc::new(Self { callers, clock: DefaultClock::default() })
    }

    /// Nothing, or how long the caller has to wait.
    fn check(&self, caller: &Caller) -> Result<(), Duration> {
        if self.callers.len() > CALLERS {
            self.callers.retain_recent();
        }
        self.callers.check_key(caller).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// Lets a call pass, or refuses it with the time to wait.
pub(super) async fn keep(pace: Arc<Pace>, request: Request, next: Next) -> Response {
    let Err(wait) = pace.check(&caller(&request)) else { return next.run(request).await };
    let message = "Too many calls of the admin API in a second. Wait, then go on more slowly.";
    let mut refusal = Envelope::error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", None, message).into_response();
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    refusal
}

fn caller(request: &Request) -> Caller {
    let address = || request.extensions().get::<ClientAddress>().and_then(|client| client.0);
    key(request.headers()).map_or_else(|| Caller::Address(address()), Caller::Key)
}

fn key(headers: &HeaderMap) -> Option<u64> {
    let key = presented::key(headers, None).ok()?;
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn call(router: &Router, key: Option<&str>) -> Response {
        let mut request = Request::builder().uri("/");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn who_calls_too_often_is_told_to_wait_and_others_are_not() {
        let pace = Pace::new(NonZeroU32::new(2).unwrap());
        let layer = axum::middleware::from_fn(move |request, next| keep(Arc::clone(&pace), request, next));
        let router = Router::new().route("/", get(async || "here")).layer(layer);
        for _ in 0..2 {
            assert_eq!(call(&router, Some("sk-a")).await.status(), 200);
        }
        let refused = call(&router, Some("sk-a")).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()[RETRY_AFTER]), (429, &"1".parse().unwrap()));
        assert_eq!(call(&router, Some("sk-b")).await.status(), 200);
        assert_eq!(call(&router, None).await.status(), 200);
    }

    #[test]
    fn callers_who_are_quiet_are_forgotten() {
        let pace = Pace::new(NonZeroU32::MAX);
        for number in 0..CALLERS as u64 + 100 {
            pace.check(&Caller::Key(number)).unwrap();
        }
        assert!(pace.callers.len() <= CALLERS + 1, "{}", pace.callers.len());
    }
}
