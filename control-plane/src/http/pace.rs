//! How many calls a second come from one address: as many as there are, unless the operator says otherwise.
//!
//! It is the address and not the key that counts: keys that are made up would each have a count of their own. Each control
//! plane counts for itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::caller::ClientAddress;
use crate::error::Envelope;

/// Every so many calls, addresses that have been quiet are forgotten.
const TIDY: u32 = 1_024;

/// Counts the calls of each address; those of an unknown one together.
pub(super) struct Pace {
    addresses: DefaultKeyedRateLimiter<Option<IpAddr>>,
    clock: DefaultClock,
    calls: AtomicU32,
}

impl Pace {
    /// Lets each address make so many calls a second, and as many at once.
    pub(super) fn new(calls_per_second: NonZeroU32) -> Arc<Self> {
        let addresses = RateLimiter::keyed(Quota::per_second(calls_per_second));
        Arc::new(Self { addresses, clock: DefaultClock::default(), calls: AtomicU32::new(0) })
    }

    /// Nothing, or how long the caller has to wait.
    fn check(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % TIDY == TIDY - 1 {
            self.addresses.retain_recent();
        }
        self.addresses.check_key(&address).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// Lets a call pass, or refuses it with the time to wait.
pub(super) async fn keep(pace: Arc<Pace>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().and_then(|client| client.0);
    let Err(wait) = pace.check(address) else { return next.run(request).await };
    let message = "Too many calls of the admin API in a second. Wait, then go on more slowly.";
    let mut refusal = Envelope::error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", None, message).into_response();
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    refusal
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn call(router: &Router, address: [u8; 4]) -> Response {
        let mut request = Request::builder().uri("/").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ClientAddress(Some(address.into())));
        router.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn who_calls_too_often_is_told_to_wait_and_others_are_not() {
        let pace = Pace::new(NonZeroU32::new(2).unwrap());
        let layer = axum::middleware::from_fn(move |request, next| keep(Arc::clone(&pace), request, next));
        let router = Router::new().route("/", get(async || "here")).layer(layer);
        for _ in 0..2 {
            assert_eq!(call(&router, [10, 0, 0, 1]).await.status(), 200);
        }
        let refused = call(&router, [10, 0, 0, 1]).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()[RETRY_AFTER]), (429, &"1".parse().unwrap()));
        assert_eq!(call(&router, [10, 0, 0, 2]).await.status(), 200);
    }

    #[test]
    fn addresses_that_are_quiet_are_forgotten() {
        let pace = Pace::new(NonZeroU32::MAX);
        for number in 0..10 * TIDY {
            pace.check(Some(IpAddr::from(number.to_be_bytes()))).unwrap();
        }
        assert!(pace.addresses.len() <= TIDY as usize + 1, "{}", pace.addresses.len());
    }
}
