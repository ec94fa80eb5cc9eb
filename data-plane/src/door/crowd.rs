//! How many connections there are, together and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::door::limits::Limits;

/// All open connections of all threads.
pub(crate) struct Crowd {
    most: u32,
    open: AtomicU32,
    most_of_one: u32,
    /// Kept only where addresses are limited. No longer than the connections.
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// An open connection's place. Given back when dropped.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.max_connections,
            open: AtomicU32::new(0),
            most_of_one: limits.max_connections_per_ip,
            by_address: Mutex::default(),
        }
    }

    /// A place for a connection from `address`; `None` when there is none.
    pub(crate) fn admit(crowd: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let taken = |open: u32| (open < crowd.most).then_some(open + 1);
        crowd.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        if crowd.most_of_one > 0 {
            let mut by_address = crowd.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let of_one = by_address.entry(address).or_default();
            if *of_one >= crowd.most_of_one {
                crowd.open.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            *of_one += 1;
        }
        Some(Place { crowd: Arc::clone(crowd), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.open.fetch_sub(1, Ordering::Relaxed);
        if self.crowd.most_of_one > 0 {
            let mut by_address = self.crowd.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of_one) = by_address.get_mut(&self.address) {
                *of_one = of_one.saturating_sub(1);
                if *of_one == 0 {
                    by_address.remove(&self.address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::limits::tests::given;

    #[test]
    fn places_are_counted_together_and_by_address_and_given_back() {
        let limits = given(&["--max-connections", "3", "--max-connections-per-ip", "2"]);
        let crowd = Arc::new(Crowd::new(&limits));
        let (one, mapped, other) =
            ("10.0.0.1".parse().unwrap(), "::ffff:10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = Crowd::admit(&crowd, one).unwrap();
        let second = Crowd::admit(&crowd, mapped).unwrap();
        assert!(Crowd::admit(&crowd, one).is_none(), "an address in disguise is the same address");
        let third = Crowd::admit(&crowd, other).unwrap();
        assert!(Crowd::admit(&crowd, other).is_none(), "there is no place left");
        drop((first, second, third));
        assert!(crowd.by_address.lock().unwrap().is_empty());
        assert!(Crowd::admit(&crowd, one).is_some());
    }
}
