//! Where a call comes from.

use std::net::IpAddr;

use http::Request;

/// The header in which a data plane that forwards a call says whose it is. Believed on data planes' listener alone.
pub(crate) const CLIENT_IP: &str = proto::channel::CLIENT_IP_HEADER;

/// The address of the client, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

/// How a listener learns the client's address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    /// It is at the other end of the connection.
    Peer(IpAddr),
    /// A data plane is there, which forwards calls and says whose they are.
    DataPlane,
}

impl Origin {
    /// Notes the address with a request; the header goes no further.
    pub(crate) fn note<B>(self, request: &mut Request<B>) {
        let said = request.headers_mut().remove(CLIENT_IP);
        let address = match self {
            Self::Peer(address) => Some(address),
            Self::DataPlane => said.and_then(|value| value.to_str().ok()?.parse().ok()),
        };
        request.extensions_mut().insert(ClientAddress(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(origin: Origin) -> Option<IpAddr> {
        let mut request = Request::builder().header(CLIENT_IP, "10.0.0.9").body(()).unwrap();
        origin.note(&mut request);
        assert!(request.headers().is_empty());
        request.extensions().get::<ClientAddress>().unwrap().0
    }

    #[test]
    fn the_header_is_believed_from_data_planes_alone() {
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(noted(Origin::Peer(peer)), Some(peer));
        assert_eq!(noted(Origin::DataPlane), Some(IpAddr::from([10, 0, 0, 9])));
    }
}
