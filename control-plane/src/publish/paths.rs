//! Which admin paths a data plane forwards to the control plane, so that clients need one address.

/// As Welcome lists them: a trailing `*` stands for any end. Everything here is served by the admin router.
pub(super) const FORWARDED: [&str; 22] = [
    "/",
    "/access_group/*",
    "/audit*",
    "/credentials",
    "/credentials/*",
    "/fleet",
    "/fleet/*",
    "/global/*",
    "/key/*",
    "/model/*",
    "/model_group/*",
    "/openapi.json",
    "/spend/*",
    "/swagger-ui",
    "/swagger-ui/*",
    "/team/*",
    "/user/*",
    "/v1/model/*",
    "/v2/key/*",
    "/v2/model/*",
    "/v2/team/*",
    "/v2/user/*",
];
