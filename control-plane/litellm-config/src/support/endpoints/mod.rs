//! LiteLLM's endpoints, and which of them answer.
//!
//! Only a list for readers: nothing is routed by it. Paths are LiteLLM's; `…` stands for the paths below.

mod administration;
mod inference;

/// How far an endpoint or a behaviour is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As in LiteLLM.
    Works,
    /// There, and different: how, and why.
    Differs(&'static str),
    /// Not there so far; perhaps what holds instead.
    NotYet(&'static str),
}

/// Endpoints of one state.
#[derive(Clone, Copy, Debug)]
pub struct Endpoints {
    /// What they are about.
    pub topic: &'static str,
    /// Method and path of each.
    pub calls: &'static [&'static str],
    /// How far they are there.
    pub state: State,
}

const fn works(topic: &'static str, calls: &'static [&'static str]) -> Endpoints {
    Endpoints { topic, calls, state: State::Works }
}

const fn differs(topic: &'static str, calls: &'static [&'static str], how: &'static str) -> Endpoints {
    Endpoints { topic, calls, state: State::Differs(how) }
}

const fn later(topic: &'static str, calls: &'static [&'static str]) -> Endpoints {
    Endpoints { topic, calls, state: State::NotYet("") }
}

/// All endpoints.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoints> {
    inference::ENDPOINTS.iter().chain(administration::ENDPOINTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_is_listed_once_with_its_method() {
        let mut seen = BTreeSet::new();
        for call in endpoints().flat_map(|endpoints| endpoints.calls) {
            assert!(seen.insert(call), "{call} twice");
            let (method, path) = call.split_once(' ').unwrap();
            assert!(["GET", "POST", "PUT", "PATCH", "DELETE", "WS", "…"].contains(&method), "{call}");
            assert!(path.starts_with('/'), "{call}");
        }
    }
}
